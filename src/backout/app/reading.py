# SPDX-License-Identifier: Apache-2.0
"""The verbs that only read: diagnose, status, history, changes, verify."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from backout.app.absent import require_there
from backout.app.events import Watching
from backout.app.targets import read_targets
from backout.app.unfinished import tell_unfinished
from backout.app.whereabouts import sought
from backout.cluster.noting import NotingReader, no_right
from backout.errors import BackoutError, NotFoundError, UsageError
from backout.kube.groups import custom
from backout.model.change import LedgerEntry
from backout.model.message import Message, distinct, msg, of_error
from backout.model.revision import Revision
from backout.model.target import Target

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.diagnosis import Diagnosis, Problem, UnderWay
    from backout.model.part import Check
    from backout.model.verdict import Verdict


TargetState = Literal["healthy", "broken", "unknown", "under-way", "stopped"]


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One target as it is: the revision in force, what one could go back to, and what is wrong with it.

    ``healthy`` is None where it could not be told, and ``problem`` then says why where that is known; so it is where somebody
    scaled it to 0 and nothing says that it should run (``stopped``), and while its rollout goes on (``under_way``). ``note`` says
    why there is nothing to go back to.
    """

    target: Target
    healthy: bool | None
    current: Revision | None = None
    back_to: Revision | None = None
    note: str = ""
    problem: Message | None = None
    stopped: bool = False
    under_way: bool = False


class ClusterStatus(msgspec.Struct, frozen=True):
    """The targets of one cluster. ``blind``: what may not be read, so that there may be more of them, or not all be as well as
    they look."""

    cluster: str
    targets: tuple[TargetStatus, ...]
    blind: tuple[Message, ...] = ()


