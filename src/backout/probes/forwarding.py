# SPDX-License-Identifier: Apache-2.0
"""Do the receivers of a hashring reach each other? By what they count, twice.

Facts (thanos-io/thanos pkg/receive/handler.go): ``thanos_receive_forward_requests_total`` and
``thanos_receive_replications_total`` by ``result`` (``success``, ``error``) count since the start of the process;
failures are logged at debug level only. A receiver waits up to 5 s before it tries a peer again that it could not
reach.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.model.message import Message, msg
from backout.probes.metrics import page
from backout.probes.programs import Program

COUNTERS = ("thanos_receive_forward_requests_total", "thanos_receive_replications_total")
BETWEEN = 1.5


class Forwarding(msgspec.Struct, frozen=True):
    """``failing``: requests failed between the two looks. ``works``: none did. ``unknown``: it can't be told."""

    state: Literal["failing", "works", "unknown"]
    message: Message
    failed: int = 0
    done: int = 0


async def forwarding(
    cluster: ClusterReader, namespace: str, pod: Object, program: Program, *, between: float = BETWEEN
) -> Forwarding:
    """How the requests of one receiver to the others fare within ``between`` seconds. Never raises."""
    name = str(pod["metadata"]["name"])
    if not program.port:
        return Forwarding("unknown", msg("it listens on loopback only"))

    async def look() -> tuple[int, int] | Message:
        found = await page(cluster, namespace, name, program.port, COUNTERS, path=program.metrics_path)
        counted = [found.value(counter, result=result) for counter in COUNTERS for result in ("error", "success")]
        if all(value is None for value in counted):
            return found.refusal or msg("it publishes no {metric}", metric=COUNTERS[0])
        errors, good, lost, kept = (value or 0.0 for value in counted)
        return int(max(errors, lost)), int(max(good, kept))

    first = await look()
    if isinstance(first, Message):
        return Forwarding("unknown", first)
    await asyncio.sleep(between)
    second = await look()
    if isinstance(second, Message):
        return Forwarding("unknown", second)
    failed, done = max(0, second[0] - first[0]), max(0, second[1] - first[1])
    if failed:
        text = msg("requests to other receivers that failed within {seconds} s: {count}", seconds=between, count=failed)
        return Forwarding("failing", text, failed, done)
    text = msg("requests to other receivers within {seconds} s: {count}, none failed", seconds=between, count=done)
    return Forwarding("works", text, 0, done)
