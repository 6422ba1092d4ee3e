# SPDX-License-Identifier: Apache-2.0
"""Recording Events the way client-go's recorders do: counts, aggregation and a spam filter.

Source for the numbers: client-go tools/record/events_cache.go (25 events a source and object in a burst, then one in
five minutes; more than 10 similar messages in 10 minutes are combined).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from kubetwin.client import STRATEGIC_PATCH, Api, ApiException, Obj
from kubetwin.kinds import EVENTS
from kubetwin.meta import micro_stamp, stamp

log = logging.getLogger(__name__)

_BURST = 25.0
_REFILL_PER_SECOND = 1.0 / 300.0
_SIMILAR_LIMIT = 10
_SIMILAR_WINDOW = 600.0
_CACHE = 4096


@dataclass(slots=True)
class _Known:
    name: str = ""
    count: int = 0
    first: str = ""


@dataclass(slots=True)
class _Bucket:
    tokens: float = _BURST
    at: float = 0.0


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Pending:
    regarding: Obj
    kind: str
    reason: str
    message: str
    when: str
    micro: str


class EventRecorder:
    """Fire and forget: :meth:`event` never waits and never fails; one task writes in order.

    ``series`` chooses the form of the newer recorder (eventTime, action), which the scheduler uses.
    """

    def __init__(self, api: Api, component: str, *, host: str = "", series: bool = False, enabled: bool = True) -> None:
        self.api = api
        self.component = component
        self.host = host
        self.series = series
        self.enabled = enabled
        self._queue: deque[_Pending] = deque()
        self._wakeup = asyncio.Event()
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()

    def event(self, regarding: Obj, kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """``regarding`` is the object; ``kind`` is Normal or Warning; ``field_path`` names a container."""
        if not self.enabled:
            return
        meta = regarding["metadata"]
        reference: Obj = {
            "kind": regarding.get("kind", ""),
            "namespace": meta.get("namespace"),
            "name": meta["name"],
            "uid": meta.get("uid"),
            "apiVersion": regarding.get("apiVersion", ""),
            "resourceVersion": meta.get("resourceVersion"),
        }
        if field_path:
            reference["fieldPath"] = field_path
        if not self._allowed(str(meta.get("uid"))):
            return
        if len(message) > 1024:
            message = message[:1021] + "..."
        self._queue.append(
            _Pending({k: v for k, v in reference.items() if v}, kind, reason, message, stamp(), micro_stamp())
        )
        self._idle.clear()
        self._wakeup.set()

    async def flushed(self) -> None:
        """Until everything recorded so far has been written."""
        await self._idle.wait()

    async def run(self) -> None:
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._queue:
                pending = self._queue.popleft()
                try:
                    await self._write(pending)
                except (ApiException, OSError) as error:
                    log.debug("event %s dropped: %s", pending.reason, error)
            self._idle.set()

    def _allowed(self, uid: str) -> bool:
        now = time.monotonic()
        bucket = self._buckets.get(uid)
        if bucket is None:
            bucket = self._buckets[uid] = _Bucket(at=now)
            if len(self._buckets) > _CACHE:
                self._buckets.popitem(last=False)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at) * _REFILL_PER_SECOND)
        bucket.at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def _combined(self, pending: _Pending, identity: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        now = time.monotonic()
        similar = self._similar.get(identity)
        if similar is None or now - similar.at > _SIMILAR_WINDOW:
            similar = self._similar[identity] = _Similar()
            if len(self._similar) > _CACHE:
                self._similar.popitem(last=False)
        similar.at = now
        similar.messages.add(pending.message)
        if len(similar.messages) < _SIMILAR_LIMIT:
            return pending.message, (*identity, pending.message)
        if len(similar.messages) > _SIMILAR_LIMIT:
            similar.messages.pop()
        return f"(combined from similar events): {pending.message}", identity

    async def _write(self, pending: _Pending) -> None:
        reference = pending.regarding
        identity = (
            str(reference.get("kind")),
            str(reference.get("namespace")),
            str(reference.get("name")),
            str(reference.get("uid")),
            str(reference.get("fieldPath")),
            pending.kind,
            pending.reason,
        )
        message, key = self._combined(pending, identity)
        namespace = str(reference.get("namespace") or "default")
        known = self._known.get(key)
        if known is not None and await self._count(known, namespace, message, pending):
            return
        known = self._known[key] = _Known(f"{reference['name']}.{time.time_ns():x}", 1, pending.when)
        if len(self._known) > _CACHE:
            self._known.popitem(last=False)
        event: Obj = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": known.name, "namespace": namespace},
            "involvedObject": reference,
            "reason": pending.reason,
            "message": message,
            "type": pending.kind,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        }
        if self.series:
            event.update(
                eventTime=pending.micro,
                action="Scheduling" if pending.kind == "Warning" else "Binding",
                reportingInstance=self.host or f"{self.component}-twin",
                source={},
                firstTimestamp=None,
                lastTimestamp=None,
            )
        else:
            source = {"component": self.component} | ({"host": self.host} if self.host else {})
            event.update(source=source, firstTimestamp=pending.when, lastTimestamp=pending.when, count=1)
            event["eventTime"] = None
        await self.api.create(EVENTS, event)

    async def _count(self, known: _Known, namespace: str, message: str, pending: _Pending) -> bool:
        known.count += 1
        if self.series:
            patch: Obj = {"series": {"count": known.count, "lastObservedTime": pending.micro}}
        else:
            patch = {"count": known.count, "lastTimestamp": pending.when, "message": message}
        try:
            await self.api.patch(EVENTS, known.name, patch, namespace, content_type=STRATEGIC_PATCH)
        except ApiException as error:
            if error.not_found:
                return False
            raise
        return True
