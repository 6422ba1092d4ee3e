# SPDX-License-Identifier: Apache-2.0
"""Validation of a pod's volumes. Source: pkg/apis/core/validation."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.validation import names
from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"
_NEEDED = {
    "hostPath": ("path",),
    "secret": ("secretName",),
    "persistentVolumeClaim": ("claimName",),
    "nfs": ("server", "path"),
    "configMap": ("name",),
    "csi": ("driver",),
}


def volumes(errors: Errors, values: list[Object] | None, path: str, pod_name: str = "") -> set[str]:
    """Check the volumes; returns the names that mounts may refer to."""
    known: set[str] = set()
    for index, volume in enumerate(values or ()):
        place = f"{path}[{index}]"
        found = Errors()
        _source(found, volume, place, pod_name)
        name = volume.get("name") or ""
        if not name:
            found.required(f"{place}.name")
        else:
            found.invalid_all(f"{place}.name", name, names.dns_label(name))
        if name in known:
            found.duplicate(f"{place}.name", name)
        if found:
            errors.causes += found.causes
        else:
            known.add(name)
    return known


def _source(errors: Errors, volume: Object, path: str, pod_name: str) -> None:
    kinds = [kind for kind, source in volume.items() if kind != "name" and source is not None]
    if not kinds:
        errors.required(path, "must specify a volume type")
    for kind in kinds[1:]:
        errors.forbidden(f"{path}.{kind}", "may not specify more than 1 volume type")
    for kind in kinds[:1]:
        source, place = volume[kind], f"{path}.{kind}"
        for field in _NEEDED.get(kind, ()):
            if not source.get(field):
                errors.required(f"{place}.{field}")
        if kind in ("secret", "configMap", "projected", "downwardAPI"):
            mode = source.get("defaultMode")
            if mode is not None and not 0 <= mode <= 0o777:
                errors.invalid(f"{place}.defaultMode", mode, _MODE_TEXT)
        if kind in ("secret", "configMap"):
            _items(errors, source.get("items"), f"{place}.items")
        if kind == "hostPath" and ".." in (source.get("path") or "").split("/"):
            errors.invalid(f"{place}.path", source["path"], "must not contain '..'")
        if kind == "nfs" and source.get("path") and not source["path"].startswith("/"):
            errors.invalid(f"{place}.path", source["path"], "must be an absolute path")
        if kind == "ephemeral" and pod_name and volume.get("name"):
            claim = f"{pod_name}-{volume['name']}"
            for reason in names.dns_subdomain(claim):
                errors.invalid(f"{path}.name", volume["name"], f'PVC name "{claim}": {reason}')


def _items(errors: Errors, items: list[Object] | None, path: str) -> None:
    for index, item in enumerate(items or ()):
        place = f"{path}[{index}]"
        if not item.get("key"):
            errors.required(f"{place}.key")
        target = item.get("path") or ""
        if not target:
            errors.required(f"{place}.path")
        elif target.startswith("/"):
            errors.invalid(f"{place}.path", target, "must be a relative path")
        elif ".." in target.split("/"):
            errors.invalid(f"{place}.path", target, "must not contain '..'")
        mode = item.get("mode")
        if mode is not None and not 0 <= mode <= 0o777:
            errors.invalid(f"{place}.mode", mode, _MODE_TEXT)
