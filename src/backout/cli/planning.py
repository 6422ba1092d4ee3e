# SPDX-License-Identifier: Apache-2.0
"""The plans that a command line asks for: for named targets, or for everything that is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.errors import BackoutError, NothingToDo, RefusedError, UsageError

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.model.evidence import Diagnosis, Problem
    from backout.model.plan import Plan
    from backout.model.target import Target


async def plans_for(session: Session, texts: tuple[str, ...], to: str) -> list[Plan]:
    """One plan a target, cluster by cluster.

    Raises:
        NothingToDo: nothing is broken, and no target was named.
        RefusedError: something is broken, but there is no safe way back for any of it.
    """
    if to and not texts:
        raise UsageError("--to needs a target.", expected="backout plan helm/NAME --to REVISION")

    async def one(cluster: Cluster) -> list[Plan]:
        return await _plans(session, cluster, texts, to)

    plans = [plan for found in await session.each_cluster(one) for plan in found]
    if not plans:
        raise NothingToDo(
            "Nothing is broken, so there is nothing to go back from.",
            hint="To go back all the same, name what and where to: backout plan helm/NAME --to REVISION.",
        )
    return plans


async def _plans(session: Session, cluster: Cluster, texts: tuple[str, ...], to: str) -> list[Plan]:
    from backout.cli.targets import read_targets
    from backout.diagnosis.diagnose import diagnose
    from backout.workflows.prepare import make_plan

    targets = read_targets(session, cluster, texts)
    diagnosis = await diagnose(cluster, session.namespace_of(cluster), targets)
    for blind in diagnosis.blind:
        session.note("Not everything could be looked at: {what}", what=session.page().say(blind))
    wanted = targets or _targets(diagnosis)
    plans: list[Plan] = []
    refusals: list[BackoutError] = []
    for target in wanted:
        try:
            plans.append(
                await make_plan(
                    cluster, target, made_at=diagnosis.at, to=to, problems=diagnosis.problems, settings=session.settings
                )
            )
        except RefusedError as error:
            if targets:
                raise
            refusals.append(error)
    if refusals and not plans:
        raise refusals[0]
    for refusal in refusals:
        session.note("Left out: {why}", why=session.page().say(refusal.template, **refusal.arguments))
    return plans


def _targets(diagnosis: Diagnosis) -> list[Target]:
    """What to act on for each problem.

    Raises:
        RefusedError: things are broken, but nothing of it can be gone back on from here.
    """
    actionable = list(dict.fromkeys(problem.target for problem in diagnosis.problems if problem.mechanism))
    if diagnosis.problems and not actionable:
        first: Problem = diagnosis.problems[0]
        raise RefusedError(
            "{target} is broken, but Backout can't take it back.", target=str(first.target), cause=first.cause.text,
            why="; ".join(note.text for note in first.notes) or "its owner is not one that Backout can act on",
            found="{cause}", hint="{why}",
        )  # fmt: skip
    return actionable
