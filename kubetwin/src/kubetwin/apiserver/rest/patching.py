# SPDX-License-Identifier: Apache-2.0
"""patch, of all types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kubetwin.apiserver import clock, encode
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.fields import managed
from kubetwin.apiserver.patch import json_patch, merge_patch, strategic
from kubetwin.apiserver.rest import pipeline, write
from kubetwin.apiserver.schema import clone
from kubetwin.apiserver.status import (
    Cause,
    bad_request,
    conflict,
    invalid,
    unsupported_media_type,
    unsupported_patch_type,
)
from kubetwin.apiserver.store import Object
from kubetwin.apiserver.validation import strict
from kubetwin.decoding import UNREADABLE
from kubetwin.gojson import syntax_error
from kubetwin.serving import query
from kubetwin.serving.http import Response

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def patch_type(call: Call, scale: bool = False) -> str:
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    accepted = [JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY]
    if call.type.crd_version is not None and not scale:
        accepted.remove(STRATEGIC)
    if kind not in accepted:
        raise unsupported_patch_type() if call.type.crd_version is None else unsupported_media_type(accepted)
    return kind


def patch(call: Call, subresource: str = "") -> Response:
    media = call.accept()
    kind = patch_type(call)
    dry_run = write.check_options(call)
    check_options(call, kind)
    if kind == APPLY:
        return _apply(call, subresource, dry_run)
    body, duplicates = _read(call, kind)
    change = patcher(call, kind, body)

    def transform(old: Object) -> Object:
        new = change(old)
        shown = _go_map(body) if kind == STRATEGIC else msgspec.json.encode(_patched_order(new, body)).decode()
        pipeline.check_kind(new, call.type, patched=shown)
        pipeline.conform(call, new, call.type, duplicates, patched=shown)
        write.check_namespace(call, new["metadata"])
        write.check_name(call, new["metadata"])
        return new

    entry, _ = write.update_object(call, transform, dry_run=dry_run, subresource=subresource)
    return encode.object_response(entry, call.type, media)


def _read(call: Call, kind: str) -> tuple[Any, list[str]]:
    """The patch, and the complaints about fields that appear in it more than once."""
    try:
        body = msgspec.json.decode(call.request.body)
    except UNREADABLE as error:
        problem = syntax_error(call.request.body.decode("utf-8", "replace")) or str(error)
        raise bad_request(problem if kind == STRATEGIC else f"error decoding patch: {problem}") from None
    if not isinstance(body, dict):
        if kind != JSON_PATCH:
            names = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
            found = names.get(type(body), "null")
            what = f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            raise bad_request(f"error decoding patch: {what}")
        return body, []
    return body, pipeline.duplicate_fields(strict.decode_json(call.request.body)[1])


def _patched_order(value: Any, patch: Any) -> Any:
    """The document as a server quotes it: what the patch went through comes out with its keys sorted."""
    if not isinstance(value, dict):
        return value
    inside = patch if isinstance(patch, dict) else {}
    return {
        name: _patched_order(item, inside[name]) if name in inside else item for name, item in sorted(value.items())
    }


def _go_map(value: Any) -> str:
    """A JSON value as Go's ``%v`` prints it: that is how a server quotes a strategic merge patch."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_map(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_map(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def patcher(call: Call, kind: str, body: Any) -> Callable[[Object], Object]:
    """What applies a patch to a document."""
    if kind == JSON_PATCH:
        return lambda old: json_patch.apply(old, body)
    if kind == MERGE_PATCH:
        return lambda old: clone(merge_patch.apply(old, body))
    schema = pipeline.schema_of(call.type)
    if schema is None:
        return lambda old: clone(merge_patch.apply(old, body))
    return lambda old: clone(strategic.apply(old, body, schema))


def check_options(call: Call, kind: str) -> None:
    causes = []
    if kind == APPLY:
        if not call.request.param("fieldManager"):
            causes.append(Cause.required("fieldManager", "is required for apply patch"))
    elif query.boolean(call.request, "force") is not None:
        causes.append(Cause.forbidden("force", "may not be specified for non-apply patch"))
    if causes:
        raise invalid("PatchOptions.meta.k8s.io", "", causes)


def _apply(call: Call, subresource: str, dry_run: bool) -> Response:
    """Server-side apply; creates the object when there is none (but no subresource)."""
    media = call.accept()
    applied = pipeline.decode_apply(call)
    meta = applied.get("metadata") or {}
    if meta.get("name", call.name) != call.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})")

    def transform(old: Object) -> Object:
        new = managed.apply(
            old or None,
            applied,
            manager=call.field_manager,
            force=query.flag(call.request, "force"),
            schema=pipeline.schema_of(call.type),
            api_version=call.type.api_version,
            subresource=subresource,
            now=clock.now(),
            has_status="status" in call.type.subresources,
        )
        uid = new["metadata"].get("uid")
        if uid and not old:
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(call.type.group_resource, call.name, why)
        pipeline.conform(call, new, call.type)
        write.check_namespace(call, new["metadata"])
        new["metadata"].setdefault("name", call.name)
        write.check_name(call, new["metadata"])
        return new

    entry, created = write.update_object(
        call, transform, dry_run=dry_run, subresource=subresource, applied=True, create_missing=True
    )
    return encode.object_response(entry, call.type, media, 201 if created else 200)
