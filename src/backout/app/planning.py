# SPDX-License-Identifier: Apache-2.0
"""Plans: for named targets, for everything that is broken, or from a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from backout.app.absent import require_there
from backout.app.aftermath import Other, callers, others
from backout.app.events import Failed, LeftOut, Unseen
from backout.app.fleet import Reaching, as_one, each, left_out, nothing_at_all, require_waves
from backout.app.targets import read_targets
from backout.app.unfinished import tell_unfinished
from backout.app.whereabouts import sought
from backout.errors import BackoutError, NothingToDo, NotSeen, UsageError, WrongCluster
from backout.model.message import Message, joined

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.diagnosis import Diagnosis
    from backout.model.operation import Operation
    from backout.model.part import Part, Spared
    from backout.model.target import ObjectRef
    from backout.planning.skipping import Skips
    from backout.scopes.port import ClusterHandle, Scopes

SHOWN = 3


@dataclass(slots=True)
class Planned:
    """The plans, what could not be planned, what else is broken where nothing was named, the targets that were left out, and
    what has not ended, or could not be looked at, so that nobody knows."""

    plans: list[Operation] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    skipped: list[Spared] = field(default_factory=list)
    under_way: list[Message] = field(default_factory=list)
    hidden: list[Message] = field(default_factory=list)
    there: str = ""
    """One of the targets that are there, where nothing is broken."""

    def alone(self) -> BackoutError | None:
        """The only thing there is to tell, when that is an error."""
        return self.failures[0].error if len(self.failures) == 1 and not self.plans else None


async def plans_for(
    workspace: Workspace, texts: Sequence[str], to: str = "", *, hooks: bool = True, skip: Sequence[str] = ()
) -> Planned:
    """One plan a target; over several clusters one plan for all of them. What can't be planned does not stop the others. ``skip``:
    targets and objects that are left as they are, as ``kind/name``.

    Raises:
        NotSeen: nothing that is broken was seen, and not everything was.
        NothingToDo: nothing is broken, and no target was named; or all that would go back is to be left out.
        RefusedError: something that is to be left out is in no plan, on no cluster.
        NotFoundError: there is no such namespace.
        BackoutError: one thing was asked for, or is broken, and there is no plan for it.
    """
    if to and not texts:
        raise UsageError("--to needs a target.", expected="backout plan helm/NAME --to REVISION")
    require_waves(workspace)
    from backout.planning.needs import in_turn
    from backout.planning.skipping import Skips

    planned, skips = Planned(), Skips(skip)
    places: list[tuple[str, str]] = []

    async def one(name: str) -> Planned:
        try:
            async with workspace.cluster(name) as cluster:
                places.append((cluster.name, workspace.namespace_of(cluster)))
                return await _plans(workspace, cluster, texts, to, skips, hooks=hooks)
        except UsageError:
            raise
        except BackoutError as error:
            return Planned(failures=[Failed(error, name)])

    healthy: list[str] = []
    for name, found in zip(workspace.contexts, await each(workspace.contexts, one), strict=True):
        if workspace.fleet and found.hidden and not found.plans and not found.failures:
            found.failures.append(Failed(_not_seen(found.hidden), name))
        if not found.plans and not found.failures:
            healthy.append(name)
        planned.plans += found.plans
        planned.failures += found.failures
        planned.others += found.others
        planned.skipped += found.skipped
        planned.under_way += found.under_way
        planned.hidden += found.hidden
        planned.there = planned.there or found.there
    tell_unfinished(workspace, places)
    if (alone := planned.alone()) is not None:
        raise alone
    if workspace.fleet and not planned.plans and (nothing := nothing_at_all(planned.failures)) is not None:
        raise nothing
    if planned.plans or planned.failures or planned.skipped:
        skips.require_met()
    if planned.skipped and not planned.plans and not planned.failures:
        raise NothingToDo(
            "All that would go back is to be left out: {names}.",
            names=", ".join(dict.fromkeys(one.what for one in planned.skipped)),
        )
    if not planned.plans and not planned.failures and planned.hidden:
        raise _not_seen(planned.hidden)
    if not planned.plans and not planned.failures and planned.under_way:
        raise NothingToDo(
            "Nothing is broken so far, but not everything has ended: {what}",
            what=joined(planned.under_way[:SHOWN], " "),
            hint="Look again when it has: `backout diagnose`. To go back all the same, name what and where to, such as "
            "`backout plan {target} --to REVISION`."
            if planned.there
            else "Look again when it has: `backout diagnose`.",
            target=planned.there,
        )
    if not planned.plans and not planned.failures:
        raise NothingToDo(
            "Nothing is broken, so there is nothing to go back from.",
            hint="To go back all the same, name what and where to, such as `backout plan {target} --to REVISION`."
            if planned.there
            else "",
            target=planned.there,
        )
    planned.plans = in_turn(planned.plans)
    if workspace.fleet and planned.plans:
        planned.plans = [as_one(workspace, planned.plans, planned.failures, healthy)]
        planned.failures = [one for one in planned.failures if not isinstance(one.error, NothingToDo)]
    for failed in planned.failures:
        workspace.tell(LeftOut(failed))
    planned.plans = [_held(workspace, plan) for plan in planned.plans]
    return planned


def _held(workspace: Workspace, plan: Operation) -> Operation:
    """The plan, with what policy says of it among its risks."""
    from backout.planning.document import seal
    from backout.planning.policy import Policy, with_risks

    risks = Policy(workspace.settings).told(plan, datetime.now(UTC))
    return seal(with_risks(plan, risks)) if risks else plan


def _not_seen(hidden: Sequence[Message]) -> NotSeen:
    return NotSeen(
        "Nothing broken was seen, but not everything could be looked at, so whether there is something to go back from is not "
        "known: {why}",
        why=joined(hidden[:SHOWN]),
        hint="`backout doctor` prints the Role that is missing.",
    )


async def plan_for(
    workspace: Workspace,
    text: str,
    *,
    to: str = "",
    hooks: bool = True,
    skip: Sequence[str] = (),
    diagnosis: Diagnosis | None = None,
) -> Operation:
    """The plan of one target; a diagnosis is made where none is given. ``skip``: objects that are left as they are.

    Raises:
        NotFoundError: no such target or revision.
        RefusedError: there is no way back; or what is to be left out can't be, or is not touched.
    """
    from backout.diagnosis.diagnose import diagnose
    from backout.planning.skipping import Skips
    from backout.workflows.prepare import make_operation

    async with workspace.cluster() as cluster:
        target = read_targets(workspace, cluster, (text,))[0]
        seen = diagnosis or await diagnose(cluster, target.namespace, [target])
        await workspace.learned()
        skips = Skips(skip)
        async with sought(cluster, target):
            plan = await make_operation(
                cluster,
                target,
                made_at=seen.at,
                to=to,
                problems=seen.problems,
                settings=workspace.settings,
                hooks=hooks,
                skips=skips,
            )
        skips.require_met()
        return _held(workspace, plan)


def plans_in(path: Path) -> Planned:
    """The plans of a file that `backout plan --out` wrote.

    Raises:
        UsageError: it can't be read, or holds something else.
    """
    from backout.app.files import read_bounded
    from backout.planning.document import load

    plans = load(read_bounded(path).decode("utf-8", "replace"), str(path))
    return Planned(plans, [failed for plan in plans for failed in left_out(plan)])


async def as_made_now(workspace: Workspace, plans: Sequence[Operation]) -> None:
    """Holds plans from a file to what the cluster gives such plans now.

    Raises:
        PlanChanged: one lacks a risk or a check.
        BackoutError: a cluster can't be asked, or there is no such plan any more.
    """
    from backout.app.running import connected
    from backout.workflows.as_made_now import require_as_made_now

    coming = [ref for plan in plans for ref in plan.created]
    for plan in plans:
        async with connected(workspace, plan) as scopes:
            for part in plan.parts:
                async with _reached(workspace, scopes, plan, part) as scope:
                    try:
                        await scope.identify()
                    except WrongCluster:
                        continue  # of which the run says so itself, before it looks at anything else
                    await require_as_made_now(scope.cluster, part, coming)


@asynccontextmanager
async def _reached(workspace: Workspace, scopes: Scopes, plan: Operation, part: Part) -> AsyncIterator[ClusterHandle]:
    if plan.fleet is None:
        yield scopes.open(part.scope)
        return
    async with Reaching(workspace, plan)(part) as scope:
        yield scope


def by_themselves(plans: Sequence[Operation]) -> list[Message]:
    """Each step of plans from a file as its action and parameters have it: the words of a file are its author's."""
    from backout.planning.derived import told

    return [told(step) for plan in plans for part in plan.parts for step in part.steps]


