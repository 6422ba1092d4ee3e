# SPDX-License-Identifier: Apache-2.0
"""create and update: everything between a decoded object and the store."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

from kubetwin.apiserver import admission, clock, convert, encode, lifecycle, strategies, validation
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.fields import keep_timestamps
from kubetwin.apiserver.rbac import Attributes
from kubetwin.apiserver.rest import pipeline
from kubetwin.apiserver.status import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    generate_name_conflict,
    invalid,
    method_not_allowed_on_path,
    not_found,
)
from kubetwin.apiserver.store import Entry, Object, object_key
from kubetwin.apiserver.traits import CREATE_ON_UPDATE, VERSION_REQUIRED
from kubetwin.serving.http import Response

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
_META_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
Transform = Callable[[Object], Object]


def create(call: Call) -> Response:
    media = call.accept()
    if call.type.namespaced and not call.info.namespace:
        raise method_not_allowed_on_path()
    dry_run = check_options(call)
    obj = pipeline.decode_body(call, call.type)
    entry = create_object(call, obj, dry_run=dry_run)
    return encode.object_response(entry, call.type, media, 201)


def check_options(call: Call) -> bool:
    """Whether the write is a dry run; raises ApiError 422 for options that are not understood."""
    _ = call.field_validation, call.field_manager
    return call.dry_run


def check_namespace(call: Call, meta: dict[str, Any]) -> None:
    """Fill in the namespace of the path; raises ApiError 400 when the object names another."""
    if not call.type.namespaced:
        meta.pop("namespace", None)
        return
    if meta.get("namespace", call.namespace) not in ("", call.namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    meta["namespace"] = call.namespace


def create_object(call: Call, obj: Object, *, dry_run: bool, applied: bool = False) -> Entry:
    """Store a new object given in the version of the request. ``applied``: managedFields are set already."""
    meta = obj["metadata"]
    for name in _SYSTEM_FIELDS:
        meta.pop(name, None)
    check_namespace(call, meta)
    if meta.pop("resourceVersion", "").lstrip("0").isdigit():
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    generated = not meta.get("name") and bool(meta.get("generateName"))
    if generated:
        meta["name"] = _generate(call, meta["generateName"])
    now = clock.now()
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now
    if not applied:
        pipeline.own(call, None, obj, now)
    obj = convert.to_storage(obj, call.type)
    admission.on_create(call, obj)
    context = strategies.Context(call.cluster.store, call.user, dry_run, now, call.warnings)
    strategies.prepare_create(call.type, obj, context)
    validate(call, obj, None)
    admission.after_validation(call, obj)
    if not meta.get("name"):
        raise invalid(call.type.group_kind, "", [Cause.required("metadata.name", "name or generateName is required")])
    key = object_key(call.namespace, meta["name"])
    if key in call.collection.entries:
        if generated:
            raise generate_name_conflict(call.type.group_resource, meta["name"])
        raise already_exists(call.type.group_resource, meta["name"])
    custom = call.type.crd_version is not None
    if dry_run:
        return Entry(key, order(obj, custom), 0)
    meta["resourceVersion"] = ""
    return call.collection.put(key, order(obj, custom))


def validate(call: Call, new: Object, old: Object | None, subresource: str = "") -> None:
    """Raises ApiError 422 naming everything that is wrong with an object (in the stored version)."""
    stored = call.cluster.registry.stored(call.type.storage_key) or call.type
    schema = pipeline.schema_of(stored)
    causes = validation.validate(stored.api_version, stored.kind, new, old, schema, subresource, call.type.api_version)
    if causes:
        raise invalid(stored.group_kind, new["metadata"].get("name", ""), causes)


def _require_create(call: Call) -> None:
    """A write that creates needs the right to create."""
    attributes = Attributes("create", call.type.group, call.type.resource, "", call.namespace, call.name)
    call.cluster.authorizer.require(call.user, attributes)


def order(obj: Object, custom: bool = False) -> Object:
    """The object with its parts in the order in which the API shows them: that of a ``custom`` resource, which no Go
    type has, is sorted throughout."""
    meta = obj["metadata"]
    for name in ("labels", "annotations"):
        if len(meta.get(name) or ()) > 1:
            meta[name] = dict(sorted(meta[name].items()))
    ordered = {name: meta[name] for name in _META_ORDER if name in meta}
    if len(ordered) != len(meta):
        ordered.update(meta)
    obj["metadata"] = ordered
    out: Object = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": ordered}
    status = obj.pop("status", None)
    out.update(_sorted({name: obj[name] for name in sorted(obj) if name not in out}) if custom else obj)
    if status is not None:
        out["status"] = _sorted(status) if custom else status
        obj["status"] = status
    return out


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _generate(call: Call, base: str) -> str:
    """A free name from ``generateName``; after eight tries that were taken, the last one."""
    name = ""
    for _ in range(8):
        name = base[:58] + "".join(random.choices(_SUFFIX, k=5))
        if call.collection.get(call.namespace, name) is None:
            break
    return name


def update(call: Call, subresource: str = "") -> Response:
    media = call.accept()
    dry_run = check_options(call)
    obj = pipeline.decode_body(call, call.type)
    meta = obj["metadata"]
    check_namespace(call, meta)
    check_name(call, meta)
    entry, created = update_object(
        call, lambda _: obj, dry_run=dry_run, subresource=subresource, uid=meta.get("uid", "")
    )
    return encode.object_response(entry, call.type, media, 201 if created else 200)


def storage_path(call: Call) -> str:
    """The key under which a real server keeps the object, as its error messages show it."""
    group = f"{call.type.group}/" if call.type.crd_version is not None else ""
    return f"/registry/{group}{call.type.resource}/{object_key(call.namespace, call.name)}"


def check_name(call: Call, meta: dict[str, Any]) -> None:
    name = meta.get("name", "")
    if not name:
        raise bad_request(
            f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        )
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")


def named_version(meta: dict[str, Any]) -> int:
    """The version that a written object says it is based on; none, and ``0``, are 0, that is any version.

    Raises ApiError 500 when it is no number, as a real server does.
    """
    text = str(meta.get("resourceVersion") or "0")
    if not (text.isascii() and text.isdigit()):
        raise ApiError(500, "", f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def update_object(
    call: Call,
    transform: Transform,
    *,
    dry_run: bool,
    subresource: str = "",
    uid: str = "",
    applied: bool = False,
    create_missing: bool = False,
) -> tuple[Entry, bool]:
    """Replace an object by what ``transform`` makes of it (both in the version of the request).

    ``uid`` is a precondition. Returns the entry and whether it was created. Raises ApiError 404, 409 or 422.
    """
    resource_type, collection = call.type, call.collection
    entry = collection.get(call.namespace, call.name)
    if entry is None:
        if subresource or not (create_missing or resource_type.storage_key in CREATE_ON_UPDATE):
            raise not_found(resource_type.group_resource, call.name)
        _require_create(call)
        obj = transform({})
        if uid and not create_missing:
            raise conflict(
                resource_type.group_resource,
                call.name,
                f"StorageError: invalid object, Code: 4, UID in precondition: {uid}",
            )
        obj["metadata"].pop("resourceVersion", None)
        return create_object(call, obj, dry_run=dry_run, applied=applied), True
    old_meta = entry.obj["metadata"]
    if uid and uid != old_meta["uid"]:
        raise conflict(
            resource_type.group_resource,
            call.name,
            f"StorageError: invalid object, Code: 4, Key: {storage_path(call)}, ResourceVersion: 0, AdditionalErrorMsg:"
            f" Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta['uid']}",
        )
    old = convert.from_storage(entry.copy(), resource_type)
    new = transform(old)
    meta = new["metadata"]
    version = named_version(meta)
    if version:
        if version != int(old_meta["resourceVersion"]):
            raise conflict(resource_type.group_resource, call.name)
    elif resource_type.storage_key in VERSION_REQUIRED or resource_type.crd_version is not None:
        cause = Cause(
            "metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update"
        )
        raise invalid(resource_type.group_resource, call.name, [cause])
    meta["resourceVersion"] = old_meta["resourceVersion"]
    now = clock.now()
    if not applied:
        pipeline.own(call, old, new, now, subresource)
    new = convert.to_storage(new, resource_type)
    stored_old = entry.obj
    admission.on_update(call, new, stored_old, subresource)
    context = strategies.Context(call.cluster.store, call.user, dry_run, now, call.warnings)
    strategies.prepare_update(resource_type, new, stored_old, subresource, context)
    meta = new["metadata"]
    meta.setdefault("uid", old_meta["uid"])
    meta.pop("selfLink", None)
    meta["creationTimestamp"] = old_meta["creationTimestamp"]
    # Anything else that an update says of a deletion is left to validation, which refuses it.
    if "deletionTimestamp" in old_meta:
        meta["deletionTimestamp"] = old_meta["deletionTimestamp"]
    if "deletionGracePeriodSeconds" in old_meta:
        meta.setdefault("deletionGracePeriodSeconds", old_meta["deletionGracePeriodSeconds"])
    validate(call, new, stored_old, subresource)
    new = order(new, resource_type.crd_version is not None)
    keep_timestamps(stored_old, new)
    if new == stored_old:
        return entry, False
    deleting = old_meta.get("deletionTimestamp") and not old_meta.get("deletionGracePeriodSeconds")
    if deleting and not meta.get("finalizers") and not lifecycle.held(resource_type, new) and not dry_run:
        return collection.remove(entry.key, new), False
    if dry_run:
        return Entry(entry.key, new, 0), False
    return collection.put(entry.key, new), False
