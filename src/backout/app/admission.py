# SPDX-License-Identifier: Apache-2.0
"""What a plan is held to before a run of it is made: policy, and what others are at on the same targets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backout.errors import LockedError, NotApprovedError, RefusedError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore, RunSummary
    from backout.model.operation import Operation

LATEST = 500
"""So many of the latest runs are looked at for one that is at the same targets."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was said with a run: why it may begin in a freeze window, whether this process waits for approvals, and whether it is
    for the workers, with which priority."""

    override: str = ""
    wait: bool = False
    queued: bool = False
    priority: int = 0


PLAIN = Terms()
"""Nothing was said."""


def require_policy(workspace: Workspace, plan: Operation, terms: Terms) -> None:
    """Holds a plan that somebody brought to the policy.

    Raises:
        FrozenError, OverLimitError: policy forbids it.
        NotApprovedError: other people have to approve it, and nobody would wait for them.
        RefusedError: it says that it takes a run back: such plans are made anew.
    """
    from backout.planning.policy import Policy

    if plan.undo_of:
        raise RefusedError(
            "The plan takes run {run} back, and such a plan is not carried out from a file.",
            run=plan.undo_of,
            hint="backout undo {run}",
        )
    policy = Policy(workspace.settings)
    if not terms.override:
        policy.require_time(plan.parts, datetime.now(UTC))
    policy.require_size(plan)
    people = policy.people(plan)
    if people and not (terms.wait or terms.queued):
        raise NotApprovedError(
            "By policy, other people have to approve this plan first: {count}.",
            count=people,
            hint="Wait for them here with --wait-approval, or leave it to the workers with --detach; they say yes with "
            "`backout approve RUN --reason WHY`.",
        )


def require_free(store: RunStore, plan: Operation) -> None:
    """
    Raises:
        LockedError: a run that is under way, or waits for its turn, is about one of the plan's targets.
    """
    from backout.engine.store.port import aims_of

    mine = set(aims_of(plan))
    waiting: list[str] | None = None
    for run in store.summaries(LATEST):
        shared = mine & set(run.aims)
        if run.state not in ("pending", "running") or not shared:
            continue
        if run.state == "pending":
            if waiting is None:
                waiting = store.queue.waiting() if store.shared else []
            if run.id not in waiting and not store.has_event(run.id, "approval-needed"):
                continue  # it was made and never begun: who made it died
        raise _taken(run, min(shared))


def _taken(run: RunSummary, aim: object) -> LockedError:
    from backout.engine.store.port import Aim

    assert isinstance(aim, Aim)
    return LockedError(
        "{target} in namespace {namespace} of {cluster} is what run {run} is about: {actor}, since {since}, {state}.",
        target=aim.target,
        namespace=aim.namespace,
        cluster=aim.cluster,
        run=run.id,
        actor=run.actor or "?",
        since=run.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
        state=run.state,
        found="{what}",
        what=run.cause,
        hint="Let it end (`backout show {run} --follow`), or stop it: `backout abort {run}`.",
    )
