# SPDX-License-Identifier: Apache-2.0
"""The scale subresource of workloads and of custom resources that declare one."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from kubetwin.apiserver import clock, encode
from kubetwin.apiserver import schema as schemas
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.fields import managed
from kubetwin.apiserver.negotiate import MediaType
from kubetwin.apiserver.patch import json_patch, merge_patch, strategic
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.rest import patching, pipeline, write
from kubetwin.apiserver.rest.read import find
from kubetwin.apiserver.schema import TypeMismatch, clone
from kubetwin.apiserver.status import Cause, bad_request, conflict, internal_error, invalid
from kubetwin.apiserver.store import Object
from kubetwin.decoding import UNREADABLE
from kubetwin.serving import query
from kubetwin.serving.http import Response

SCALE = ResourceType("autoscaling", "v1", "scales", "Scale", "scale", True, "ScaleList", storage_group="autoscaling")


def _paths(resource_type: ResourceType) -> tuple[str, str, str]:
    """Where the object keeps desired replicas, current replicas and its selector as text."""
    if resource_type.crd_version is None:
        return ("spec.replicas", "status.replicas", "")
    declared = resource_type.crd_version["subresources"]["scale"]
    return (
        declared["specReplicasPath"].removeprefix("."),
        declared["statusReplicasPath"].removeprefix("."),
        (declared.get("labelSelectorPath") or "").removeprefix("."),
    )


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _put(obj: Object, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = value


def selector_text(selector: dict[str, Any] | None) -> str:
    """A label selector object in the form of a query parameter."""
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{k}={v}" for k, v in sorted(selector.items()))
    terms = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or ():
        key, values = term["key"], ",".join(sorted(term.get("values") or ()))
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[term["operator"]]
        )
    # By key, which is not the order of the texts; a stable sort, as the real selector's.
    return ",".join(sorted(terms, key=_key_of))


def _key_of(term: str) -> str:
    return re.split(r"[ =]", term.removeprefix("!"), maxsplit=1)[0]


def scale_of(obj: Object, resource_type: ResourceType) -> Object:
    """The Scale of an object."""
    desired, current, selector = _paths(resource_type)
    meta = obj["metadata"]
    shown = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    wanted = _at(obj, desired)
    status: dict[str, Any] = {"replicas": _at(obj, current) or 0}
    text = _at(obj, selector) if selector else selector_text((obj.get("spec") or {}).get("selector"))
    if text:
        status["selector"] = text
    spec = {"replicas": wanted} if wanted else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status}


def handle(call: Call) -> Response:
    media = call.accept()
    verb = call.info.verb
    if verb == "get":
        obj = find(call).obj
        desired, _, _ = _paths(call.type)
        if _at(obj, desired) is None and call.type.crd_version is not None:
            raise internal_error(f'the spec replicas field ".{desired}" does not exist')
        scale = scale_of(obj, call.type)
        return _answer(call, scale, media)
    kind = patching.patch_type(call, scale=True) if verb == "patch" else ""
    dry_run = call.dry_run
    applied = kind == patching.APPLY
    if applied:
        patching.check_options(call, kind)
        config = yaml.safe_load(call.request.body) or {}
        transform = _applier(call, config)
    else:
        transform = _changer(call, kind)
    entry, _ = write.update_object(call, transform, dry_run=dry_run, subresource="scale", applied=applied)
    return _answer(call, scale_of(entry.obj, call.type), media)


def _answer(call: Call, scale: Object, media: MediaType) -> Response:
    if media.target == "Table":
        include = call.request.param("includeObject")
        table = encode.table_of([scale], call.type, include, media.version, subresource="scale")
        table["metadata"] = {"resourceVersion": scale["metadata"].get("resourceVersion", "")}
        return encode.render(msgspec.json.encode(table), media)
    return encode.render(msgspec.json.encode(scale), media)


def _applier(call: Call, config: Object) -> write.Transform:
    desired, _, _ = _paths(call.type)
    wanted: Object = {"apiVersion": call.type.api_version, "kind": call.type.kind, "metadata": {"name": call.name}}
    replicas = (config.get("spec") or {}).get("replicas")
    if replicas is not None:
        _put(wanted, desired, replicas)

    def transform(old: Object) -> Object:
        return managed.apply(
            old,
            wanted,
            manager=call.field_manager,
            force=query.flag(call.request, "force"),
            schema=pipeline.schema_of(call.type),
            api_version=call.type.api_version,
            subresource="scale",
            now=clock.now(),
        )

    return transform


def _changer(call: Call, kind: str) -> write.Transform:
    desired, _, _ = _paths(call.type)
    schema = schemas.for_kind("autoscaling/v1", "Scale")
    body: Any = None
    if kind:
        try:
            body = msgspec.json.decode(call.request.body)
        except UNREADABLE as error:
            raise bad_request(f"error decoding patch: {error}") from None

    def transform(old: Object) -> Object:
        current = scale_of(old, call.type)
        if not kind:
            scale, _ = pipeline.parse_body(call)
            pipeline.check_kind(scale, SCALE)
        elif kind == patching.JSON_PATCH:
            scale = json_patch.apply(current, body)
        elif kind == patching.MERGE_PATCH or schema is None:
            scale = clone(merge_patch.apply(current, body))
        else:
            scale = clone(strategic.apply(current, body, schema))
        if schema is not None:
            try:
                schemas.decode(scale, schema)
            except TypeMismatch as error:
                raise pipeline.decoding_error(SCALE, str(error)) from None
        return _merged(call, old, scale, desired)

    return transform


def _merged(call: Call, old: Object, scale: Object, desired: str) -> Object:
    meta = scale.get("metadata") or {}
    write.check_name(call, meta)
    version, uid = write.named_version(meta), meta.get("uid")
    if version and version != int(old["metadata"]["resourceVersion"]):
        raise conflict(call.type.group_resource, call.name)
    if uid and uid != old["metadata"]["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise conflict(call.type.group_resource, call.name, text)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        cause = Cause.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale.autoscaling", call.name, [cause])
    new = clone(old)
    _put(new, desired, replicas)
    return new
