# SPDX-License-Identifier: Apache-2.0
"""The problems of workloads, namespace by namespace: what each shows is laid at the door of a change, or of none."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from backout.cluster.port import ClusterReader
from backout.diagnosis.attribution.loners import loners
from backout.diagnosis.attribution.problems import Owners, problems_of
from backout.diagnosis.attribution.seen_problems import seen_problems
from backout.diagnosis.attribution.ways import target_of
from backout.diagnosis.attribution.workloads import Attribution, attribute
from backout.diagnosis.detectors.claims import claims_of_workload, with_claims
from backout.diagnosis.detectors.creation import refused
from backout.diagnosis.detectors.registry import detect
from backout.diagnosis.detectors.symptoms import starting
from backout.diagnosis.evidence.caching_reader import CachingReader
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.events import EventIndex, Events
from backout.diagnosis.evidence.history import WorkloadHistory, object_of, read_history
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.diagnosis import Problem
from backout.model.evidence import Symptom
from backout.model.message import Message
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Owner, Ownership

NAMESPACES_AT_ONCE = 4


class Attributed(msgspec.Struct):
    """The problems, and the workloads that they tell of."""

    problems: list[Problem] = []
    keys: set[WorkloadKey] = set()

    def add(self, target: Target, symptoms: Sequence[Symptom]) -> bool:
        """Adds what a release shows itself to its problem; False when it has none."""
        for place, problem in enumerate(self.problems):
            if problem.target == target and problem.mechanism:
                more = (*symptoms, *problem.symptoms)
                self.problems[place] = msgspec.structs.replace(problem, symptoms=more)
                return True
        return False


async def attributed_problems(
    cluster: ClusterReader,
    events: EventIndex,
    state: State,
    broken: dict[WorkloadKey, list[Symptom]],
    now: datetime,
    told: Collection[ObjectRef] = (),
) -> Attributed:
    """The problems of everything in ``broken`` that is a Deployment, StatefulSet or DaemonSet and can be read, of pods that none
    of these made as far as something explains them, and of one namespace what is missing there; of the objects in ``told``
    enough is said."""
    by_namespace: dict[str, list[WorkloadKey]] = defaultdict(list)
    if state.namespace:
        # What is missing shows in no pod: one namespace that was asked for is looked at as a whole.
        by_namespace[state.namespace] = []
    for key in broken:
        if key[1] in WORKLOAD_RESOURCES or key[1] == "Pod" or key in state.makers:
            by_namespace[key[0]].append(key)
    gate = asyncio.Semaphore(NAMESPACES_AT_ONCE)

    async def one(name: str, keys: list[WorkloadKey]) -> Attributed:
        async with gate, CachingReader(cluster) as reader:
            namespace = Namespace(reader, name)
            try:
                return await _of_namespace(
                    namespace, await events.of(name), state, {key: broken[key] for key in keys}, now, told
                )
            finally:
                await namespace.close()

    found = await asyncio.gather(*(one(name, keys) for name, keys in by_namespace.items()))
    return Attributed([p for one in found for p in one.problems], {key for one in found for key in one.keys})


async def _of_namespace(
    namespace: Namespace,
    events: Events,
    state: State,
    broken: dict[WorkloadKey, list[Symptom]],
    now: datetime,
    told: Collection[ObjectRef],
) -> Attributed:
    ownership = Ownership(namespace.cluster)
    alone = await loners(
        namespace, state, {key: found for key, found in broken.items() if key[1] == "Pod"}, ownership, events
    )
    broken = {key: found for key, found in broken.items() if key[1] != "Pod"}
    seen = await detect(namespace, state, events) if state.namespace else []
    for one in seen:
        if one.workload is not None and (
            one.workload not in broken or one.symptom.ref.kind in ("Service", "NetworkPolicy", "PodMonitor")
        ):
            broken[one.workload] = [*broken.get(one.workload, ()), one.symptom]
    for key, symptom in refused(state, events, namespace.name, now).items():
        broken[key] = [*broken.get(key, ()), symptom]

    async def past(key: WorkloadKey) -> tuple[Owner, WorkloadHistory, list[Symptom]] | None:
        obj = await object_of(namespace, state, key)
        if obj is None:
            return None
        owner = await ownership.of(obj)
        if owner.kind == "controller":
            # What made it is what has to be changed, and that is no template of its own.
            return None
        history = await read_history(namespace, state, key, owner, obj)
        if history is None:
            return None
        return owner, history, await with_claims(namespace, broken[key], claims_of_workload(history), events)

    owners: Owners = {}
    histories = {}
    for key, found in zip(broken, await asyncio.gather(*map(past, broken)), strict=True):
        if found is not None:
            owner, histories[key], broken[key] = found
            owners[key] = _owner(owner, histories[key])
    attributions = _without_starting(await attribute(histories, broken, namespace, events, now), state)
    told = {*told, *(one.symptom.ref for one in alone.seen)}
    problems = [
        *problems_of(attributions, state, owners),
        *alone.problems,
        *await seen_problems(namespace, alone.seen, ()),
        *await seen_problems(namespace, seen, told),
    ]
    return Attributed(problems, {*histories, *alone.keys})


def _without_starting(attributions: Sequence[Attribution], state: State) -> list[Attribution]:
    """Without those that may simply take their time to start, unless what they show leads straight to a change: these are under
    way."""
    kept = []
    for one in attributions:
        workload = state.workloads.get(one.history.key)
        known = one.best.direct if one.best is not None else one.confidence in ("likely", "certain")
        more = any(symptom.code != "NotReady" for symptom in one.symptoms)
        if one.history.key not in state.young or known or more or workload is None:
            kept.append(one)
        elif (told := starting(one.history.key, workload)) is not None:
            state.under_way.append(told)
    return kept


def _owner(owner: Owner, history: WorkloadHistory) -> tuple[Target, tuple[Message, ...]]:
    itself = history.itself
    if owner.kind == "operator" and owner.target is None:
        return target_of(ObjectRef.of(history.subject), history.key[0], history.cluster), (owner.message,)
    if owner.kind in ("none", "helm") or (owner.target is not None and owner.target.kind == "helm"):
        return owner.target or itself, ()
    return owner.target or itself, (owner.message,)
