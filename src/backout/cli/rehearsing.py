# SPDX-License-Identifier: Apache-2.0
"""`run --dry-run`: what the cluster would answer, without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backout.cli.batch import Failed, reached_by, worst
from backout.cli.failures import show_failure
from backout.errors import BackoutError

if TYPE_CHECKING:
    from backout.cli.planning import Planned
    from backout.cli.session import Session

REFUSED = 5


async def dry_run_answers(session: Session, planned: Planned) -> int:
    """Asks for every right of the plans; what the server said to each object stands in the plans' changes already."""
    from backout.cli.output import versioned
    from backout.planning.role import roles

    items: list[dict[str, Any]] = []
    failures = list(planned.failures)
    for plan in planned.plans:
        try:
            async with session.cluster(reached_by(session, plan)) as cluster:
                answers = await cluster.may(plan.access)
        except BackoutError as error:
            if len(planned.plans) + len(planned.failures) == 1:
                raise
            failures.append(Failed(error, plan.cluster, plan.target))
            continue
        missing = [answer.access for answer in answers if not answer.allowed]
        approvals = [risk.code for risk in plan.risks if risk.needs_approval]
        items.append(
            {"plan": plan, "rights": len(answers), "missing": missing, "roles": roles(missing), "approvals": approvals}
        )
    if session.text:
        _show(session, items)
    else:
        more = {"failed": [failed.document() for failed in failures]} if failures else {}
        session.document(versioned("DryRun", items=items, **more))
    if session.text:
        for failed in failures[len(planned.failures) :]:
            show_failure(failed.error)
    codes = [failed.error.exit_code for failed in failures]
    return worst([*codes, REFUSED if any(item["missing"] for item in items) else 0])


def _show(session: Session, items: list[dict[str, Any]]) -> None:
    from backout.cli.output import to_yaml

    page = session.page()
    for item in items:
        missing = item["missing"]
        page.told("Dry run of {target}: nothing was changed.", 0, "head", target=str(item["plan"].target))
        page.told("{granted} of {all} rights are there.", 2, granted=item["rights"] - len(missing), all=item["rights"])
        for role in item["roles"]:
            page.line(to_yaml(role).rstrip(), 4)
        for code in item["approvals"]:
            page.told("It would need: --approve {code}", 2, code=code)
        page.told("A dry run is no proof: admission and quotas are asked only in part, and pods not at all.", 2, "dim")
    page.show()
