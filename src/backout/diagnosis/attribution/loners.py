# SPDX-License-Identifier: Apache-2.0
"""Pods that no Deployment, StatefulSet or DaemonSet made: what runs them was changed, or they never ran since they were created.

A CronJob, a ReplicaSet of nobody's and a Job are asked what was changed of their template before the pods that fail were made.
A pod that nobody made has no past: that it was created is all that there is to know.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from backout.changes.authors import authors
from backout.cluster.port import PODS, REPLICASETS, Object, Resource
from backout.diagnosis.attribution.capability import can_cause
from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.attribution.failures import RUNNING, Failure, Kind, failure_of
from backout.diagnosis.attribution.object_change import object_change
from backout.diagnosis.attribution.rules import DIRECT, quoted
from backout.diagnosis.attribution.signals import signals
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import run_of
from backout.diagnosis.evidence.namespace import CRONJOBS, JOBS, Namespace
from backout.errors import AccessDenied, ObjectNotFound
from backout.kube.diff import diff_objects
from backout.kube.projections import Pod
from backout.model.change import FieldChange
from backout.model.diagnosis import Confidence, Problem
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Ownership

RUNNERS: dict[str, Resource] = {"CronJob": CRONJOBS, "Job": JOBS, "ReplicaSet": REPLICASETS}
TEMPLATE = r"\btemplate\.spec\b"
SKEW = timedelta(seconds=2)
SHOWN = 5
_ELSEWHERE = frozenset({Kind.NO_REGISTRY, Kind.PULL_DENIED, Kind.TAINT, Kind.CORDON, Kind.EVICTED})
"""What a pod that was created shows because of others."""
Loners = Mapping[WorkloadKey, Sequence[Symptom]]


class Told(msgspec.Struct, kw_only=True):
    """What is to be told of the runners (``seen``) and of pods of nobody's, and of which pods that is."""

    seen: list[Seen] = []
    problems: list[Problem] = []
    keys: set[WorkloadKey] = set()


async def loners(namespace: Namespace, state: State, found: Loners, ownership: Ownership, events: Events) -> Told:
    """What is behind pods that stand for themselves; those of which nothing explains what they show are left out."""
    told = Told()
    tops = await asyncio.gather(*(_top(namespace, key[2], ownership) for key in found))
    groups: dict[ObjectRef, list[WorkloadKey]] = defaultdict(list)
    for key, top in zip(found, tops, strict=True):
        if top is not None and top.kind in RUNNERS:
            groups[top].append(key)
        elif top is not None and top.kind == "Pod":
            problem = await _created(namespace, state, key, found[key], events)
            if problem is not None:
                told.problems.append(problem)
                told.keys.add(key)
    for ref, keys in groups.items():
        seen = await _changed(namespace, state, ref, {key: found[key] for key in keys})
        if seen:
            told.seen += seen
            told.keys |= set(keys)
    return told


async def _top(namespace: Namespace, name: str, ownership: Ownership) -> ObjectRef | None:
    """What a pod was made by in the end, or the pod itself; None where a controller of another kind has it."""
    try:
        obj = await namespace.cluster.get(PODS, name, namespace.name)
    except (ObjectNotFound, AccessDenied):
        return None
    pod = {"apiVersion": "v1", "kind": "Pod", **obj}
    owner = await ownership.of(pod)
    if owner.ref is not None and owner.ref.kind in RUNNERS:
        return msgspec.structs.replace(owner.ref, namespace=namespace.name)
    return ObjectRef.of(pod) if owner.kind == "none" and owner.ref is not None else None


async def _changed(namespace: Namespace, state: State, ref: ObjectRef, found: Loners) -> list[Seen]:
    """The symptoms of pods that were made after what makes them was changed, in a field that could have brought that."""
    obj = (await namespace.named(RUNNERS[ref.kind])).get(ref.name)
    change = await object_change(namespace, obj, TEMPLATE) if obj is not None else None
    made = [
        pod.metadata.creation_timestamp
        for key in found
        if (pod := _pod(state, key)) is not None and pod.metadata.creation_timestamp is not None
    ]
    if change is None or change.at is None or not made or min(made) < change.at - SKEW:
        return []
    symptoms = [symptom for some in found.values() for symptom in some]
    failures = [failure_of(symptom) for symptom in symptoms]
    able = [failure for failure in failures if any(can_cause(_plain(f.path), failure) for f in change.fields)]
    if len(able) < len(failures):
        return []
    sure: Confidence = "possible" if any(_points_elsewhere(failure, change.fields) for failure in able) else "likely"
    shown = ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name)
    return [
        Seen(
            symptom=msgspec.structs.replace(symptom, ref=shown),
            at_fault=obj,
            fields=TEMPLATE,
            confidence=sure,
            only_changed=True,
        )
        for symptom in symptoms
    ]


