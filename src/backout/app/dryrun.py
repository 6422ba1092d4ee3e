# SPDX-License-Identifier: Apache-2.0
"""A dry run: what the cluster would answer, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backout.app.events import Failed
from backout.app.fleet import Reaching
from backout.app.running import connected
from backout.errors import BackoutError

if TYPE_CHECKING:
    from backout.app.planning import Planned
    from backout.app.workspace import Workspace
    from backout.cluster.port import AccessAnswer
    from backout.model.operation import Operation
    from backout.model.part import Access, Part
    from backout.scopes.port import Scopes

REFUSED = 5


@dataclass(frozen=True, slots=True)
class DryRun:
    """One plan: how many rights it needs, which of them are missing (with the Roles that grant them), and which
    approvals it would need."""

    plan: Operation
    rights: int
    missing: tuple[Access, ...]
    roles: tuple[dict[str, Any], ...]
    approvals: tuple[str, ...]


async def dry_run(workspace: Workspace, planned: Planned) -> tuple[list[DryRun], list[Failed]]:
    """Asks for every right of the plans; what the server said to each object stands in the plans' changes already.

    Failures are those that came now.

    Raises:
        BackoutError: there is one plan, and its cluster can't be asked.
    """
    from backout.planning.role import roles

    items: list[DryRun] = []
    failures: list[Failed] = []
    for plan in planned.plans:
        try:
            async with connected(workspace, plan) as scopes:
                asked = [await _asked(workspace, scopes, plan, part) for part in plan.parts]
        except BackoutError as error:
            if len(planned.plans) + len(planned.failures) == 1:
                raise
            failures.append(Failed.of(plan, error))
            continue
        answers = [answer for part in asked for answer in part]
        missing = tuple(answer.access for answer in answers if not answer.allowed)
        approvals = tuple(risk.code for part in plan.parts for risk in part.risks if risk.needs_approval)
        items.append(DryRun(plan, len(answers), missing, tuple(roles(missing)), approvals))
    return items, failures


async def _asked(workspace: Workspace, scopes: Scopes, plan: Operation, part: Part) -> list[AccessAnswer]:
    if plan.fleet is None:
        return await scopes.open(part.scope).may(part.access)
    async with Reaching(workspace, plan)(part) as scope:
        return await scope.may(part.access)
