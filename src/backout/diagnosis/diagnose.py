# SPDX-License-Identifier: Apache-2.0
"""What broke, since when, by which change: reads in bulk, looks closer at what is wrong, and asks who owns it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from backout.cluster.noting import NotingReader
from backout.cluster.port import PODS, ClusterReader
from backout.diagnosis.attributed import Attributed, attributed_problems
from backout.diagnosis.attribution.faults import Fault, Way, way_of
from backout.diagnosis.attribution.objects import find_faults, take_out
from backout.diagnosis.attribution.release_steps import find_steps, problems_of_steps
from backout.diagnosis.attribution.root_cause import Case, conclude
from backout.diagnosis.detectors.releases import ReleaseState, read_releases
from backout.diagnosis.detectors.symptoms import (
    beside_earlier,
    find_troubles,
    held_symptom,
    rollout_symptoms,
    serving,
    starting,
    symptoms_of,
    under_way,
    young,
)
from backout.diagnosis.evidence.caching_reader import CachingReader
from backout.diagnosis.evidence.collect import State, WorkloadKey, read_state
from backout.diagnosis.evidence.events import EventIndex
from backout.diagnosis.evidence.unread import hidden, lacking
from backout.errors import AccessDenied, ObjectNotFound
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.diagnosis import Diagnosis, Problem, UnderWay, Unseen
from backout.model.evidence import Symptom
from backout.model.message import Message, distinct, msg
from backout.model.target import OBJECTS, WORKLOADS, ObjectRef, Target
from backout.ownership.owner import Owner, owner_of

NAMESPACES_AT_ONCE = 4
"""Bounds memory: what the histories of a namespace need is read as a whole."""
ROUNDED = timedelta(seconds=1)
"""The cluster's clock is read from a Date header, which has no fractions."""


async def diagnose(cluster: ClusterReader, namespace: str, targets: Sequence[Target] = ()) -> Diagnosis:
    """The diagnosis of one namespace, or of all when it is empty; of ``targets`` alone when some are named.

    Raises:
        BackoutError: the cluster can't be reached. Missing rights end up in ``Diagnosis.blind`` and ``unread`` instead.
    """
    noting = NotingReader(cluster)
    found = await _diagnosed(noting, namespace, targets)
    forbidden = hidden(noting.denied, namespace)
    return msgspec.structs.replace(
        found, blind=distinct((*forbidden, *found.blind)), forbidden=forbidden, unread=lacking(noting.denied, namespace)
    )


async def _diagnosed(cluster: ClusterReader, namespace: str, targets: Sequence[Target]) -> Diagnosis:
    async with EventIndex(cluster) as events:
        if namespace:
            # Whatever else is found there, these are looked at.
            events.begin(namespace)
        now, began = await cluster.server_time(), time.monotonic()
        unread: list[Message] = []
        state, releases = await asyncio.gather(
            read_state(cluster, namespace, now), read_releases(cluster, namespace, now, unread)
        )
        state.blind += unread
        state.unseen += [release.unclear for release in releases if release.unclear is not None]
        broken = await _broken_workloads(cluster, events, state, now)
        faults = await _faults(cluster, events, state, broken, now)
        told = [fault.ref for fault, _ in faults]
        attributed = await attributed_problems(cluster, events, state, broken, now, told)
    attributed.problems += problems_of_steps(fault for fault, _ in faults)
    cases = await _cases(cluster, state, {key: found for key, found in broken.items() if key not in attributed.keys})
    _add_faults(cases, state, faults)
    _add_releases(cases, releases, attributed)
    wanted = [case for case in cases.values() if not targets or case.target in targets or _named(case, targets)]
    problems = [problem for problem in attributed.problems if not targets or _asked_for(problem, targets)]
    problems += await _problems(cluster, wanted)
    unseen = [one for one in state.unseen if not targets or _about(one, targets)]
    going = [one for one in await _under_way(cluster, state, problems) if not targets or _about(one, targets)]
    return Diagnosis(
        cluster=cluster.name,
        namespace=namespace,
        at=_known(now, time.monotonic() - began, problems),
        problems=tuple(sorted(problems, key=_order)),
        looked_at={"pods": state.pods_seen, "workloads": len(state.workloads), "releases": len(releases)},
        blind=(*state.blind, *(one.why for one in unseen)),
        unseen=tuple(unseen),
        under_way=tuple(going),
        stopped=tuple(one for one in state.stopped if not targets or one.target in targets),
    )


