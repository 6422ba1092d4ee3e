# SPDX-License-Identifier: Apache-2.0
"""Makes a plan: the mechanism reads once, `planning` chooses, the draft of that is sealed. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from backout.cluster.identity import weakness
from backout.cluster.port import ClusterReader
from backout.errors import NoGoodRevision, NothingToDo, RefusedError
from backout.mechanisms import registry
from backout.mechanisms.common import backoff
from backout.mechanisms.common.steps import start_anew
from backout.mechanisms.port import Options
from backout.model.diagnosis import Problem
from backout.model.message import Message, few, msg
from backout.model.operation import Operation
from backout.model.part import Access, Part, Risk, Spared, Step
from backout.model.revision import Revision
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.settings import USUAL_TIMEOUT, Settings
from backout.model.target import ObjectRef, Target
from backout.planning.choice import SURE, Choice, choose
from backout.planning.document import seal
from backout.planning.followers import concerned, placed, to_start, waited_for
from backout.planning.reach import hold, protected_risks
from backout.planning.skipping import Skips, spared_objects, spared_target
from backout.verify.stacks import stack_checks
from backout.workflows import suspects as suspecting
from backout.workflows.broken import after_run
from backout.workflows.budgets import budget_risks
from backout.workflows.rights import rights
from backout.workflows.suspects import began, suspects


def mechanism_of(target: Target) -> str:
    """The name of the way back for a kind of target.

    Raises:
        RefusedError: there is none for that kind.
    """
    return registry.name_of(target.kind)


async def make_operation(
    cluster: ClusterReader,
    target: Target,
    *,
    made_at: datetime,
    to: str = "",
    problems: Sequence[Problem] = (),
    settings: Settings | None = None,
    hooks: bool = True,
    skips: Skips | None = None,
    skipped: Sequence[Spared] = (),
    coming: Sequence[ObjectRef] = (),
) -> Operation:
    """The sealed operation: ``target`` back to its last good revision, or to the one that ``to`` names.

    One part; where the target is good itself, and single objects of it were changed or deleted past it, one for each of those
    instead. Without ``hooks``, Helm runs none. ``skips``: what is left as it is, and noted there as met;
    ``skipped``: other targets that were left out of what was asked for. ``coming``: objects that plans which are carried out before
    this one create.

    Raises:
        NotFoundError: no such target or revision.
        RefusedError: no revision is proven good, going back would do harm, the namespace is protected, or it can't be done without what is
            to be left out.
    """
    settings = settings or Settings()
    if target.namespace in settings.policy.protected:
        raise RefusedError(
            "The namespace {namespace} is protected by policy.",
            namespace=target.namespace,
            hint="policy.protected in the configuration lists the protected namespaces.",
        )
    identity = await cluster.identity()
    asked = _Asked(
        cluster, identity, problems, settings, hooks, skips or Skips(), tuple(skipped), tuple(coming), made_at
    )
    if not to and (blamed := await _past_it(asked, target)):
        # The cause is known, and lies in single objects of it: another revision would not mend that.
        return seal(await _several(asked, target, blamed, made_at))
    try:
        return seal(Operation(made_at=made_at, parts=(await _part(asked, target, to),), skipped=asked.skipped))
    except (NothingToDo, NoGoodRevision) as error:
        # Of a release that is blamed itself, edits that others meant are not to be taken back instead.
        itself = any(one.target == target and one.confidence in SURE for one in problems)
        others = await registry.of_kind(target.kind).instead(cluster, target) if not (to or itself) else ()
        instead = await _several(asked, target, others, made_at)
        if not instead.parts:
            raise error
        return seal(instead)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all parts of one operation are made from."""

    cluster: ClusterReader
    identity: ClusterIdentity
    problems: Sequence[Problem]
    settings: Settings
    hooks: bool
    skips: Skips
    skipped: tuple[Spared, ...]
    coming: tuple[ObjectRef, ...]
    made_at: datetime


async def _past_it(asked: _Asked, target: Target) -> list[Target]:
    """The objects that a diagnosis blames for what is broken of the target, where it does not blame that itself."""
    sure = [problem for problem in asked.problems if problem.mechanism and problem.confidence in SURE]
    blamed = {problem.target for problem in sure if target in problem.owners}
    if not blamed or any(problem.target == target for problem in sure):
        return []
    return [one for one in await registry.of_kind(target.kind).instead(asked.cluster, target) if one in blamed]


async def _several(asked: _Asked, target: Target, others: Sequence[Target], made_at: datetime) -> Operation:
    """A part for each of the others; those that are to be left out are named.

    Raises:
        NothingToDo: all of them are.
        RefusedError: see `_each`.
    """
    left = [other for other in others if asked.skips.target(other)]
    going = [other for other in others if other not in left]
    if left and not going:
        raise NothingToDo(
            "All that would go back of {target} is to be left out: {names}.",
            target=str(target),
            names=", ".join(map(str, left)),
        )
    spared = (*asked.skipped, *(spared_target(other) for other in left))
    return Operation(made_at=made_at, parts=await _each(asked, target, going), skipped=spared)


async def _each(asked: _Asked, target: Target, others: Sequence[Target]) -> tuple[Part, ...]:
    """A part for each object that has something to be taken back.

    Raises:
        RefusedError: one can't go back, and none of the others has anything.
    """
    parts: list[Part] = []
    refused: RefusedError | None = None
    why = msg("It is not as {target} has it: somebody changed or deleted it past that.", target=str(target))
    for other in others:
        try:
            parts.append(await _part(asked, other, "", why))
        except (NothingToDo, NoGoodRevision):
            continue
        except RefusedError as error:
            refused = refused or error
    if not parts and refused is not None:
        raise refused
    return tuple(parts)


