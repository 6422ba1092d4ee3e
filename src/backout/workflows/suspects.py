# SPDX-License-Identifier: Apache-2.0
"""``changed-before``: what programs that go back read, and what somebody changed by hand shortly before they broke, is another suspect.

A bad ConfigMap under a missing image shows nothing: no pod that read it ran for long, and once the image is back, pods are ready, on
settings that nobody has ever seen to be right. So a way back that does not take such a change along says so before, and its
verdict is not "recovered" but unknown while it is still there; ``--skip KIND/NAME`` says that it is known to be right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.writers import Written, entries_of, last_write
from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader, Object
from backout.errors import BackoutError, ObjectNotFound
from backout.kube.references import references
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms.common.evidence import LiveWorkload, WorkloadId, gather
from backout.mechanisms.common.measuring import Named
from backout.mechanisms.port import CheckOf, Measure
from backout.model.change import Changes
from backout.model.diagnosis import Problem
from backout.model.measured import Measured, passed, unknown
from backout.model.message import msg
from backout.model.part import Check, Risk
from backout.model.settled import HEALED
from backout.model.target import ObjectRef, Target

CODE = "changed-before"
_READ = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


class WrittenParams(Named, frozen=True, kw_only=True):
    """The object, and when it was written last as it was then."""

    at: datetime
    manager: str = ""


class Suspect(msgspec.Struct, frozen=True):
    """An object that somebody changed, the change, and which workload's pods have read it since."""

    ref: ObjectRef
    change: Written
    reader: WorkloadId


async def suspects(
    cluster: ClusterReader, target: Target, changes: Changes, broke: datetime | None, now: datetime
) -> list[Suspect]:
    """What was changed by hand less than ten minutes before it broke, in force since in pods that were made anew, and not taken back.

    What may not be read is none: nobody is to be held up by what can't be seen, and what pods read is named in the plan anyhow.
    """
    rolled = [
        one.ref
        for one in changes.effective
        if one.ref.kind in WORKLOAD_RESOURCES and any(f.path.startswith("spec.template") for f in one.fields)
    ]
    if not rolled or broke is None:
        return []
    ids = {(ref.kind, ref.namespace, ref.name) for ref in rolled}
    going = {(one.ref.kind, one.ref.namespace, one.ref.name) for one in changes.effective}
    lives = (await gather(cluster, ids, now)).workloads
    read: dict[ObjectRef, WorkloadId] = {}
    for identity, live in lives.items():
        for one in references(live.template.get("spec") or {}):
            if one.kind in _READ and (one.kind, identity[1], one.name) not in going:
                read.setdefault(ObjectRef("v1", one.kind, one.name, identity[1]), identity)
    written = await asyncio.gather(*(_written(cluster, ref) for ref in read))
    return [
        Suspect(ref, change, reader)
        for (ref, reader), change in zip(read.items(), written, strict=True)
        if change is not None
        and change.by == "other"
        and not change.born
        and broke - HEALED <= change.at <= broke
        and _in_force(lives[reader], change.at)
    ]


async def _written(cluster: ClusterReader, ref: ObjectRef) -> Written | None:
    try:
        return _last(ref.kind, await cluster.get(_READ[ref.kind], ref.name, ref.namespace))
    except BackoutError:
        return None


def _last(kind: str, obj: Object) -> Written | None:
    return last_write(kind, entries_of(obj), msgspec.convert(obj["metadata"]["creationTimestamp"], datetime))


def _in_force(live: LiveWorkload, since: datetime) -> bool:
    """Whether pods were made after the change, and not by the newest template alone, which is the one that goes."""
    newest = max(live.generations, key=lambda one: one.order, default=None)
    former = [one for one in live.generations if newest is None or one.name != newest.name]
    made = any(one.created is not None and one.created >= since for one in former)
    names = {one.name for one in former}
    return made or any(pod.generation in names and pod.created and pod.created >= since for pod in live.pods)


def began(problems: Sequence[Problem], since: datetime | None) -> datetime | None:
    """When it broke: with the change that is blamed, else with the first symptom, else with the revision in force."""
    blamed = [one.suspect.at for one in problems if one.suspect is not None]
    shown = [symptom.since for one in problems for symptom in one.symptoms if symptom.since is not None]
    return min(blamed or shown, default=since)


def risks(found: Sequence[Suspect]) -> list[Risk]:
    """What the way back leaves as it is, though it may be bad as well."""
    return [
        Risk(
            code=CODE,
            message=msg(
                "{object} was changed by {who} at {at}, shortly before, and {reader} has started with it since: whether that is right "
                "shows nowhere. It stays as it is, and the result is unknown while it does. To take it back as well: `backout run {object} "
                "-n {namespace}`; if it is right: --skip {object}",
                object=str(one.ref),
                who=one.change.manager,
                at=f"{one.change.at:%H:%M:%S} UTC",
                reader=f"{one.reader[0].lower()}/{one.reader[2]}",
                namespace=one.ref.namespace,
            ),
        )
        for one in found
    ]


def checks(found: Sequence[Suspect], cluster: str) -> list[Check]:
    """That it is not as it was changed any more."""
    return [
        Check(
            code=CODE,
            target=Target(one.ref.kind.lower(), one.ref.name, one.ref.namespace, cluster),
            title=msg(
                "What {who} changed shortly before is not in force: {object}",
                who=one.change.manager,
                object=str(one.ref),
            ),
            params={
                "api_version": one.ref.api_version,
                "kind": one.ref.kind,
                "name": one.ref.name,
                "namespace": one.ref.namespace,
                "at": one.change.at.isoformat().replace("+00:00", "Z"),
                "manager": one.change.manager,
            },
        )
        for one in found
    ]


async def changed_since(check: CheckOf[WrittenParams], cluster: ClusterReader) -> Measured:
    """Whether somebody wrote the object since: this run, another part of it, or a person."""
    params = check.params
    ref = ObjectRef("v1", params.kind, params.name, params.namespace)
    try:
        change = _last(ref.kind, await cluster.get(_READ[ref.kind], ref.name, ref.namespace))
    except ObjectNotFound:
        return passed(msg("it is gone"))
    if change is None or (change.at, change.manager) != (params.at, params.manager):
        return passed(msg("it was written since"))
    return unknown(
        msg(
            "still as {who} changed it at {at}; ready pods do not show whether that is right",
            who=params.manager,
            at=f"{params.at:%H:%M:%S} UTC",
        )
    )


MEASURES: Mapping[str, Measure[Any]] = {CODE: Measure(changed_since, WrittenParams)}