def _known(now: datetime, took: float, problems: Sequence[Problem]) -> datetime:
    """When this was known: the cluster's clock at the start and what it took; that clock drops fractions of seconds."""
    signs = [symptom.since for problem in problems for symptom in problem.symptoms if symptom.since is not None]
    end = now + timedelta(seconds=round(took, 3))
    return max([end, *(sign for sign in signs if sign <= end + ROUNDED)])


async def _problems(cluster: ClusterReader, cases: Iterable[Case]) -> list[Problem]:
    """What is behind each case, namespace by namespace: the histories of one namespace lie in the same few lists."""
    by_namespace: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_namespace[case.target.namespace].append(case)
    gate = asyncio.Semaphore(NAMESPACES_AT_ONCE)

    async def one(cases: list[Case]) -> list[Problem]:
        async with gate, CachingReader(cluster) as reader:
            return list(await asyncio.gather(*(conclude(reader, case) for case in cases)))

    found = await asyncio.gather(*(one(cases) for cases in by_namespace.values()))
    return [problem for problems in found for problem in problems]


async def _broken_workloads(
    cluster: ClusterReader, events: EventIndex, state: State, now: datetime
) -> dict[WorkloadKey, list[Symptom]]:
    troubles = await find_troubles(cluster, state, now)
    keys = list(troubles)
    details = await asyncio.gather(
        *(symptoms_of(cluster, events, key, troubles[key], now, state.workloads.get(key)) for key in keys)
    )
    broken: dict[WorkloadKey, list[Symptom]] = defaultdict(list)
    beside = set()
    for key, found in zip(keys, details, strict=True):
        workload = state.workloads.get(key)
        if found and workload is not None and under_way(key, workload, found):
            state.under_way.append(beside_earlier(key, workload))
            beside.add(key)
        elif found:
            if workload is not None and young(key, workload, found, now):
                state.young.add(key)
            broken[key] += [_placed(symptom, state.makers.get(key, "")) for symptom in found]
    for key, workload in state.workloads.items():
        found = rollout_symptoms(key, workload)
        held = held_symptom(key, workload) if key[1] == "Deployment" else None
        if found or held:
            broken[key] += [*found, *([held] if held else [])]
        elif key not in broken and key not in beside and (told := starting(key, workload)) is not None:
            state.under_way.append(told)
    return broken


def _placed(symptom: Symptom, api_version: str) -> Symptom:
    """With the API version of the custom resource whose pods show it."""
    if not api_version:
        return symptom
    return msgspec.structs.replace(symptom, ref=msgspec.structs.replace(symptom.ref, api_version=api_version))


async def _faults(
    cluster: ClusterReader, events: EventIndex, state: State, broken: dict[WorkloadKey, list[Symptom]], now: datetime
) -> list[tuple[Fault, Way]]:
    """Single objects at fault, each with who takes it back. What they explain is no longer in ``broken``."""
    async with CachingReader(cluster) as reader:
        faults = await find_faults(reader, events, state, broken, now)
        ways = await asyncio.gather(*(way_of(reader, fault) for fault in faults))
    found = []
    for fault, way in zip(faults, ways, strict=True):
        if way.mechanism == "helm":
            # What its pods show is the release's business already.
            fault.findings = [finding for finding in fault.findings if not finding.moved]
        else:
            take_out(broken, fault)
        if fault.findings:
            found.append((fault, way))
    await find_steps(cluster, found)
    return found


def _add_faults(cases: dict[Target, Case], state: State, faults: Sequence[tuple[Fault, Way]]) -> None:
    """A case for each object at fault; where a release has to go back anyway, its symptoms are more of the same."""
    for fault, way in faults:
        if fault.step is not None:
            continue
        symptoms = [finding.symptom for finding in fault.findings if finding.symptom is not None]
        case = cases.get(way.target)
        if case is None:
            own = fault if way.target.kind in OBJECTS else None
            case = cases[way.target] = Case(target=way.target, mechanism=way.mechanism, owner=way.owner, fault=own)
        case.symptoms += symptoms
        if case.fault is None:
            case.contents.append((fault, symptoms))
        for key in dict.fromkeys(finding.workload for finding in fault.findings if finding.workload is not None):
            if key not in case.workloads and key in state.workloads:
                case.workloads.append(key)
                ready, desired = serving(state.workloads[key], key[1])
                case.serving += ready
                case.desired += desired


async def _cases(cluster: ClusterReader, state: State, broken: dict[WorkloadKey, list[Symptom]]) -> dict[Target, Case]:
    """One case for each owner to act on: everything of one release that is broken goes back together."""
    async with CachingReader(cluster) as reader:
        owners = await asyncio.gather(*(_owner(reader, key) for key in broken))
    cases: dict[Target, Case] = {}
    for (key, symptoms), (owner, target, mechanism) in zip(broken.items(), owners, strict=True):
        case = cases.setdefault(target, Case(target=target, mechanism=mechanism, owner=owner))
        case.symptoms += symptoms
        case.workloads.append(key)
        case.unread |= state.unread.get(key, set())
        workload = state.workloads.get(key)
        if workload is not None:
            ready, desired = serving(workload, key[1])
            case.serving += ready
            case.desired += desired
    return cases


