# SPDX-License-Identifier: Apache-2.0
"""List and watch without end, so that a caller sees each change once and no deletion is lost.

- The watch asks for bookmarks, so that its position stays young, and for an end after about five minutes.
- When the position is too old (410, as an answer or within the stream) the list is read again; what vanished in between
  is delivered as DELETED, what came back under another uid as DELETED and ADDED.
- Resets and silence lead to a new watch from the last position. Silence: API servers send a bookmark about once a
  minute (apiserver, watch cache), so that a stream that says nothing for longer may be half-open; a watch that is taken
  up again costs one request and loses nothing. TCP keepalive finds dead peers earlier.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Literal, NamedTuple

import msgspec

from backout.cluster import answers
from backout.cluster.listing import decoder, everything, name_kind, path_of, selectors
from backout.cluster.port import Resource
from backout.cluster.wire import Wire, decode_failed, subject_of
from backout.errors import BackoutError, Expired
from backout.model.decoding import UNREADABLE

EventType = Literal["ADDED", "MODIFIED", "DELETED", "SYNCED"]

PERIOD = 300.0
"""Seconds after which the server ends a watch; jitter keeps many watches from ending together."""
SILENCE = 75.0
QUIET = 15.0
"""Seconds without a change after which the list is read again; for longer where that takes long."""
SHARE = 20
"""Reading the list again takes at most one part in so many of the time."""
PATIENCE = 120.0
"""Seconds of unbroken failure after which the last error is raised."""
FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0


class Timing(NamedTuple):
    """How long to wait for what, in seconds."""

    period: float = PERIOD
    silence: float = SILENCE
    patience: float = PATIENCE
    quiet: float = QUIET


class _HeadMeta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""


class _Head(msgspec.Struct):
    metadata: _HeadMeta


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


_Known = dict[tuple[str, str], tuple[_HeadMeta, Any]]


async def reflect(
    wire: Wire,
    type_: Any,
    resource: Resource,
    namespace: str = "",
    *,
    labels: str = "",
    fields: str = "",
    timing: Timing = Timing(),  # noqa: B008 - immutable
) -> AsyncIterator[tuple[EventType, Any]]:
    """Events of one collection: first what exists, then ``SYNCED`` (with None), then every change.

    Raises:
        BackoutError: the first list failed; or access was taken away; or nothing worked for ``timing.patience``.
    """
    known: _Known = {}
    decode = _decoder(type_, resource)
    version, synced = "", False
    failures, failing_since, quiet = 0, 0.0, timing.quiet
    while True:
        try:
            if not version:
                asked = time.monotonic()
                raws, version = await everything(wire, msgspec.Raw, resource, namespace, labels=labels, fields=fields)
                quiet = max(timing.quiet, SHARE * (time.monotonic() - asked))
                for event in _differences(known, raws, decode):
                    yield event
                if not synced:
                    synced = True
                    yield "SYNCED", None
            opened = changed = time.monotonic()
            async with aclosing(_lines(wire, resource, namespace, version, labels, fields, timing)) as lines:
                while (line := await _next(lines, changed + quiet)) is not None:
                    failures, failing_since = 0, 0.0
                    meta, event_ = _absorb(known, line, decode)
                    version = meta.resourceVersion or version
                    if event_ is not None:
                        yield event_
                        changed = time.monotonic()
            if time.monotonic() - opened > 1.0:
                failures, failing_since = 0, 0.0
                continue
        except TimeoutError:
            version = ""
            continue
        except Expired:
            version = ""
            if not synced:
                raise
        except BackoutError as error:
            failing_since = failing_since or time.monotonic()
            if not synced or not error.retryable or time.monotonic() - failing_since > timing.patience:
                raise
        failures += 1
        await asyncio.sleep(min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT) * random.uniform(0.5, 1.0))


async def _next(lines: AsyncGenerator[_Line], until: float) -> _Line | None:
    """The next line, or None after the last one.

    Raises:
        TimeoutError: there was none ``until`` then.
    """
    async with asyncio.timeout(max(0.001, until - time.monotonic())):
        return await anext(lines, None)


def _decoder(type_: Any, resource: Resource) -> Any:
    typed = decoder(type_)
    if type_ is not dict:
        return typed.decode
    return lambda raw: name_kind([typed.decode(raw)], resource)[0]


def _differences(known: _Known, raws: list[msgspec.Raw], decode: Any) -> Iterator[tuple[EventType, Any]]:
    """What a new list says beyond what is known already."""
    found: dict[tuple[str, str], tuple[_HeadMeta, msgspec.Raw]] = {}
    heads = decoder(_Head)
    for raw in raws:
        meta = heads.decode(raw).metadata
        found[meta.namespace, meta.name] = meta, raw
    for key in [key for key, (meta, _) in known.items() if key not in found or found[key][0].uid != meta.uid]:
        yield "DELETED", known.pop(key)[1]
    for key, (meta, raw) in found.items():
        before = known.get(key)
        if before is not None and before[0].resourceVersion == meta.resourceVersion:
            continue
        obj = decode(raw)
        known[key] = meta, obj
        yield ("ADDED" if before is None else "MODIFIED"), obj


def _absorb(known: _Known, line: _Line, decode: Any) -> tuple[_HeadMeta, tuple[EventType, Any] | None]:
    meta = decoder(_Head).decode(line.object).metadata
    key = meta.namespace, meta.name
    if line.type == "BOOKMARK":
        return meta, None
    if line.type == "DELETED":
        known.pop(key, None)
        return meta, ("DELETED", decode(line.object))
    before = known.get(key)
    if before is not None and before[0].resourceVersion == meta.resourceVersion:
        return meta, None
    obj = decode(line.object)
    known[key] = meta, obj
    return meta, ("ADDED" if before is None else "MODIFIED", obj)


async def _lines(
    wire: Wire, resource: Resource, namespace: str, version: str, labels: str, fields: str, timing: Timing
) -> AsyncGenerator[_Line]:
    path = path_of(resource, namespace=namespace)
    params = {
        **selectors(labels, fields),
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(max(1, round(timing.period * random.uniform(0.8, 1.2)))),
    }
    async with wire.stream(path, params=params, read_timeout=timing.silence) as lines:
        async for raw in lines:
            if not raw.strip():
                continue
            try:
                line: _Line = decoder(_Line).decode(raw)
                if line.type == "ERROR":
                    status = decoder(answers.Status).decode(line.object)
                    raise answers.error_for(status.code or 500, status, subject_of("WATCH", path), server=wire.server)
            except UNREADABLE:
                raise decode_failed(resource.plural) from None
            yield line
