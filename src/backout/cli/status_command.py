# SPDX-License-Identifier: Apache-2.0
"""`backout status`: what is deployed, is it healthy, and what could one go back to?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.model.evidence import Problem
    from backout.model.revision import Revision
    from backout.model.target import Target


@click.command("status")
@click.argument("targets", nargs=-1)
@common_options
@with_session
async def command(session: Session, targets: tuple[str, ...]) -> None:
    """Shows every release and unmanaged workload: its revision, its health, and the last good revision before it."""
    from backout.cli.output import versioned

    async def look(cluster: Cluster) -> dict[str, Any]:
        return {"cluster": cluster.name, "targets": await _rows(session, cluster, targets)}

    found = await session.each_cluster(look)
    if session.text:
        _show(session, found)
    else:
        session.document(versioned("Status", **found[0]) if len(found) == 1 else versioned("StatusList", items=found))


async def _rows(session: Session, cluster: Cluster, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    import asyncio

    from backout.changes.inventory import targets_in
    from backout.cli.targets import read_targets
    from backout.diagnosis.diagnose import diagnose
    from backout.model.target import OBJECTS

    namespace = session.namespace_of(cluster)
    targets = read_targets(session, cluster, texts) or await targets_in(cluster, namespace)
    diagnosis = await diagnose(cluster, namespace, targets if texts else ())
    problems = {problem.target: problem for problem in diagnosis.problems}
    if not texts:
        # A ConfigMap is listed when it is what broke: its release, and what reads it, may look healthy.
        targets = [*targets, *(target for target in problems if target.kind in OBJECTS and target not in targets)]
    return list(await asyncio.gather(*(_row(cluster, target, problems.get(target)) for target in targets)))


async def _row(cluster: Cluster, target: Target, problem: Problem | None) -> dict[str, Any]:
    from backout.errors import BackoutError
    from backout.mechanisms import registry
    from backout.planning.choice import choose, current_of

    row: dict[str, Any] = {"target": target, "healthy": problem is None}
    try:
        revisions: list[Revision] = await registry.of_kind(target.kind).history(cluster, target)
    except BackoutError as error:
        return {**row, "healthy": None, "note": error.message}
    row["current"] = current_of(revisions)
    try:
        row["backTo"] = choose(target, revisions).revision
    except BackoutError as error:
        row["note"] = error.message
    if problem is not None:
        row["problem"] = problem.cause
    return row


def _show(session: Session, found: list[dict[str, Any]]) -> None:
    page = session.page()
    for place in found:
        if len(found) > 1:
            page.line(place["cluster"])
        if not place["targets"]:
            page.told("Nothing is deployed here.")
            continue
        rows = []
        for row in place["targets"]:
            current, back = row.get("current"), row.get("backTo")
            healthy = {True: "good", False: "bad", None: "unknown"}[row["healthy"]]
            state = page.say({True: "healthy", False: "broken", None: "unknown"}[row["healthy"]])
            problem = page.say(row["problem"]) if "problem" in row else ""
            number = str(current.number) if current else "?"
            since = page.ago(current.created) if current else ""
            rows.append(
                (
                    f"{page.mark(healthy)} {row['target']}",
                    row["target"].namespace,
                    number,
                    since,
                    state,
                    str(back.number) if back else "-",
                    problem,
                )
            )
        page.table(("target", "namespace", "revision", "since", "state", "back to", "problem"), rows)
    page.show()