def write_plans(path: str, plans: Sequence[Operation]) -> None:
    """Writes a file for `plans_in` that only its owner can read.

    Raises:
        UsageError: it can't be written.
    """
    from backout.app.files import write_private
    from backout.planning.document import dump

    write_private(path, dump(list(plans)))


async def _plans(
    workspace: Workspace, cluster: Cluster, texts: Sequence[str], to: str, skips: Skips, *, hooks: bool
) -> Planned:
    from backout.changes.inventory import targets_in
    from backout.diagnosis.diagnose import diagnose
    from backout.planning.choice import targets_of
    from backout.planning.skipping import spared_target
    from backout.workflows.prepare import make_operation

    targets, namespace = read_targets(workspace, cluster, texts), workspace.namespace_of(cluster)
    diagnosis = await diagnose(cluster, namespace, targets)
    await workspace.learned(cluster.name)
    if diagnosis.healthy and not targets:
        await require_there(cluster, namespace)
    for blind in diagnosis.blind:
        workspace.tell(Unseen(blind))
    planned = Planned(under_way=[one.message for one in diagnosis.under_way], hidden=list(diagnosis.blind))
    if not targets and not diagnosis.problems and namespace:
        planned.there = next(map(str, await targets_in(cluster, namespace)), "")
    found = targets or targets_of(diagnosis)
    left = [target for target in found if skips.target(target)]
    acted_on = [target for target in found if target not in left]
    planned.skipped = [spared_target(target) for target in left]
    if not targets:
        planned.others = others(diagnosis, cluster.name, namespace, acted_on)
    coming: list[ObjectRef] = []
    for target in acted_on:
        try:
            async with sought(cluster, target):
                plan = await make_operation(
                    cluster,
                    target,
                    made_at=diagnosis.at,
                    to=to,
                    problems=diagnosis.problems,
                    settings=workspace.settings,
                    hooks=hooks,
                    skips=skips,
                    skipped=planned.skipped,
                    coming=coming,
                )
            planned.plans.append(plan)
            # They are carried out in this order: what one creates is there for the next.
            coming += plan.created
        except UsageError:
            raise
        except BackoutError as error:
            planned.failures.append(Failed(error, cluster.name, target))
    if not targets:
        planned.others += callers(diagnosis, cluster.name, planned.plans)
    return planned