class Ledger(msgspec.Struct, frozen=True):
    """What changed on one cluster since then. ``blind``: what may not be read, so that more may have changed."""

    cluster: str
    since: datetime
    changes: tuple[LedgerEntry, ...]
    blind: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What the checks on one cluster found. ``blind``: why nothing was measured, where it could not be asked."""

    cluster: str
    verdict: Verdict
    blind: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """The revisions of one target, oldest first."""

    target: Target
    revisions: tuple[Revision, ...]


async def diagnose(workspace: Workspace, texts: Sequence[str] = ()) -> list[Diagnosis]:
    """What broke, a diagnosis a cluster; without ``texts``, in the whole namespace.

    Raises:
        NotFoundError: nothing is broken, but what was named is not there. Of several clusters, one where it is not is unknown.
        BackoutError: the cluster can't be read; one of several that does not answer is unknown, and hides nothing of the others.
    """
    from backout.diagnosis.diagnose import diagnose as look_at

    places: list[tuple[str, str]] = []

    async def look(cluster: Cluster) -> Diagnosis:
        named, namespace = read_targets(workspace, cluster, texts), workspace.namespace_of(cluster)
        places.append((cluster.name, namespace))
        seen = await look_at(cluster, namespace, named)
        if not seen.healthy:
            return seen
        try:
            await require_there(cluster, namespace, named)
        except NotFoundError as error:
            if not workspace.alone:
                # What is broken on the others is not kept back for it.
                return msgspec.structs.replace(seen, blind=(Message(error.message, error.template, error.arguments),))
            raise
        return seen

    def away(name: str, error: BackoutError) -> Diagnosis:
        from backout.model.diagnosis import Diagnosis

        seen = Diagnosis(cluster=name, namespace=workspace.where.namespace, at=datetime.now(UTC))
        return msgspec.structs.replace(seen, blind=(of_error(error),))

    found = await workspace.each_cluster(look, away)
    tell_unfinished(workspace, places)
    return found


async def history(workspace: Workspace, text: str) -> History:
    """The revisions of one target, each with whether it is proven good, and why.

    Raises:
        BackoutError: it is not there, or can't be read.
    """
    from backout.mechanisms import registry
    from backout.workflows.prepare import mechanism_of

    async with workspace.cluster() as cluster:
        named = read_targets(workspace, cluster, (text,))[0]
        async with sought(cluster, named):
            return History(named, (await registry.get(mechanism_of(named)).read(cluster, named)).revisions)


async def changes(workspace: Workspace, span: timedelta) -> list[Ledger]:
    """What changed in the namespace within the last ``span``.

    Raises:
        BackoutError: a cluster can't be read.
    """
    from backout.changes.timeline import changes as changes_since

    async def look(cluster: Cluster) -> Ledger:
        start, namespace = await cluster.server_time() - span, workspace.namespace_of(cluster)
        noting = NotingReader(cluster)
        found = await changes_since(noting, namespace, start)
        if not found and workspace.alone:
            await require_there(cluster, namespace)
        blind = distinct(no_right(resource.plural, place) for resource, place in noting.denied)
        return Ledger(cluster.name, start, tuple(found), blind)

    def away(name: str, error: BackoutError) -> Ledger:
        return Ledger(name, datetime.now(UTC) - span, (), (of_error(error),))

    return await workspace.each_cluster(look, away)


def state_of(target: TargetStatus) -> TargetState:
    """What a target is called."""
    if target.under_way:
        return "under-way"
    if target.stopped:
        return "stopped"
    return "unknown" if target.healthy is None else "healthy" if target.healthy else "broken"


async def status(workspace: Workspace, texts: Sequence[str] = ()) -> list[ClusterStatus]:
    """What is deployed, is it healthy, and what could one go back to?

    Raises:
        NotFoundError: nothing is broken, but what was named is not there.
        BackoutError: a cluster can't be read.
    """

    async def look(cluster: Cluster) -> ClusterStatus:
        return await _statuses(workspace, cluster, texts)

    def away(name: str, error: BackoutError) -> ClusterStatus:
        return ClusterStatus(name, (), (of_error(error),))

    return await workspace.each_cluster(look, away)


async def _statuses(workspace: Workspace, cluster: Cluster, texts: Sequence[str]) -> ClusterStatus:
    from backout.changes.inventory import targets_in
    from backout.diagnosis.diagnose import diagnose as look_at

    namespace = workspace.namespace_of(cluster)
    noting = NotingReader(cluster)
    targets = read_targets(workspace, cluster, texts) or await targets_in(noting, namespace)
    diagnosis = await look_at(cluster, namespace, targets if texts else ())
    if diagnosis.healthy and workspace.alone:
        await require_there(cluster, namespace, targets if texts else ())
    problems = {
        target: problem for problem in reversed(diagnosis.problems) for target in targets if _of(problem, target)
    }
    if not texts:
        # What is to be taken back is listed as well: a ConfigMap, whose release and readers may look healthy.
        problems |= {problem.target: problem for problem in diagnosis.problems if problem.target not in problems}
        targets = [*targets, *(target for target in problems if target not in targets)]
    unseen = {owner: one.why for one in diagnosis.unseen for owner in one.owners}
    single = {one.why.text for one in diagnosis.unseen}
    denied = (no_right(one.plural, place) for one, place in noting.denied if not custom(one.api_version))
    blind = distinct((*(one for one in diagnosis.blind if one.text not in single), *denied))
    if blind:
        # What is hidden may be broken, and may be of any of them.
        unseen = dict.fromkeys(targets, blind[0]) | unseen
    stopped = {one.target: one.message for one in diagnosis.stopped}
    going = {target: one.message for one in reversed(diagnosis.under_way) for target in targets if _whose(one, target)}
    found = (
        _status(cluster, target, problems.get(target), unseen.get(target), going.get(target), stopped.get(target))
        for target in targets
    )
    return ClusterStatus(cluster.name, tuple(await asyncio.gather(*found)), blind)


def _of(problem: Problem, target: Target) -> bool:
    """True where it is the target's, or its owner's, or shows on it."""
    if target == problem.target or target in problem.owners:
        return True
    shown = [symptom.ref for symptom in problem.symptoms] + ([problem.workload] if problem.workload else [])
    return any(
        (ref.kind.lower(), ref.name, ref.namespace) == (target.kind, target.name, target.namespace) for ref in shown
    )


def _whose(one: UnderWay, target: Target) -> bool:
    """True where it is the target itself, or the target's."""
    ref = one.ref
    kind = target.kind.partition(".")[0]
    return target in one.owners or (ref.kind.lower(), ref.name, ref.namespace) == (kind, target.name, target.namespace)


