# SPDX-License-Identifier: Apache-2.0
"""Validation of ConfigMaps, Secrets, claims, volumes and namespaces. Source: pkg/apis/core/validation."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from kubetwin.apiserver.validation import metadata, names
from kubetwin.apiserver.validation.errors import Errors
from kubetwin.apiserver.validation.pod_update import difference
from kubetwin.apiserver.validation.resources import positive
from kubetwin.decoding import UNREADABLE
from kubetwin.quantity import value_of

Object = dict[str, Any]

#: Bytes of all values of a ConfigMap or Secret.
MAX_DATA = 1024 * 1024

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_FROZEN = "field is immutable when `immutable` is set"
_CLAIM_FROZEN = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def config_map(errors: Errors, new: Object, old: Object | None) -> None:
    """A ConfigMap."""
    if old is not None:
        _frozen(errors, new, old, ("data", "binaryData"))
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    total = 0
    for key, value in sorted(data.items()):
        errors.invalid_all(f"data[{key}]", key, names.config_key(key))
        if key in binary:
            errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        total += len(value.encode())
    for key, value in sorted(binary.items()):
        errors.invalid_all(f"binaryData[{key}]", key, names.config_key(key))
        total += _decoded_length(value)
    if total > MAX_DATA:
        errors.too_long("[]", MAX_DATA)


def _decoded_length(text: str | None) -> int:
    return len(text) * 3 // 4 - text[-2:].count("=") if text else 0


def _frozen(errors: Errors, new: Object, old: Object, fields: tuple[str, ...]) -> None:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        errors.forbidden("immutable", _FROZEN)
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            errors.forbidden(field, _FROZEN)


def secret(errors: Errors, new: Object, old: Object | None) -> None:
    """A Secret; its values never appear in a message."""
    if old is not None:
        errors.immutable("type", new.get("type", ""), old.get("type", ""))
        _frozen(errors, new, old, ("data",))
    data = new.get("data") or {}
    for key in sorted(data):
        errors.invalid_all(f"data[{key}]", key, names.config_key(key))
    if sum(_decoded_length(value) for value in data.values()) > MAX_DATA:
        errors.too_long("data", MAX_DATA)
    match new.get("type"):
        case "kubernetes.io/service-account-token":
            annotation = "kubernetes.io/service-account.name"
            if not ((new.get("metadata") or {}).get("annotations") or {}).get(annotation):
                errors.required(f"metadata.annotations[{annotation}]")
        case "kubernetes.io/dockercfg":
            _json_in(errors, data, ".dockercfg")
        case "kubernetes.io/dockerconfigjson":
            _json_in(errors, data, ".dockerconfigjson")
        case "kubernetes.io/basic-auth" if "username" not in data and "password" not in data:
            errors.required("data[username]")
            errors.required("data[password]")
        case "kubernetes.io/ssh-auth" if not data.get("ssh-privatekey"):
            errors.required("data[ssh-privatekey]")
        case "kubernetes.io/tls":
            for key in ("tls.crt", "tls.key"):
                if key not in data:
                    errors.required(f"data[{key}]")


def _json_in(errors: Errors, data: Object, key: str) -> None:
    if key not in data:
        errors.required(f"data[{key}]")
        return
    try:
        msgspec.json.decode(base64.b64decode(data[key] or ""), type=dict)
    except (ValueError, *UNREADABLE):
        errors.invalid(f"data[{key}]", "<secret contents redacted>", "unexpected end of JSON input")


def claim_spec(errors: Errors, spec: Object, path: str) -> None:
    """The spec of a PersistentVolumeClaim."""
    modes = spec.get("accessModes") or []
    if not modes:
        errors.required(f"{path}.accessModes", "at least 1 access mode is required")
    metadata.selector(errors, spec.get("selector"), f"{path}.selector")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            errors.not_supported(f"{path}.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        errors.forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        errors.required(f"{path}.resources[storage]")
    else:
        positive(errors, size, f"{path}.resources[storage]")
    storage_class = spec.get("storageClassName")
    if storage_class:
        errors.invalid_all(f"{path}.storageClassName", storage_class, names.dns_subdomain(storage_class))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.not_supported(f"{path}.volumeMode", mode, _VOLUME_MODES)


def claim(errors: Errors, new: Object, old: Object | None) -> None:
    """A PersistentVolumeClaim; once created only its size may grow, once bound."""
    spec = new.get("spec") or {}
    claim_spec(errors, spec, "spec")
    if old is None:
        return
    before, after = dict(old.get("spec") or {}), dict(spec)
    if not before.get("volumeName"):
        before.pop("volumeName", None)
        if after.get("volumeName"):
            before["volumeName"] = after["volumeName"]
    if not before.get("storageClassName") and after.get("storageClassName"):
        # A default class may be filled in later.
        before["storageClassName"] = after["storageClassName"]
    old_size = _size(before)
    if (new.get("status") or {}).get("phase") == "Bound":
        resources = dict(after.get("resources") or {})
        if resources.get("requests"):
            resources["requests"] = {**resources["requests"], "storage": old_size}
            after["resources"] = resources
        after.pop("volumeAttributesClassName", None)
        if "volumeAttributesClassName" in before:
            after["volumeAttributesClassName"] = before["volumeAttributesClassName"]
    if after != before:
        errors.forbidden("spec", f"{_CLAIM_FROZEN}\n{difference(before, after)}")
    new_size = _size(spec)
    if old_size and new_size and value_of(new_size) < value_of(old_size):
        granted = ((old.get("status") or {}).get("capacity") or {}).get("storage")
        if value_of(new_size) <= value_of(granted or "0"):
            errors.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    errors.immutable("volumeMode", spec.get("volumeMode"), (old.get("spec") or {}).get("volumeMode"))


def _size(spec: Object) -> str:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage") or ""


def volume(errors: Errors, new: Object, old: Object | None) -> None:
    """A PersistentVolume."""
    spec = new.get("spec") or {}
    modes = spec.get("accessModes") or []
    if not modes:
        errors.required("spec.accessModes")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            errors.not_supported("spec.accessModes", mode, _ACCESS_MODES)
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.required("spec.capacity")
    if "storage" not in capacity or len(capacity) > 1:
        errors.not_supported("spec.capacity", capacity, ("storage",))
    for name, amount in sorted(capacity.items()):
        positive(errors, amount, f"spec.capacity[{name}]")
    policy = spec.get("persistentVolumeReclaimPolicy") or ""
    if policy and policy not in _RECLAIM_POLICIES:
        errors.not_supported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM_POLICIES)
    if not _volume_source(spec):
        errors.required("spec", "must specify a volume type")
    if old is not None:
        before = _volume_source(old.get("spec") or {})
        if before != _volume_source(spec):
            text = "spec.persistentvolumesource is immutable after creation"
            errors.forbidden("spec.persistentvolumesource", f"{text}\n{difference(before, _volume_source(spec))}")
        errors.immutable("volumeMode", spec.get("volumeMode"), (old.get("spec") or {}).get("volumeMode"))


_VOLUME_OWN = frozenset(
    (
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    )
)


def _volume_source(spec: Object) -> Object:
    return {name: value for name, value in spec.items() if name not in _VOLUME_OWN}
