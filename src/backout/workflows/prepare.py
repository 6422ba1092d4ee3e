# SPDX-License-Identifier: Apache-2.0
"""Makes a plan: the mechanism reads once, `planning` chooses, the draft of that is sealed. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from backout.cluster.identity import weakness
from backout.cluster.port import ClusterReader
from backout.errors import RefusedError
from backout.mechanisms import registry
from backout.mechanisms.port import Options
from backout.model.diagnosis import Problem
from backout.model.message import Message, msg
from backout.model.operation import Operation
from backout.model.part import Part, Risk
from backout.model.revision import Revision
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.settings import Settings
from backout.model.target import Target
from backout.planning.choice import SURE, Choice, choose
from backout.planning.document import seal
from backout.planning.reach import hold, protected_risks
from backout.verify.stacks import stack_checks
from backout.workflows.rights import rights


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
) -> Operation:
    """The sealed operation of one part: ``target`` back to its last good revision, or to the one that ``to`` names.

    Without ``hooks``, Helm runs none.

    Raises:
        NotFoundError: no such target or revision.
        RefusedError: no revision is proven good, going back would do harm, or the namespace is protected.
    """
    settings = settings or Settings()
    if target.namespace in settings.policy.protected:
        raise RefusedError(
            "The namespace {namespace} is protected by policy.",
            namespace=target.namespace,
            hint="policy.protected in the configuration lists the protected namespaces.",
        )
    name = mechanism_of(target)
    mechanism = registry.get(name)
    mine = tuple(problem for problem in problems if problem.target == target)
    blamed = {problem.bad_revision for problem in mine if problem.bad_revision is not None}
    since = min((p.bad_revision for p in mine if p.bad_revision is not None and p.confidence in SURE), default=None)

    def chosen(revisions: Sequence[Revision]) -> Sequence[Revision]:
        return (choose(target, revisions, to, blamed, since).revision,)

    identity, reading = await asyncio.gather(
        cluster.identity(), mechanism.read(cluster, target, chosen, Options(hooks=hooks))
    )
    choice = choose(target, reading.revisions, to, blamed, since)
    draft = reading.draft(choice.revision)
    checks = [*draft.checks, *stack_checks(settings, cluster.name, target.namespace)]
    part = Part(
        id=str(target),
        scope=ClusterScope(cluster=cluster.name, namespace=target.namespace, identity=identity),
        target=target,
        mechanism=name,
        cause=_cause(mine, choice),
        current=choice.current,
        revision=choice.revision,
        why_good=choice.why,
        problems=mine,
        steps=draft.steps,
        changes=draft.changes,
        risks=(*_choice_risks(choice), *_identity_risks(identity), *draft.risks),
        checks=tuple(checks),
        access=rights(draft.access, target, draft.changes, checks),
        soak=settings.verify.soak,
    )
    part = msgspec.structs.replace(part, risks=(*part.risks, *protected_risks(part, settings.policy.protected)))
    hold(part, settings.policy.protected)
    return seal(Operation(made_at=made_at, parts=(part,)))


def _cause(problems: Sequence[Problem], choice: Choice) -> Message:
    if problems:
        return problems[0].cause
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