async def _part(asked: _Asked, target: Target, to: str, why: Message | None = None) -> Part:
    """The way back of one target; ``why`` is told where no problem says more."""
    cluster, settings = asked.cluster, asked.settings
    name = mechanism_of(target)
    mechanism = registry.get(name)
    mine = tuple(problem for problem in asked.problems if problem.target == target)
    blamed = {problem.bad_revision for problem in mine if problem.bad_revision is not None}
    since = min((p.bad_revision for p in mine if p.bad_revision is not None and p.confidence in SURE), default=None)

    def chosen(revisions: Sequence[Revision]) -> Sequence[Revision]:
        return (choose(target, revisions, to, blamed, since).revision,)

    reading = await mechanism.read(
        cluster,
        target,
        chosen,
        Options(
            hooks=asked.hooks, skip=tuple(asked.skips), coming=asked.coming, blamed=tuple(concerned(asked.problems))
        ),
    )
    choice = choose(target, reading.revisions, to, blamed, since)
    draft = reading.draft(choice.revision)
    skipped = spared_objects(target, draft, asked.skips)
    broke = began(mine, choice.current.created if choice.current else None)
    left = await suspects(cluster, target, draft.changes, broke, asked.made_at)
    left = [one for one in left if not asked.skips.object(one.ref)]
    checks = [
        *draft.checks,
        *suspecting.checks(left, cluster.name),
        *after_run(target, mine),
        *stack_checks(settings, cluster.name, target.namespace),
    ]
    steps, starting, slow = await _with_starts(
        asked, target, [_patient(step, settings.verify.timeout) for step in draft.steps], draft.waiting
    )
    budgets = await budget_risks(cluster, draft.changes, steps)
    part = Part(
        id=str(target),
        scope=ClusterScope(cluster=cluster.name, namespace=target.namespace, identity=asked.identity),
        target=target,
        mechanism=name,
        cause=_cause(mine, choice, why),
        current=choice.current,
        revision=choice.revision,
        why_good=choice.why,
        problems=mine,
        steps=tuple(steps),
        changes=draft.changes,
        risks=(
            *_choice_risks(choice),
            *_identity_risks(asked.identity),
            *draft.risks,
            *slow,
            *suspecting.risks(left),
            *budgets,
        ),
        checks=tuple(checks),
        access=rights([*draft.access, *starting], target, draft.changes, checks),
        soak=settings.verify.soak,
        skipped=skipped,
    )
    part = msgspec.structs.replace(part, risks=(*part.risks, *protected_risks(part, settings.policy.protected)))
    hold(part, settings.policy.protected)
    return part


async def _with_starts(
    asked: _Asked, target: Target, steps: Sequence[Step], waiting: Sequence[ObjectRef]
) -> tuple[list[Step], list[Access], list[Risk]]:
    """The steps, with those that end back-offs; the rights for them; and what must be known of those that nobody may end.

    To end one is a help and no condition: where pods may not be deleted, the way back goes without, and waits longer.
    """
    found = to_start(asked.problems, target, steps, waiting)
    mine = {ref: Target(ref.kind.lower(), ref.name, ref.namespace, target.cluster) for ref in found}
    spared = [ref for ref, one in mine.items() if asked.skips.target(one)]
    wanted = [ref for ref in found if ref not in spared and (ref.namespace == target.namespace or ref in waiting)]
    needed = sorted({access for ref in wanted for access in backoff.rights(ref)})
    answers = await asked.cluster.may(needed) if needed else ()
    denied = {answer.access for answer in answers if not answer.allowed}
    able = [ref for ref in wanted if not denied & set(backoff.rights(ref))]
    unable = [ref for ref in wanted if ref not in able]
    risks = []
    if unable:
        message = msg(
            "{refs} fails and waits for its next start: without the right to delete pods it starts by itself, up to five minutes later.",
            refs=few([str(ref) for ref in unable]),
        )
        risks.append(Risk(code="back-off", message=message))
    starts = [start_anew(ref, mine[ref]) for ref in able]
    rights_of = [access for ref in able for access in backoff.rights(ref)]
    return placed(waited_for(steps, [*unable, *spared]), starts), rights_of, risks


def _patient(step: Step, timeout: float) -> Step:
    """A step that waits for others gets the time that the user gives them."""
    kind = registry.known_step_kind(step.action)
    if kind is None or not kind.waits:
        return step
    return msgspec.structs.replace(step, timeout=step.timeout * timeout / USUAL_TIMEOUT)


def _cause(problems: Sequence[Problem], choice: Choice, why: Message | None) -> Message:
    if problems:
        return problems[0].cause
    if why is not None:
        return why
    if choice.current is not None and choice.current.goodness == "bad" and choice.current.reasons:
        return choice.current.reasons[0]
    return msg("Asked for; nothing broken was found on it.")


def _choice_risks(choice: Choice) -> tuple[Risk, ...]:
    if choice.proven:
        return ()
    return (
        Risk(
            code="not-proven-good",
            message=msg(
                "Revision {number} is not proven good: it is {goodness}.",
                number=choice.revision.number,
                goodness=choice.revision.goodness,
            ),
            needs_approval=choice.revision.goodness == "bad",
        ),
    )


def _identity_risks(identity: ClusterIdentity) -> tuple[Risk, ...]:
    weak = weakness(identity)
    return (Risk(code="weak-identity", message=weak),) if weak else ()
