# SPDX-License-Identifier: Apache-2.0
"""watch: a stream of changes, with initial events, bookmarks and a time limit."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from kubetwin.apiserver import encode
from kubetwin.apiserver.call import WATCH_TARGETS, Call
from kubetwin.apiserver.negotiate import MediaType
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.rest.read import Selection, parse_version
from kubetwin.apiserver.status import ApiError, Cause, invalid
from kubetwin.apiserver.store import Change, Entry
from kubetwin.serving import query
from kubetwin.serving.http import Response

MIN_TIMEOUT = 1800
"""Seconds a watch lasts at least when the client names no limit (the real server's --min-request-timeout)."""
QUEUE_LIMIT = 100_000
"""Changes that may wait for a slow reader before its watch is ended."""
_encode = msgspec.json.Encoder().encode
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def _check_options(call: Call) -> bool | None:
    """Whether initial events were asked for (a streaming list), None when nothing was said of them."""
    match = call.request.param("resourceVersionMatch")
    initial = query.boolean(call.request, "sendInitialEvents")
    causes = []
    if initial is not None and match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(Cause.forbidden("resourceVersionMatch", text))
    if match and initial is None:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(Cause.forbidden("resourceVersionMatch", text))
    if match and match != "NotOlderThan":
        text = 'supported values: "NotOlderThan"'
        causes.append(Cause.of("FieldValueNotSupported", "resourceVersionMatch", match, text))
    if causes:
        raise invalid("ListOptions.meta.k8s.io", "", causes)
    return initial


def watch(call: Call) -> Response:
    media = call.accept(WATCH_TARGETS)
    if media.yaml:
        media = MediaType(target=media.target)
    initial = _check_options(call)
    selection = Selection.of(call)
    requested = call.request.param("resourceVersion")
    version = parse_version(requested)
    timeout = float(query.integer(call.request, "timeoutSeconds") or 0) or MIN_TIMEOUT * (1 + random.random())
    watcher = Watcher(call, selection, media, timeout)
    snapshot = initial or (initial is None and requested in ("", "0"))
    if snapshot:
        watcher.start_with_state()
    elif version:
        watcher.start_after(version)
    else:
        watcher.start_now()
    headers = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    return Response(200, headers, stream=watcher.stream())


class Watcher:
    """One client's watch. It listens from construction until its stream ends."""

    def __init__(self, call: Call, selection: Selection, media: MediaType, timeout: float) -> None:
        self._type: ResourceType = call.type
        self._store = call.cluster.store
        self._collection = call.collection
        self._selection = selection
        self._prefix = f"{call.namespace}/" if call.namespace else ""
        self._target = media.target
        self._version = media.version
        self._include = call.request.param("includeObject")
        self._bookmarks = query.flag(call.request, "allowWatchBookmarks")
        self._bookmark_interval = call.cluster.settings.bookmark_interval
        self._timeout = timeout
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._headers_sent = False
        self._last_sent = 0
        self.faults = call.cluster.faults
        self.request = call.request

    def start_with_state(self) -> None:
        """What is there comes first; its end is announced to who takes bookmarks, also where only an old-style watch
        (without a version, or from 0) was asked for. Source: ``SetListOptionsDefaults`` of apimachinery."""
        for entry in self._collection.scan(self._prefix.rstrip("/")):
            if self._selection(entry):
                self._queue.append(self._encode("ADDED", entry, None))
        if self._bookmarks:
            self._queue.append(self._bookmark({INITIAL_EVENTS_END: "true"}))
        self.start_now()

    def start_after(self, version: int) -> None:
        try:
            missed = self._collection.since(version)
        except ApiError as error:
            # After authorization and parsing, a real server reports this inside the stream.
            self._queue.append(_event("ERROR", _encode(error.to_status())))
            self._ended = True
            return
        for change in missed:
            self._on_change(change)
        self.start_now()

    def start_now(self) -> None:
        self._collection.watchers.add(self._on_change)

    def _on_change(self, change: Change) -> None:
        if self._prefix and not change.entry.key.startswith(self._prefix):
            return
        kind = change.kind
        if self._selection.everything:
            entry = change.entry
        else:
            now = kind != "DELETED" and self._selection(change.entry)
            before = change.previous is not None and self._selection(change.previous)
            if not now and not before:
                return
            entry = change.entry
            if now:
                kind = "MODIFIED" if before else "ADDED"
            else:
                if kind != "DELETED" and change.previous is not None:
                    entry = _previous_at(change.previous, change.version)
                kind = "DELETED"
        if len(self._queue) >= QUEUE_LIMIT:
            self._ended = True
        else:
            self._queue.append(self._encode(kind, entry, change))
        self._last_sent = change.version
        self._wake.set()

    def _encode(self, kind: str, entry: Entry, change: Change | None) -> bytes:
        if self._target == "Table":
            table = encode.make_table([entry], self._type, self._include, self._version)
            table["metadata"] = {"resourceVersion": entry.obj["metadata"]["resourceVersion"]}
            if self._headers_sent:
                table["columnDefinitions"] = None
            self._headers_sent = True
            return _event(kind, _encode(table))
        shared = change is not None and entry is change.entry
        key = (kind, self._type.api_version, f"{self._target}/{self._version}")
        if shared and change is not None and (known := change.encoded.get(key)) is not None:
            return known
        if self._target:
            body = _encode(encode.partial_metadata(entry.obj, self._version))
        else:
            body = encode.entry_json(entry, self._type)
        event = _event(kind, body)
        if shared and change is not None:
            change.encoded[key] = event
        return event

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        obj: dict[str, Any] = {"kind": self._type.kind, "apiVersion": self._type.api_version, "metadata": meta}
        if self._target:
            obj = encode.partial_metadata(obj, self._version)
        if self._target == "Table":
            row = {"cells": [], "object": obj}
            obj = {
                "kind": "Table",
                "apiVersion": f"meta.k8s.io/{self._version}",
                "metadata": {"resourceVersion": meta["resourceVersion"]},
                "columnDefinitions": None,
                "rows": [row],
            }
        return _event("BOOKMARK", _encode(obj))

    async def stream(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        next_bookmark = loop.time() + self._bookmark_interval
        try:
            while True:
                if self.faults is not None:
                    await self.faults.watch_gate(self.request)
                if self._queue:
                    chunk = b"".join(self._queue)
                    self._queue.clear()
                    yield chunk
                    continue
                if self._ended:
                    return
                self._wake.clear()
                now = loop.time()
                if now >= deadline:
                    if self._bookmarks:
                        yield self._bookmark()
                    return
                if self._bookmarks and now >= next_bookmark:
                    next_bookmark = now + self._bookmark_interval
                    yield self._bookmark()
                    continue
                until = min(deadline, next_bookmark) if self._bookmarks else deadline
                handle = loop.call_at(until, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    handle.cancel()
        finally:
            self._collection.watchers.discard(self._on_change)


def _event(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def _previous_at(previous: Entry, version: int) -> Entry:
    """The last state that matched a selector, under the version at which it stopped matching."""
    obj = {**previous.obj, "metadata": {**previous.obj["metadata"], "resourceVersion": str(version)}}
    return Entry(previous.key, obj, version)