async def _owner(cluster: ClusterReader, key: WorkloadKey) -> tuple[Owner, Target, str]:
    """The owner of a workload, what to act on, and by which mechanism (none where Backout has no way)."""
    namespace, kind, name = key
    itself = Target(kind.lower(), name, namespace, cluster.name)
    resource = WORKLOAD_RESOURCES.get(kind) or (PODS if kind == "Pod" else None)
    if resource is None:
        return Owner(kind="operator", message=msg("A {kind} made its pods.", kind=kind)), itself, ""
    try:
        obj = await cluster.get(resource, name, namespace)
    except (ObjectNotFound, AccessDenied):
        return Owner(kind="none", message=msg("It can't be read, so nothing is known of its owner.")), itself, ""
    owner = await owner_of(cluster, {"apiVersion": resource.api_version, "kind": resource.kind, **obj})
    if owner.target is not None and owner.target.kind == "helm" and owner.kind in ("helm", "operator"):
        return owner, owner.target, "helm"
    if owner.kind == "none" and itself.kind in WORKLOADS:
        return owner, itself, "workload"
    return owner, owner.target or itself, ""


def _add_releases(cases: dict[Target, Case], releases: Sequence[ReleaseState], attributed: Attributed) -> None:
    """A stuck or failed release is a case of its own, or explains one that is there."""
    for release in releases:
        if not release.symptoms or attributed.add(release.target, release.symptoms):
            continue
        case = cases.get(release.target)
        if case is None:
            owner = Owner(kind="helm", target=release.target, message=msg("It is a Helm release."))
            case = cases[release.target] = Case(target=release.target, mechanism="helm", owner=owner)
        case.symptoms = [*release.symptoms, *case.symptoms]


def _named(case: Case, targets: Sequence[Target]) -> bool:
    """True when a workload of the case was named, though its owner is what has to go back, or an object's owner."""
    if case.owner.target in targets:
        return True
    named = {(target.namespace, target.kind, target.name) for target in targets}
    return any((namespace, kind.lower(), name) in named for namespace, kind, name in case.workloads)


def _asked_for(problem: Problem, targets: Sequence[Target]) -> bool:
    """True when its target was named, or what shows it, or the owner of that."""
    if problem.target in targets:
        return True
    shown = {(s.ref.namespace, s.ref.kind.lower(), s.ref.name) for s in problem.symptoms}
    touched = (
        {(ref.namespace, ref.kind.lower(), ref.name) for ref in problem.suspect.touches} if problem.suspect else set()
    )
    named = {(target.namespace, target.kind, target.name) for target in targets}
    return bool((shown | touched) & named) or any(owner in targets for owner in problem.owners)


async def _under_way(cluster: ClusterReader, state: State, problems: Sequence[Problem]) -> list[UnderWay]:
    """What is under way, with whose it is; not what turned out to be broken."""
    shown = {_place(symptom.ref) for problem in problems for symptom in problem.symptoms}
    shown |= {_place(problem.workload) for problem in problems if problem.workload is not None}
    found = [one for one in state.under_way if _place(one.ref) not in shown]
    async with CachingReader(cluster) as reader:

        async def owned(one: UnderWay) -> UnderWay:
            place = _place(one.ref)
            if one.owners or place[1] not in WORKLOAD_RESOURCES:
                return one
            _, target, _ = await _owner(reader, place)
            itself = Target(place[1].lower(), place[2], place[0], cluster.name)
            return one if target == itself else msgspec.structs.replace(one, owners=(target,))

        return list(await asyncio.gather(*map(owned, found)))


def _place(ref: ObjectRef) -> WorkloadKey:
    return ref.namespace, ref.kind, ref.name


def _about(one: Unseen | UnderWay, targets: Sequence[Target]) -> bool:
    """True when it, or whose it is, was named."""
    named = {(target.namespace, target.kind.partition(".")[0], target.name) for target in targets}
    own = (one.ref.namespace, one.ref.kind.lower(), one.ref.name)
    return own in named or any(owner in targets for owner in one.owners)


def _order(problem: Problem) -> tuple[bool, bool, str]:
    """What can be acted on first, objects before what reads them, then by name."""
    return not problem.mechanism, problem.mechanism != "objects", str(problem.target)
