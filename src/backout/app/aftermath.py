# SPDX-License-Identifier: Apache-2.0
"""What else a diagnosis found broken when the way back was planned: does it still fail once that was gone?

Programs that only need the broken one come back by themselves with their next start; what has a cause of its own does not, and whoever
reads "recovered" must not take it for mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from backout.app.events import Event, Failed, Front, StillBroken
from backout.app.fleet import each
from backout.errors import BackoutError, NotVerifiedError
from backout.mechanisms.common.backoff import LONGEST
from backout.model.message import Message, msg, of_error
from backout.model.run import RunEvent
from backout.model.target import Target
from backout.planning.followers import followers, uncovered

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.engine.store.port import RunStore
    from backout.model.diagnosis import Diagnosis, Problem
    from backout.model.operation import Operation
    from backout.model.run import Run

PATIENCE = 45.0
"""Seconds for what fails by itself to show that it goes on."""
LOOK = 3.0
NOTED, LOOKED = "others-broken", "others-looked-at"
"""The events of a run that is left to workers: what is to be looked at when it has ended, and that it was."""


@dataclass(frozen=True, slots=True)
class Other:
    """Something broken that no plan acts on. ``follows``: it has no cause of its own that is known, and began after the change
    that is taken back, so that it may fail because of that."""

    cluster: str
    namespace: str
    target: Target
    follows: bool = False


def others(diagnosis: Diagnosis, cluster: str, namespace: str, acted_on: Sequence[Target]) -> list[Other]:
    """What the diagnosis found besides."""
    acted = set(acted_on)
    after = {problem.target for problem in followers(diagnosis.problems, acted)}
    return [
        Other(cluster, namespace, problem.target, follows=problem.target in after)
        for problem in diagnosis.problems
        if problem.target not in acted and not acted & set(problem.owners)
    ]


def callers(diagnosis: Diagnosis, cluster: str, plans: Sequence[Operation]) -> list[Other]:
    """Workloads that fail because of what a plan takes back, and that are no part of it."""
    found = []
    for part in (part for plan in plans for part in plan.parts):
        for ref in uncovered(diagnosis.problems, part.target, part.steps):
            target = Target(ref.kind.lower(), ref.name, ref.namespace, part.target.cluster)
            found.append(Other(cluster, ref.namespace, target, follows=True))
    return found


async def tell_what_still_fails(workspace: Workspace, found: Sequence[Other], runs: Sequence[Run]) -> list[Failed]:
    """Gives the others the time for their next start, and names those that still fail then. Nothing to do where no run recovered.

    What may have failed because of what was taken back is waited for until it was started anew, since a start before that proves
    nothing; what still fails then, or was never started, is returned: nobody may call that healthy.
    """
    if not any(run.state == "recovered" for run in runs):
        return []

    async def look(place: tuple[str, str]) -> list[Failed]:
        cluster, namespace = place
        mine = [other for other in found if (other.cluster, other.namespace) == place]
        follows = {other.target for other in mine if other.follows}
        try:
            async with workspace.cluster(cluster) as reached:
                left, waiting = await _left(reached, namespace, {other.target for other in mine}, follows)
        except BackoutError as error:
            # What can't be read now was told as broken before; whether it is well again is not known.
            return [Failed(_unknown(target, error.message), cluster, target) for target in sorted(follows)]
        failed: list[Failed] = []
        for problem in left:
            if not _shows(problem) & follows:
                workspace.tell(StillBroken(problem))
                continue
            why = _not_started() if problem.target in waiting else problem.cause
            failed.append(Failed(_unknown(problem.target, why), cluster, problem.target))
        return failed

    places = dict.fromkeys((other.cluster, other.namespace) for other in found)
    return [one for answer in await each(places, look) for one in answer]


def note(store: RunStore, found: Sequence[Other], runs: Sequence[Run]) -> None:
    """Keeps with runs that are left to workers what else was broken where they act: whoever ends one looks (`look_after`)."""
    left = list(found)
    for run in runs:
        places = {(part.scope.cluster, part.scope.namespace) for part in run.operation.parts}
        mine = [other for other in left if (other.cluster, other.namespace) in places]
        left = [other for other in left if other not in mine]
        if mine:
            said = msg(
                "{count} others are broken there, which nothing is done about; they are looked at in the end.",
                count=len(mine),
            )
            _record(store, run, NOTED, said, key=NOTED, others=msgspec.to_builtins(mine))


async def look_after(workspace: Workspace, store: RunStore, run: Run) -> None:
    """`tell_what_still_fails` for a run that workers carried out, once, as events of it."""
    events = store.events(run.id)
    noted = next((event for event in events if event.type == NOTED), None)
    if noted is None or run.state != "recovered" or any(event.type == LOOKED for event in events):
        return
    found = msgspec.convert(noted.data["others"], list[Other])
    front = _Hears(workspace.front)
    failed = await tell_what_still_fails(workspace.for_front(front), found, [run])
    for problem in front.broken:
        said = msg(
            "Still broken, and nothing was done about it: {target}: {cause}",
            target=str(problem.target),
            cause=problem.cause,
        )
        _record(store, run, "still-broken", said)
    for one in failed:
        _record(store, run, "not-well", of_error(one.error), code=one.error.code)
    still = len(front.broken) + len(failed)
    said = msg("What else was broken was looked at again: {still} of {count} still are.", still=still, count=len(found))
    _record(store, run, LOOKED, said, key=LOOKED, still=still)


def _record(store: RunStore, run: Run, type: str, said: Message, key: str = "", **data: object) -> None:
    store.record(RunEvent(run=run.id, type=type, at=datetime.now(UTC), message=said, key=key, data=data))


class _Hears:
    """A front that keeps what is still broken, beside telling it."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.broken: list[Problem] = []

    def tell(self, event: Event) -> None:
        if isinstance(event, StillBroken):
            self.broken.append(event.problem)
        else:
            self._front.tell(event)

    def stoppable(self, run: str, stop: Callable[[], None]) -> AbstractContextManager[None]:
        return self._front.stoppable(run, stop)


