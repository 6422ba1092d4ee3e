# SPDX-License-Identifier: Apache-2.0
"""Helm releases that are stuck or failed, whether or not a pod shows it."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import AccessDenied, RefusedError
from backout.helm.deployed import several, told
from backout.helm.records import Record, Records
from backout.model.diagnosis import Unseen
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import Target

HELM_TIMEOUT = timedelta(minutes=5)
"""Helm's own default for `--timeout`: a younger pending record may belong to a helm that still works."""


class ReleaseState(msgspec.Struct, frozen=True):
    """The newest record of one release, and what is wrong with it (nothing, usually). ``unclear``: why nobody knows what of it is
    in force."""

    target: Target
    record: Record
    symptoms: tuple[Symptom, ...]
    unclear: Unseen | None = None


async def read_releases(
    cluster: ClusterReader, namespace: str, now: datetime, blind: list[Message]
) -> list[ReleaseState]:
    """All releases of a namespace (of all when it is empty); adds to ``blind`` when they may not be read."""
    try:
        listed = await Records(cluster, namespace).listed()
    except AccessDenied:
        where = namespace or "all namespaces"
        blind.append(msg("Helm's release records in {where} can't be read: no permission.", where=where))
        return []
    except RefusedError:
        # A driver that keeps its records outside the cluster: nothing to see here, and the helm mechanism says why.
        return []
    return [_state(cluster, found, now) for found in listed.values()]


def _state(cluster: ClusterReader, listed: list[Record], now: datetime) -> ReleaseState:
    record = max(listed, key=lambda one: one.revision)
    records = Records(cluster, record.namespace)
    target = Target("helm", record.release, record.namespace, cluster.name)
    symptom = _symptom(records, record, now)
    unclear = None
    if numbers := several((one.revision, one.status) for one in listed):
        unclear = Unseen(ref=records.reference(record), why=told(numbers), owners=(target,))
    return ReleaseState(target, record, (symptom,) if symptom else (), unclear)


def _symptom(records: Records, record: Record, now: datetime) -> Symptom | None:
    ref = records.reference(record)
    if record.pending:
        began = _began(record)
        age = now - began if began else timedelta()
        young = age < HELM_TIMEOUT
        sentence = (
            msg(
                "revision {number} is {status}; a helm may still be at work on it",
                number=record.revision,
                status=record.status,
            )
            if young
            else msg(
                "revision {number} is {status}; no helm works that long", number=record.revision, status=record.status
            )
        )
        return Symptom(
            code="ReleasePending",
            ref=ref,
            message=sentence,
            since=_began(record),
            evidence=(_evidence(records, record),),
        )
    if record.status == "failed":
        return Symptom(
            code="ReleaseFailed",
            ref=ref,
            since=_began(record),
            evidence=(_evidence(records, record),),
            message=msg("revision {number} failed", number=record.revision),
        )
    return None


def _began(record: Record) -> datetime | None:
    """By the API server's clock: Helm 4 copies the label ``modifiedAt`` into every later record."""
    return record.created or record.modified


def _evidence(records: Records, record: Record) -> Evidence:
    return Evidence(
        source="release",
        ref=records.reference(record),
        at=_began(record),
        message=msg("the record {name} says {status}", name=record.name, status=record.status),
        data={"revision": record.revision, "status": record.status},
    )
