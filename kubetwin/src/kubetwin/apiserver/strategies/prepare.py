# SPDX-License-Identifier: Apache-2.0
"""The rules all resources share, and the dispatch to those of single resources."""

from __future__ import annotations

from kubetwin.apiserver import schema as schemas
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies.context import Context
from kubetwin.apiserver.strategies.parts import PARTS
from kubetwin.apiserver.strategies.rules import CREATE, UPDATE
from kubetwin.apiserver.traits import GENERATION, STATUS_ON_CREATE


def has_status(resource_type: ResourceType) -> bool:
    return "status" in resource_type.subresources


def prepare_create(resource_type: ResourceType, obj: Object, context: Context) -> None:
    """Bring a new object (in the stored version) into the state in which it starts, in place."""
    key = resource_type.storage_key
    if has_status(resource_type) and key not in STATUS_ON_CREATE:
        if resource_type.crd_version is not None:
            obj.pop("status", None)
        elif "status" in obj:
            obj["status"] = _empty_status(resource_type)
    if resource_type.crd_version is not None or key in GENERATION:
        obj["metadata"]["generation"] = 1
    else:
        obj["metadata"].pop("generation", None)
    if rule := CREATE.get(key):
        rule(obj, context)


def prepare_update(resource_type: ResourceType, new: Object, old: Object, subresource: str, context: Context) -> None:
    """Bring a changed object (in the stored version) in line with what this kind of update may touch, in place."""
    key = resource_type.storage_key
    _keep(new["metadata"], old["metadata"], "generation")
    if resource_type.crd_version is not None:
        _prepare_custom(resource_type, new, old, subresource)
        return
    if subresource == "status":
        _status_only(new, old)
    if part := PARTS.get((key, subresource)):
        part(new, old, context)
    elif subresource != "status" and has_status(resource_type):
        _keep(new, old, "status")
    if rule := UPDATE.get(key):
        rule(new, old, subresource, context)
    if subresource != "status" and key in GENERATION and _desired(new) != _desired(old):
        new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1


def _empty_status(resource_type: ResourceType) -> Object:
    """A status that says nothing yet, with the zero values that a server shows."""
    status: Object = {}
    schema = schemas.for_kind(resource_type.storage_api_version, resource_type.kind)
    part = schema.properties.get("status") if schema is not None else None
    if part is not None:
        schemas.decode(status, part)
    return status


def _desired(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status", "kind", "apiVersion")}


def _keep(new: Object, old: Object, name: str) -> None:
    if name in old:
        new[name] = old[name]
    else:
        new.pop(name, None)


def _status_only(new: Object, old: Object) -> None:
    """A /status update changes the status and, of the metadata, what does not describe the object itself."""
    for name in set(new) | set(old):
        if name not in ("metadata", "status"):
            _keep(new, old, name)
    new_meta, old_meta = new["metadata"], old["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"):
        _keep(new_meta, old_meta, name)


def _prepare_custom(resource_type: ResourceType, new: Object, old: Object, subresource: str) -> None:
    status_enabled = has_status(resource_type)
    if subresource == "status":
        for name in set(new) | set(old):
            if name not in ("metadata", "status"):
                _keep(new, old, name)
        managed = new["metadata"].get("managedFields")
        new["metadata"] = dict(old["metadata"])
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        return
    if status_enabled:
        _keep(new, old, "status")
    ignored = ("metadata", "kind", "apiVersion", "status") if status_enabled else ("metadata", "kind", "apiVersion")
    if {k: v for k, v in new.items() if k not in ignored} != {k: v for k, v in old.items() if k not in ignored}:
        new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1
