# SPDX-License-Identifier: Apache-2.0
"""What Events still tell of pods that an operator made and that are gone: which of them kept failing, and until when.

An operator replaces what it made, so that nothing live speaks of an earlier revision; an Event outlives its pod (an hour by
default, kube-apiserver ``--event-ttl``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from backout.cluster.port import EVENTS, ClusterReader
from backout.errors import AccessDenied, ServerError
from backout.helm.customs import CustomId, CustomResource
from backout.kube.projections import Event
from backout.mechanisms.common.findings import Finding, Span
from backout.model.message import msg

AGAIN = timedelta(minutes=6)
"""Kubelet and scheduler wait five minutes at most before they try, and tell, again."""
_AGAINST = frozenset({"BackOff", "FailedScheduling"})


class BackOff(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that was started, pulled for, or given to a node, again and again."""

    pod: str
    first: datetime
    last: datetime


async def read_backoffs(
    reader: ClusterReader, made: Mapping[CustomId, Sequence[str]]
) -> dict[CustomId, tuple[BackOff, ...]]:
    """Those of the pods of the workloads called so (``made``: by custom resource). What may not be read is not known."""
    found: dict[CustomId, list[BackOff]] = {}

    async def one(namespace: str) -> None:
        names = {name: identity for identity, of_it in made.items() if identity[1] == namespace for name in of_it}
        try:
            events = await reader.list_as(Event, EVENTS, namespace, fields="involvedObject.kind=Pod")
        except (AccessDenied, ServerError):
            return
        for event in events:
            pod, first, last = event.involved_object.name, event.first, event.last
            owner = _owner(pod, names)
            if event.reason in _AGAINST and owner is not None and first is not None and last is not None:
                found.setdefault(owner, []).append(BackOff(pod=pod, first=first, last=last))

    await asyncio.gather(*(one(namespace) for namespace in sorted({identity[1] for identity in made})))
    return {identity: tuple(of_it) for identity, of_it in found.items()}


def _owner(pod: str, names: Mapping[str, CustomId]) -> CustomId | None:
    """By its name, since the pod is gone: NAME-0 of a StatefulSet, NAME-HASH-RANDOM of a Deployment."""
    fitting = [name for name in names if re.fullmatch(rf"{re.escape(name)}(-[a-z0-9]+){{1,2}}", pod)]
    return names[max(fitting, key=len)] if fitting else None


def failed_to_their_end(
    label: str, backoffs: Sequence[BackOff], versions: Sequence[CustomResource | None], spans: Sequence[Span]
) -> Iterator[tuple[int, str, Finding]]:
    """(revision, key, against it) for each revision whose pods began to fail in its time, and still did as it ended. Pure."""
    for version, span in zip(versions, spans, strict=True):
        if version is None or span.started is None or span.ended is None:
            continue
        for one in backoffs:
            if span.started <= one.first < span.ended and span.ended - one.last <= AGAIN:
                found = msg(
                    "Pods that {resource} had made failed until it was left ({pod}).", resource=label, pod=one.pod
                )
                yield span.number, version.key, Finding(False, found)
                break
