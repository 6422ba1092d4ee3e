# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a request to an object: decoding, strict checks, defaults, ownership of fields."""

from __future__ import annotations

from collections.abc import Iterable

from kubetwin.apiserver import defaults, protobuf
from kubetwin.apiserver import schema as schemas
from kubetwin.apiserver.call import Call, meta_of
from kubetwin.apiserver.fields import managed
from kubetwin.apiserver.negotiate import PROTOBUF, YAML, body_type
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.schema import Schema, TypeMismatch
from kubetwin.apiserver.status import ApiError, Cause, bad_request, invalid
from kubetwin.apiserver.store import Object
from kubetwin.apiserver.validation import strict


def schema_of(resource_type: ResourceType) -> Schema | None:
    if resource_type.crd_version is not None:
        return resource_type.schema
    return schemas.for_kind(resource_type.api_version, resource_type.kind)


def parse_body(call: Call) -> tuple[Object, list[str]]:
    """The body as a mapping, and the complaints about its duplicate fields; raises ApiError 400 or 415."""
    media = body_type(call.request.headers.get("content-type", ""))
    if media == PROTOBUF:
        try:
            return protobuf.decode(call.request.body), []
        except protobuf.ProtobufError as error:
            raise bad_request(str(error)) from None
    kind = call.type.kind
    if media == YAML:
        obj, repeated = strict.decode_yaml(call.request.body, kind)
        return obj, [_unmarshal_errors(repeated)] if repeated else []
    obj, paths = strict.decode_json(call.request.body, kind)
    return obj, duplicate_fields(paths)


def duplicate_fields(paths: Iterable[str]) -> list[str]:
    """What strict decoding says of fields that a JSON document has twice."""
    return [f'duplicate field "{path}"' for path in paths]


def _unmarshal_errors(lines: list[str]) -> str:
    return "\n".join(["yaml: unmarshal errors:", *(f"  {line}" for line in lines)])


_SCHEME = '"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"'


def decode_body(call: Call, resource_type: ResourceType) -> Object:
    """The object in the body, decoded and defaulted, in the API version of ``resource_type``."""
    obj, duplicates = parse_body(call)
    if resource_type.crd_version is not None:
        if not obj.get("kind"):
            raise strict.kind_missing(call.request.body, resource_type.kind)
        obj.setdefault("apiVersion", "")
    check_kind(obj, resource_type)
    conform(call, obj, resource_type, duplicates)
    return obj


def check_kind(obj: Object, resource_type: ResourceType, *, patched: str = "") -> None:
    """Fill in or check ``kind`` and ``apiVersion``; raises ApiError 400 when they are another resource's, and 422 for
    the result of a patch, which errors quote as ``patched``."""
    kind = obj.get("kind") or resource_type.kind
    custom = resource_type.crd_version is not None
    api_version = obj.get("apiVersion", "") if custom else obj.get("apiVersion") or resource_type.api_version
    if api_version != resource_type.api_version:
        if not custom and "/" not in api_version and not resource_type.group:
            raise bad_request(
                f'{kind} in version "{api_version}" cannot be handled as a {resource_type.kind}: no kind "{kind}" is'
                f' registered for version "{api_version}" in scheme {_SCHEME}'
            )
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version"
            f" ({resource_type.api_version})"
        )
    if kind != resource_type.kind and resource_type.crd_version is not None:
        group = f"{kind}.{resource_type.group}"
        cause = Cause.invalid("kind", kind, f"must be {resource_type.kind}")
        raise invalid(group, str((obj.get("metadata") or {}).get("name", "")), [cause])
    if kind != resource_type.kind:
        why = _wrong_kind(kind, resource_type)
        if patched:
            raise _patch_error(patched, why)
        text = f'{kind} in version "{resource_type.version}" cannot be handled as a {resource_type.kind}: {why}'
        raise bad_request(text)
    obj["kind"], obj["apiVersion"] = kind, api_version


def _wrong_kind(kind: str, wanted: ResourceType) -> str:
    if schemas.for_kind(wanted.api_version, kind) is None:
        return f'no kind "{kind}" is registered for version "{wanted.api_version}" in scheme {_SCHEME}'
    internal = wanted.group.partition(".")[0] or "core"
    return f"converting ({wanted.version}.{kind}) to ({internal}.{wanted.kind}): unknown conversion"


def conform(
    call: Call, obj: Object, resource_type: ResourceType, duplicates: list[str] | None = None, patched: str = ""
) -> None:
    """Typed decoding and defaulting of a parsed object, in place; unknown fields as ``fieldValidation`` says.

    ``duplicates`` are complaints found before; ``patched`` is the text that errors quote when the object is the result
    of a patch.
    """
    meta_of(obj)
    schema = schema_of(resource_type)
    if schema is None:
        return
    custom = resource_type.crd_version is not None
    try:
        unknown = schemas.decode(obj, schema, custom=custom)
    except TypeMismatch as error:
        raise _patch_error(patched, str(error)) if patched else decoding_error(resource_type, str(error)) from None
    complaints = list(duplicates or ())
    complaints += [f'unknown field "{path}"' for path in unknown]
    if patched and complaints and call.field_validation == "Strict":
        raise _patch_error(patched, "strict decoding error: " + ", ".join(complaints))
    report(call, resource_type, complaints)
    defaults.apply(resource_type.api_version, resource_type.kind, obj, schema if custom else None)


def _patch_error(patched: str, why: str) -> ApiError:
    return invalid("", "", [Cause.invalid("patch", patched, why)])


def report(call: Call, resource_type: ResourceType, complaints: list[str]) -> None:
    """Warn of, or refuse, what strict decoding found, as ``fieldValidation`` says."""
    if not complaints or call.field_validation == "Ignore":
        return
    if call.field_validation == "Strict":
        raise decoding_error(resource_type, "strict decoding error: " + ", ".join(complaints))
    # A header takes no line breaks: what has one is not said at all.
    call.warnings.extend(text for text in complaints if "\n" not in text)


def decoding_error(resource_type: ResourceType, why: str) -> ApiError:
    kind, version = resource_type.kind, resource_type.version
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')


def own(call: Call, old: Object | None, new: Object, now: str, subresource: str = "") -> None:
    """Record in ``new``'s managedFields that the request's manager set what differs from ``old``."""
    managed.update(
        old,
        new,
        manager=call.field_manager,
        schema=schema_of(call.type),
        api_version=call.type.api_version,
        subresource=subresource,
        now=now,
        has_status="status" in call.type.subresources,
    )


def decode_apply(call: Call) -> Object:
    """The configuration in an apply request (YAML, of which JSON is a part); raises ApiError 400."""
    found, repeated = strict.decode_apply(call.request.body)
    wanted = call.type
    api_version, kind = str(found.get("apiVersion") or ""), str(found.get("kind") or "")
    if (api_version, kind) != (wanted.api_version, wanted.kind):
        shown = api_version if "/" in api_version else f"/{api_version}"
        raise bad_request(f"invalid object type: {shown}, Kind={kind}")
    if repeated and call.field_validation == "Strict":
        why = _unmarshal_errors(repeated)
        raise bad_request(f"error strict decoding YAML: error converting YAML to JSON: {why}")
    if call.field_validation != "Ignore":
        call.warnings.extend(repeated)
    return found
