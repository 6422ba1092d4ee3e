# SPDX-License-Identifier: Apache-2.0
"""Objects, lists and Status objects as answers, in the representation that was asked for."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import yaml

from kubetwin.apiserver import convert
from kubetwin.apiserver.negotiate import MediaType
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.status import ApiError, bad_request
from kubetwin.apiserver.store import Entry, Object, encode_tail, head
from kubetwin.serving.http import Response

_encode = msgspec.json.Encoder().encode
GZIP_THRESHOLD = 128 * 1024
"""Bytes above which an answer is compressed for a client that accepts gzip, as the real server's."""


def json_response(obj: Any, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, _encode(obj) + b"\n")


def pretty_response(obj: Any) -> Response:
    """For documents that are always indented (apiserver's ``WriteRawJSON``)."""
    return Response(200, {"Content-Type": "application/json"}, msgspec.json.format(_encode(obj), indent=2), fixed=True)


def indent(response: Response) -> None:
    """Indent an object in place, as Go's ``MarshalIndent``; other answers stay as they are."""
    if response.body and not response.fixed and response.headers.get("Content-Type") == "application/json":
        response.body = msgspec.json.format(response.body, indent=2)


def error_response(error: ApiError, yaml_wanted: bool = False) -> Response:
    response = render(_encode(error.to_status()), MediaType(yaml=yaml_wanted), error.code)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def render(body: bytes, media: MediaType, status: int = 200) -> Response:
    """A response of JSON bytes, as YAML when that was asked for."""
    if media.yaml:
        body = yaml.dump(msgspec.json.decode(body), Dumper=_Dumper, allow_unicode=True, width=4096).encode()
    else:
        body += b"\n"
    return Response(status, {"Content-Type": media.content_type}, body)


_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]
    """Writes strings as Go does: plain where that is safe, else in double quotes, several lines as a block."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None
        if "\n" in text:
            style = "|"
        elif self.resolve(yaml.ScalarNode, text, (True, False)) != "tag:yaml.org,2002:str":
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # type: ignore[no-any-return]


_Dumper.add_representer(str, _Dumper.represent_text)


def compress(response: Response, accept_encoding: str) -> None:
    """Compress a big body in place if the client accepts gzip."""
    if response.body is None or len(response.body) < GZIP_THRESHOLD or "gzip" not in accept_encoding:
        return
    response.body = gzip.compress(response.body, compresslevel=1, mtime=0)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"


def entry_json(entry: Entry, resource_type: ResourceType) -> bytes:
    """One object in the API version of ``resource_type``."""
    return head(resource_type.kind, resource_type.api_version) + entry_tail(entry, resource_type)


def entry_tail(entry: Entry, resource_type: ResourceType) -> bytes:
    if not resource_type.converts or resource_type.crd_version is not None:
        return entry.tail
    return encode_tail(convert.from_storage(entry.obj, resource_type))


def objects_of(entries: Iterable[Entry], resource_type: ResourceType) -> list[Object]:
    """The entries as (shared, not to be changed) objects in the API version of ``resource_type``."""
    if not resource_type.converts:
        return [entry.obj for entry in entries]
    return [convert.from_storage(entry.obj, resource_type) for entry in entries]


def partial_metadata(obj: Object, version: str = "v1") -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def object_response(
    entry: Entry, resource_type: ResourceType, media: MediaType, status: int = 200, include_object: str = ""
) -> Response:
    if media.target == "PartialObjectMetadata":
        return render(_encode(partial_metadata(entry.obj, media.version)), media, status)
    if media.target == "Table":
        table = make_table([entry], resource_type, include_object, media.version)
        table["metadata"] = {"resourceVersion": entry.obj["metadata"].get("resourceVersion", "")}
        return render(_encode(table), media, status)
    return render(entry_json(entry, resource_type), media, status)


def make_table(
    entries: Sequence[Entry], resource_type: ResourceType, include_object: str, version: str = "v1"
) -> dict[str, Any]:
    """Raises ApiError 400 for an unknown ``includeObject`` value."""
    return table_of(objects_of(entries, resource_type), resource_type, include_object, version)


def table_of(
    objects: Sequence[Object], resource_type: ResourceType, include_object: str, version: str, subresource: str = ""
) -> dict[str, Any]:
    """The Table of objects that may not be stored (a Scale). Raises as ``make_table``."""
    from kubetwin.apiserver import tables

    if include_object not in ("", "None", "Metadata", "Object"):
        raise bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include_object}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )
    include: tables.IncludeObject = "Metadata"
    if include_object == "None":
        include = "None"
    elif include_object == "Object":
        include = "Object"
    return tables.table(resource_type, objects, include_object=include, subresource=subresource, version=version)


def list_meta(version: int, token: str = "", remaining: int | None = None, *, custom: bool = False) -> dict[str, Any]:
    """``custom``: lists of custom resources show an empty ``continue``."""
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if token or custom:
        meta["continue"] = token
    if remaining is not None:
        meta["remainingItemCount"] = remaining
    return meta


def list_response(
    entries: Sequence[Entry],
    resource_type: ResourceType,
    media: MediaType,
    meta: dict[str, Any],
    include_object: str = "",
) -> Response:
    if media.target == "Table":
        table = make_table(entries, resource_type, include_object, media.version)
        table["metadata"] = meta
        return render(_encode(table), media)
    if media.target == "PartialObjectMetadataList":
        partial = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{media.version}",
            "metadata": meta,
            "items": [partial_metadata(entry.obj, media.version) for entry in entries],
        }
        return render(_encode(partial), media)
    # Items of built-in lists carry no kind and apiVersion; those of custom resources do.
    custom = resource_type.crd_version is not None
    opening = head(resource_type.kind, resource_type.api_version) if custom else b"{"
    start = head(resource_type.list_kind, resource_type.api_version) + b'"metadata":' + _encode(meta) + b',"items":['
    if resource_type.converts and not custom:
        tails = [entry_tail(entry, resource_type) for entry in entries]
    else:
        tails = [entry.tail for entry in entries]
    # One join: a list may be tens of megabytes, and every further step would copy all of it.
    between = b"," + opening
    parts = [start]
    for tail in tails:
        parts.append(between if len(parts) > 1 else opening)
        parts.append(tail)
    if media.yaml:
        parts.append(b"]}")
        return render(b"".join(parts), media)
    parts.append(b"]}\n")
    return Response(200, {"Content-Type": media.content_type}, b"".join(parts))
