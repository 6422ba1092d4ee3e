# SPDX-License-Identifier: Apache-2.0
"""Does a program get on with its object storage? By what it counts and what it logs.

Facts (thanos-io/objstore, thanos-io/thanos): ``thanos_objstore_bucket_operations_total`` and
``thanos_objstore_bucket_operation_failures_total`` by ``bucket`` and ``operation`` count since the start of the
process; failures that the caller expects are not among them. Uploaders try every 30 s, a store lists its bucket every
few minutes and before it is ready; a store or compactor that cannot ends after a while. The storage's own answers
(``Access Denied.``) reach the log in ``err``; the keys do not.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError
from backout.model.message import Message, msg
from backout.probes.logs import Entry, entries, shown
from backout.probes.metrics import Page, page
from backout.probes.programs import Program

OPERATIONS = "thanos_objstore_bucket_operations_total"
FAILURES = "thanos_objstore_bucket_operation_failures_total"
BETWEEN = 1.0
LOG_LINES = 200
RECENT = timedelta(minutes=5)
_ABOUT_STORAGE = re.compile(
    r"iter bucket|BaseFetcher|check exists|s3 object|gcs object|upload(?:ing)? (?:block|file|debug)|object stor|"
    r"objstore|bucket store|bucket client|create bucket|list blocks|stat .* object|upload \S+: |shipping failed|"
    r"failed to sync \d+ blocks|get file: ",
    re.IGNORECASE,
)
_GOOD = frozenset({"bucket store ready", "successfully synchronized block metadata"})
_BAD = frozenset({"warn", "warning", "error"})


class StorageState(msgspec.Struct, frozen=True):
    """``failing``: requests fail now. ``failed``: some failed, none lately. ``works``: requests succeed, none fails.

    ``operations`` are the numbers of failed requests so far, by operation; ``said`` is the last thing that was logged
    about it. ``unknown``: neither counts nor logs tell.
    """

    state: Literal["failing", "failed", "works", "idle", "unknown"]
    message: Message
    operations: dict[str, int] = {}
    said: str = ""
    at: datetime | None = None
    by: Literal["metrics", "log", ""] = ""


async def storage_state(
    cluster: ClusterReader,
    namespace: str,
    pod: Object,
    container: str,
    program: Program,
    *,
    now: datetime,
    between: float = BETWEEN,
) -> StorageState:
    """How it stands; takes up to ``between`` seconds when failures were counted. Never raises.

    ``now`` is the cluster's time: log lines older than five minutes tell nothing of now.
    """
    name = str(pod["metadata"]["name"])
    first, (said, good) = await asyncio.gather(
        _scrape(cluster, namespace, name, program), _last_words(cluster, namespace, pod, container)
    )
    recent = said if said is not None and said.at is not None and said.at >= now - RECENT else None
    counted = _counts(first)
    if counted is None:
        return _by_log(said, recent, first.refusal, good)
    done, failed, by_operation = counted
    words, at = (shown(said.error or said.message), said.at) if said is not None else ("", None)
    if not failed:
        if done:
            return StorageState("works", msg("requests: {count}, none failed", count=done), {}, "", None, "metrics")
        if recent is not None:
            # Of the container that ran before this one.
            return _by_log(said, recent, None, None)
        return StorageState("idle", msg("it has not asked the object storage for anything yet"))
    if failed >= done:
        text = msg("all {count} requests to the object storage failed", count=failed)
        return StorageState("failing", text, by_operation, words, at, "metrics")
    await asyncio.sleep(between)
    again = _counts(await _scrape(cluster, namespace, name, program))
    if again is not None and again[1] > failed:
        text = msg(
            "{failed} of {count} requests to the object storage failed, {more} of them in the last {seconds} s",
            failed=again[1],
            count=again[0],
            more=again[1] - failed,
            seconds=between,
        )
        return StorageState("failing", text, again[2], words, at, "metrics")
    text = msg("{failed} of {count} requests to the object storage failed", failed=failed, count=done)
    return StorageState("failing" if recent is not None else "failed", text, by_operation, words, at, "metrics")


async def _scrape(cluster: ClusterReader, namespace: str, pod: str, program: Program) -> Page:
    if not program.port:
        return Page(refusal=msg("it listens on loopback only"))
    return await page(cluster, namespace, pod, program.port, (OPERATIONS, FAILURES), path=program.metrics_path)


def _counts(found: Page) -> tuple[int, int, dict[str, int]] | None:
    done = found.value(OPERATIONS)
    if done is None:
        return None
    failures = {
        sample.labels.get("operation", ""): int(sample.value)
        for sample in found.samples.get(FAILURES, ())
        if sample.value > 0
    }
    return int(done), sum(failures.values()), failures


def _by_log(said: Entry | None, recent: Entry | None, refusal: Message | None, good: Entry | None) -> StorageState:
    why = refusal or msg("it publishes no {metric}", metric=OPERATIONS)
    if good is not None:
        text = msg("its log says: {words} ({why})", words=shown(good.message), why=why)
        return StorageState("works", text, {}, "", good.at, "log")
    if recent is not None:
        words = shown(recent.error or recent.message)
        return StorageState("failing", msg("its log says: {words}", words=words), {}, words, recent.at, "log")
    if said is not None:
        words = shown(said.error or said.message)
        return StorageState("failed", msg("its log says: {words}", words=words), {}, words, said.at, "log")
    return StorageState("unknown", msg("nothing in its log tells of object storage, and {why}", why=why))


async def _last_words(
    cluster: ClusterReader, namespace: str, pod: Object, container: str
) -> tuple[Entry | None, Entry | None]:
    """The last warning or error about object storage, of this run or of the one before it; and the last good news of
    this run, when no bad ones came after."""
    for previous in (False, True):
        if previous and not _restarted(pod, container):
            break
        try:
            text = await cluster.logs(
                str(pod["metadata"]["name"]), namespace, container, previous=previous, tail=LOG_LINES
            )
        except BackoutError:
            continue
        bad = good = None
        for entry in entries(text):
            if about_storage(entry):
                bad, good = entry, None
            elif entry.level == "info" and entry.message in _GOOD:
                good = entry
        if good is not None and not previous:
            return None, good
        if bad is not None:
            return bad, None
    return None, None


def about_storage(entry: Entry) -> bool:
    """Whether a line tells of a failure of the object storage."""
    return entry.level in _BAD and bool(
        _ABOUT_STORAGE.search(f"{entry.message} {entry.error} {entry.fields.get('reason', '')}")
    )


def _restarted(pod: Object, container: str) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(entry.get("name") == container and int(entry.get("restartCount") or 0) > 0 for entry in statuses)