def _plain(path: str) -> str:
    """A field of the template of a CronJob's Jobs, as fields of other templates are called."""
    return path.replace("spec.jobTemplate.spec.template.", "spec.template.", 1)


def _points_elsewhere(failure: Failure, fields: Sequence[FieldChange]) -> bool:
    """True when the last words of a program are of something else that it needs, and of nothing that was changed."""
    if not failure.kinds & RUNNING or not any(signals(failure.said)):
        return False
    return not any(quoted(value, failure.said) for field in fields for value in (field.before, field.after))


async def _created(
    namespace: Namespace, state: State, key: WorkloadKey, symptoms: Sequence[Symptom], events: Events
) -> Problem | None:
    """A pod of nobody's that never ran: with what it was created. None for one that ran well before."""
    pod = _pod(state, key)
    if pod is None:
        return None
    failures = [failure_of(symptom) for symptom in symptoms]
    names = {failure.container for failure in failures} or {""}
    if any(run_of(pod, name, events).proves for name in names):
        return None
    if not any(failure.kinds - _ELSEWHERE for failure in failures):
        return None
    obj = await namespace.cluster.get(PODS, key[2], key[0])
    kinds = frozenset(kind for failure in failures for kind in failure.kinds)
    change = _creation(namespace, {"apiVersion": "v1", "kind": "Pod", **obj}, names, kinds)
    elsewhere = any(_points_elsewhere(failure, ()) for failure in failures)
    codes = ", ".join(dict.fromkeys(symptom.code for symptom in symptoms))
    return Problem(
        target=change.target,
        mechanism="",
        workload=change.touches[0],
        symptoms=tuple(symptoms),
        cause=msg("{codes} since {object} was created: it never ran", codes=codes, object=str(change.touches[0])),
        suspect=change.entry(),
        confidence="possible" if elsewhere else "likely",
        notes=(msg("Nothing keeps a pod of nobody's: what it was before it was made anew is not known."),),
    )


def _creation(namespace: Namespace, obj: Object, names: set[str], kinds: frozenset[Kind]) -> Change:
    ref = ObjectRef("v1", "Pod", obj["metadata"]["name"], namespace.name)
    born = msgspec.convert(obj["metadata"]["creationTimestamp"], type=datetime)
    makers = [one for one in authors(obj) if one.by != "cluster" and abs((one.at - born).total_seconds()) <= 1]
    containers = [
        one
        for part in ("initContainers", "containers")
        for one in (obj.get("spec") or {}).get(part) or ()
        if one.get("name") in names or names == {""}
    ]
    actor = makers[-1].manager if makers else ""
    images = ", ".join(str(one.get("image")) for one in containers)
    return Change(
        at=born,
        actor=actor,
        source="managedfields",
        target=Target("pod", ref.name, namespace.name, namespace.cluster.name),
        mechanism="",
        touches=(ref,),
        fields=(
            *_led_to(obj, kinds),
            *(
                FieldChange(f"spec.containers[name={one.get('name')}].image", None, one.get("image"))
                for one in containers
            ),
        ),
        by_hand=True,
        summary=msg("{manager} created {object} ({what})", manager=actor or "?", object=str(ref), what=images),
    )


def _led_to(obj: Object, kinds: frozenset[Kind]) -> list[FieldChange]:
    """The fields that such a failure speaks of, but the image: where it may stand, what it asks for, what it runs."""
    spec = {"kind": "Pod", "metadata": {"name": "_"}, "spec": obj.get("spec") or {}}
    patterns = [pattern for kind, pattern in DIRECT if kind in kinds]
    return [
        field
        for field in diff_objects({**spec, "spec": {}}, spec)
        if any(re.search(pattern, field.path) for pattern in patterns) and not field.path.endswith(".image")
    ][:SHOWN]


def _pod(state: State, key: WorkloadKey) -> Pod | None:
    return next((p for p in state.pods if (p.metadata.namespace, p.metadata.name) == (key[0], key[2])), None)