def _not_started() -> Message:
    return msg("it has not been started anew since, so that it is not known whether it fails for itself")


def _unknown(target: Target, why: Message | str) -> NotVerifiedError:
    return NotVerifiedError(
        "{target} began to fail after what was taken back, and is not well again: {why}",
        target=str(target),
        why=why,
        expected="pods that are ready once they were started anew",
        hint="Look at it: backout diagnose {target} -n {namespace}",
        namespace=target.namespace,
    )


async def _left(
    cluster: Cluster, namespace: str, targets: set[Target], follows: set[Target]
) -> tuple[list[Problem], set[Target]]:
    """What is still broken, and which of it waits for its next start."""
    from backout.diagnosis.diagnose import diagnose

    cured = await cluster.server_time()
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        seen = await diagnose(cluster, namespace)
        left = [problem for problem in seen.problems if _shows(problem) & targets]
        mine = [problem for problem in left if _shows(problem) & follows]
        waiting = await _waiting(cluster, namespace, mine, cured)
        passed = clock() - began
        if not left or passed > LONGEST or (passed > PATIENCE and not waiting):
            return left, waiting
        await asyncio.sleep(LOOK)


def _shows(problem: Problem) -> set[Target]:
    """What a problem is of: whom to ask for the way back, and the workloads that show it."""
    target = problem.target
    refs = {symptom.ref for symptom in problem.symptoms}
    return {target, *(Target(ref.kind.lower(), ref.name, ref.namespace, target.cluster) for ref in refs)}


async def _waiting(cluster: Cluster, namespace: str, problems: Sequence[Problem], cured: datetime) -> set[Target]:
    """Those of which a pod has not shown since whether it fails: it was not started, or it is ready and nobody trusts that yet."""
    from backout.cluster.port import PODS
    from backout.kube.pod_health import health_of, last_start

    if not problems:
        return set()
    pods = {pod["metadata"]["name"]: pod for pod in await cluster.list_all(PODS, namespace)}
    found = set()
    for problem in problems:
        mine = [pods[name] for symptom in problem.symptoms for name in symptom.pods if name in pods]
        # Whole seconds: a start of the same second may have come before.
        if any((start := last_start(pod)) is None or start <= cured or health_of(pod).ready for pod in mine):
            found.add(problem.target)
    return found
