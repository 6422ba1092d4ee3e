# SPDX-License-Identifier: Apache-2.0
"""get and list."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from itertools import islice

import msgspec

from kubetwin.apiserver import encode, selectors
from kubetwin.apiserver.call import LIST_TARGETS, Call
from kubetwin.apiserver.status import ApiError, Cause, bad_request, expired, invalid, not_found, too_large_version
from kubetwin.apiserver.store import Entry
from kubetwin.decoding import UNREADABLE
from kubetwin.gojson import syntax_error
from kubetwin.serving import query
from kubetwin.serving.http import Response

_EXPIRED = "The provided continue parameter is too old "
INCONSISTENT = (
    _EXPIRED + "to display a consistent list result. You can start a new list without the continue parameter, or use "
    "the continue token in this response to retrieve the remainder of the results. Continuing with the provided token "
    "results in an inconsistent list - objects that were created, modified, or deleted between the time the first "
    "chunk was returned and now may show up in the list."
)


def get(call: Call) -> Response:
    media = call.accept()
    entry = find(call)
    version = parse_version(call.request.param("resourceVersion"))
    current = call.cluster.store.version
    if version > current:
        raise too_large_version(version, current)
    return encode.object_response(entry, call.type, media, include_object=call.request.param("includeObject"))


def find(call: Call) -> Entry:
    """The object that the path names; raises ApiError 404."""
    entry = call.collection.get(call.namespace, call.name)
    if entry is None:
        raise not_found(call.type.group_resource, call.name)
    return entry


def parse_version(text: str) -> int:
    """A resourceVersion parameter as a number (none: 0); raises ApiError 400 for anything else."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        cause = Cause.invalid("resourceVersion", text, f'strconv.ParseUint: parsing "{text}": invalid syntax')
        raise bad_request(f"invalid resource version: {cause.text}")
    return int(text)


@dataclass(slots=True)
class Selection:
    """The label and field selectors of a request."""

    labels: selectors.LabelMatch | None
    fields: selectors.FieldMatch | None

    @classmethod
    def of(cls, call: Call) -> Selection:
        labels = selectors.parse_labels(call.request.param("labelSelector"))
        fields = selectors.parse_fields(call.request.param("fieldSelector"), call.type)
        if call.info.name:
            name = fields.exact("metadata.name") if fields else None
            if fields and name != call.info.name:
                raise bad_request("fieldSelector metadata.name doesn't match requested name")
            if fields is None:
                fields = selectors.FieldMatch((("metadata.name", True, call.info.name),))
        return cls(labels, fields)

    @property
    def everything(self) -> bool:
        return self.labels is None and self.fields is None

    def __call__(self, entry: Entry) -> bool:
        if self.labels is not None and not self.labels(entry.obj["metadata"].get("labels") or {}):
            return False
        return self.fields is None or self.fields(entry.obj)


def _check_options(call: Call) -> None:
    match = call.request.param("resourceVersionMatch")
    version = call.request.param("resourceVersion")
    causes = []
    if match:
        if not version:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            causes.append(Cause.forbidden("resourceVersionMatch", text))
        if call.request.param("continue"):
            text = "resourceVersionMatch is forbidden when continue is provided"
            causes.append(Cause.forbidden("resourceVersionMatch", text))
        if match not in ("Exact", "NotOlderThan"):
            text = 'supported values: "Exact", "NotOlderThan", ""'
            causes.append(Cause.of("FieldValueNotSupported", "resourceVersionMatch", match, text))
        if match == "Exact" and version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            causes.append(Cause.forbidden("resourceVersionMatch", text))
    if query.boolean(call.request, "sendInitialEvents") is not None:
        causes.append(Cause.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if causes:
        raise invalid("ListOptions.meta.k8s.io", "", causes)


def list_objects(call: Call) -> Response:
    media = call.accept(LIST_TARGETS)
    entries, meta = select(call)
    return encode.list_response(entries, call.type, media, meta, call.request.param("includeObject"))


def select(call: Call) -> tuple[list[Entry], dict[str, object]]:
    """The page of objects that the request's selectors, limit and version choose, and the list's metadata."""
    _check_options(call)
    selection = Selection.of(call)
    store, collection = call.cluster.store, call.collection
    token = call.request.param("continue")
    # A list has no use for a time limit, but refuses what is none.
    _, limit = query.integer(call.request, "timeoutSeconds"), query.integer(call.request, "limit") or 0
    limit = max(limit, 0)
    requested = call.request.param("resourceVersion")
    version, start = store.version, ""
    if token:
        if requested not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        at, start = decode_continue(token)
        if at > 0:
            version = at
            if at < collection.floor:
                raise _expired_continue(start)
        found = iter(collection.at(version, call.namespace)) if at > 0 else collection.scan(call.namespace)
    else:
        wanted = parse_version(requested)
        if wanted > store.version:
            raise too_large_version(wanted, store.version)
        exact = call.request.param("resourceVersionMatch") == "Exact" or (
            wanted > 0 and limit > 0 and not call.request.param("resourceVersionMatch")
        )
        if exact and wanted:
            version = wanted
            found = iter(collection.at(version, call.namespace))
        else:
            if requested == "0":
                limit = 0
            found = collection.scan(call.namespace)
    if start:
        found = (entry for entry in found if entry.key >= start)
    if not selection.everything:
        found = filter(selection, found)
    if not limit:
        return list(found), encode.list_meta(version, custom=call.type.crd_version is not None)
    page = list(islice(found, limit + 1))
    if len(page) <= limit:
        return page, encode.list_meta(version, custom=call.type.crd_version is not None)
    page.pop()
    remaining = 1 + sum(1 for _ in found) if selection.everything else None
    return page, encode.list_meta(version, encode_continue(version, page[-1].key + "\0"), remaining)


def encode_continue(version: int, start: str) -> str:
    raw = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_continue(token: str) -> tuple[int, str]:
    """The version and the first key of a continue token; raises ApiError 400."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None
    try:
        data = msgspec.json.decode(raw)
        if data["v"] != "meta.k8s.io/v1":
            raise ValueError(f'server does not recognize this encoded version "{data["v"]}"')
        return int(data["rv"]), str(data["start"])
    except UNREADABLE as error:
        # Read byte by byte, as Go's decoder does.
        problem = syntax_error(raw.decode("latin-1")) or str(error)
        raise bad_request(f"invalid continue token: continue key is not valid: {problem}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None


def _expired_continue(start: str) -> ApiError:
    error = expired(INCONSISTENT)
    error.list_continue = encode_continue(-1, start)
    return error
