# SPDX-License-Identifier: Apache-2.0
"""What must be there before a plan is carried out: a yes to each risk that needs one, and the programs it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from backout.app.admission import PLAIN, Terms, require_policy
from backout.app.events import Failed, NotReady, Unapplied
from backout.errors import BackoutError, RefusedError

if TYPE_CHECKING:
    from backout.app.planning import Planned
    from backout.app.workspace import Workspace
    from backout.model.operation import Operation
    from backout.model.part import Part, Risk

Ask = Callable[["Part", "Risk"], bool]
"""Asks a person whether they accept a risk of one part of a plan."""


def nobody(part: Part, risk: Risk) -> bool:
    """There is nobody to ask, so the answer is no."""
    return False


def require_approval(plan: Operation, approved: Sequence[str] = (), ask: Ask = nobody) -> None:
    """Holds the risks that need an explicit yes against the codes that were approved; ``ask`` is called for the rest.

    Raises:
        RefusedError: one of them was not approved; or the plan lacks a cluster that it may not lack.
    """
    from backout.planning.fleet import require_planned

    require_planned(plan)
    answered: set[tuple[str, str]] = set()
    for part in plan.parts:
        for risk in part.risks:
            alike = (risk.code, risk.message.text)
            if not risk.needs_approval or risk.code in approved or alike in answered:
                continue
            if ask(part, risk):
                # Of many clusters, the same is asked once.
                answered |= {alike} if plan.fleet is not None else set()
                continue
            raise RefusedError(
                "The plan for {target} needs an explicit yes: {risk}",
                target=str(part.target),
                risk=risk.message,
                code=risk.code,
                hint="If that is what you want, add: --approve {code}",
            )


def unapplied(plans: Sequence[Operation], approved: Sequence[str]) -> tuple[str, ...]:
    """Codes that were approved and that no plan asks for: a word that says nothing must not pass for a yes."""
    asked = {risk.code for plan in plans for part in plan.parts for risk in part.risks if risk.needs_approval}
    return tuple(code for code in dict.fromkeys(approved) if code not in asked)


async def require_tools(plan: Operation) -> None:
    """Finds the programs that the plan's steps call, before anybody is asked.

    Raises:
        ToolMissing: one is not installed.
    """
    from backout.mechanisms import registry
    from backout.tools import ensure

    owners = dict.fromkeys(step.action.partition(".")[0] for part in plan.parts for step in part.steps)
    for program in dict.fromkeys(program for name in owners for program in registry.get(name).programs):
        await ensure(program, install=False)


async def ready(
    workspace: Workspace, planned: Planned, approved: Sequence[str] = (), ask: Ask = nobody, terms: Terms = PLAIN
) -> list[Operation]:
    """The plans that may be carried out; what stands in the way of the others joins the failures.

    Raises:
        BackoutError: there is one plan, and something stands in its way.
        RefusedError: a plan lacks a cluster that it may not lack.
    """
    from backout.planning.fleet import require_planned
    from backout.planning.reach import hold

    found: list[Operation] = []
    if codes := unapplied(planned.plans, approved):
        workspace.tell(Unapplied(codes))
    for plan in planned.plans:
        require_planned(plan)
    for plan in planned.plans:
        try:
            for part in plan.parts:
                hold(part, workspace.settings.policy.protected)
            require_policy(workspace, plan, terms)
            require_approval(plan, approved, ask)
            await require_tools(plan)
        except BackoutError as error:
            if len(planned.plans) == 1 and not planned.failures:
                raise
            planned.failures.append(Failed.of(plan, error))
            workspace.tell(NotReady(plan, error))
        else:
            found.append(plan)
    return found