async def _status(
    cluster: Cluster,
    target: Target,
    problem: Problem | None,
    unseen: Message | None,
    going: Message | None,
    stopped: Message | None,
) -> TargetStatus:
    from backout.mechanisms import registry
    from backout.planning.choice import choose, current_of

    try:
        revisions = (await registry.of_kind(target.kind).read(cluster, target)).revisions
    except BackoutError as error:
        cause = problem.cause if problem is not None else None
        return TargetStatus(
            target=target,
            healthy=None if cause is None else False,
            note=error.message,
            problem=cause or unseen or of_error(error),
        )
    back, note, current = None, "", current_of(revisions)
    try:
        # What one could go back to, whether or not there is a reason to.
        back = choose(target, revisions, blamed=(current.number,) if current else ()).revision
    except BackoutError as error:
        note = error.message
    cause = problem.cause if problem is not None else None
    if current is not None and cause is None and current.removed:
        cause = msg("It is {status}; only its history is kept.", status=current.status)
    if current is not None and not current.readable:
        unseen = unseen or (current.reasons[0] if current.reasons else msg("Its newest revision can't be read."))
    return TargetStatus(
        target=target,
        healthy=False if cause is not None else None if unseen or going or stopped else True,
        current=current,
        back_to=back,
        note=note,
        stopped=stopped is not None and cause is None,
        under_way=going is not None and cause is None and unseen is None,
        problem=cause or unseen or going or stopped,
    )


async def verify(workspace: Workspace, texts: Sequence[str] = (), soak: float | None = None) -> list[Measured]:
    """Measures whether the targets (else the whole namespace) are healthy, and watches for ``soak`` seconds. Of several
    clusters, one that can't be measured hides nothing of the others: of that one it is unknown.

    Raises:
        UsageError: all namespaces were asked for.
        BackoutError: the only cluster can't be read.
    """
    from backout.model.verdict import Verdict

    seconds = workspace.settings.verify.soak if soak is None else soak

    def away(name: str, error: BackoutError) -> Measured:
        return Measured(name, Verdict(outcome="unknown", checks=(), at=datetime.now(UTC)), (of_error(error),))

    async def look(cluster: Cluster) -> Measured:
        try:
            return Measured(cluster.name, await _measure(workspace, cluster, texts, seconds))
        except UsageError:
            raise
        except BackoutError as error:
            if workspace.alone:
                raise
            return away(cluster.name, error)

    return await workspace.each_cluster(look, away)


async def _measure(workspace: Workspace, cluster: Cluster, texts: Sequence[str], soak: float) -> Verdict:
    from backout.mechanisms import registry
    from backout.mechanisms.port import Options
    from backout.verify.defaults import namespace_checks
    from backout.verify.stacks import stack_checks
    from backout.verify.verify import verify as measure
    from backout.workflows import broken

    targets = read_targets(workspace, cluster, texts)
    checks: list[Check] = []
    if not targets:
        namespace = workspace.namespace_of(cluster)
        if not namespace:
            raise UsageError("verify looks at one namespace at a time.", hint="Say which with -n NAMESPACE.")
        if workspace.alone:
            await require_there(cluster, namespace)
        checks += await namespace_checks(cluster, namespace)
        checks.append(broken.of_namespace(namespace, cluster.name))
        checks += stack_checks(workspace.settings, cluster.name, namespace)
    for target in targets:
        async with sought(cluster, target):
            reading = await registry.of_kind(target.kind).read(cluster, target, options=Options(present=True))
        checks += reading.present_checks()
        checks.append(broken.of_target(target))
    for namespace in dict.fromkeys(target.namespace for target in targets):
        checks += stack_checks(workspace.settings, cluster.name, namespace)
    workspace.tell(Watching(soak))
    return await measure(cluster, checks, soak, settle=0.0, also=broken.MEASURES)
