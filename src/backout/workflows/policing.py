# SPDX-License-Identifier: Apache-2.0
"""Holds a run to the policy of whoever carries it out, before its first write and before each wave; and who has approved it.

What takes a run back is held to neither time nor size nor approval: it puts back what was there before a run that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from backout.engine.store.port import RunStore
from backout.errors import NotApprovedError
from backout.model.message import msg
from backout.model.part import Part
from backout.model.policy import PolicySettings
from backout.model.run import Run, RunEvent
from backout.planning.policy import Policy
from backout.workflows.services import Services

NEEDED = "approval-needed"
APPROVED = "approved"
LATE = "approval-late"
OVERRIDDEN = "freeze-overridden"


def hold_begin(services: Services, run: Run) -> None:
    """
    Raises:
        FrozenError, OverLimitError, NotApprovedError: it may not begin, or not now.
    """
    policy = services.policy
    if policy is None or run.operation.undo_of:
        return
    events = services.store.events(run.id)
    hold_time(services, run, run.operation.parts, events)
    policy.require_size(run.operation)
    require_approved(policy, run, events)


def hold_time(services: Services, run: Run, parts: Iterable[Part], events: Sequence[RunEvent] | None = None) -> None:
    """
    Raises:
        FrozenError: nothing is to be begun on one of their clusters now, and nobody took that upon themselves.
    """
    policy = services.policy
    if policy is None or run.operation.undo_of or not policy.settings.freeze:
        return
    told = services.store.events(run.id) if events is None else events
    if not any(event.type == OVERRIDDEN for event in told):
        policy.require_time(parts, services.now())


def require_approved(policy: Policy, run: Run, events: Sequence[RunEvent]) -> None:
    """
    Raises:
        NotApprovedError: fewer people said yes than the policy here wants, or than the one did where it was submitted.
    """
    if any(event.type == LATE for event in events):
        raise NotApprovedError(
            "Nobody approved run {run} in time, and that is a no.", run=run.id, hint="Make a new plan."
        )
    people, names = people_needed(policy, run, events), approvers(policy.settings, run, events)
    if len(names) < people:
        raise NotApprovedError(
            "Run {run} needs the approval of {people} people, and has that of {count}.",
            run=run.id,
            people=people,
            count=len(names),
            hint="Somebody else says yes with `backout approve {run} --reason WHY`.",
        )


def people_needed(policy: Policy, run: Run, events: Iterable[RunEvent]) -> int:
    """So many people have to say yes: by the policy here, or by the one where it was submitted, whichever wants more."""
    asked = [int(event.data.get("people", 0)) for event in events if event.type == NEEDED]
    return max([policy.people(run.operation), *asked])


def approvers(settings: PolicySettings, run: Run, events: Iterable[RunEvent]) -> list[str]:
    """Who said yes to just this plan and counts: each person once, and not who submitted it unless policy has it so."""
    told = list(events)
    own = next((who(settings, event) for event in told if event.type == NEEDED), run.actor.partition("@")[0])
    names = dict.fromkeys(
        who(settings, event)
        for event in told
        if event.type == APPROVED and event.data.get("plan") == run.operation.hash
    )
    return [name for name in names if name and (settings.self_approval or name != own)]


def who(settings: PolicySettings, event: RunEvent) -> str:
    """What a person is told apart by."""
    return str(event.data.get("role" if settings.people == "database-role" else "person", ""))


def ask_for_approval(
    store: RunStore, run: Run, people: int, until: datetime, now: datetime, *, person: str, queued: bool, priority: int
) -> None:
    """Notes that a run waits for people to say yes, until when, and whether it is for the workers then."""
    store.record(
        RunEvent(
            run=run.id,
            type=NEEDED,
            at=now,
            message=msg(
                "Waits for the approval of {count} people, until {until}: `backout approve {run} --reason WHY`.",
                count=people,
                until=until.strftime("%Y-%m-%d %H:%M UTC"),
                run=run.id,
            ),
            key=NEEDED,
            data={
                "people": people,
                "until": until.isoformat(),
                "plan": run.operation.hash,
                "person": person,
                "role": store.audit.role,
                "queued": queued,
                "priority": priority,
            },
        )
    )


def override(store: RunStore, run: Run, actor: str, reason: str, now: datetime) -> None:
    """Notes that somebody takes it upon themselves to begin in a freeze window."""
    store.record(
        RunEvent(
            run=run.id,
            type=OVERRIDDEN,
            at=now,
            message=msg("{who} lets it begin in a freeze window: {reason}", who=actor, reason=reason),
            key=f"{OVERRIDDEN}:{actor}",
            data={"actor": actor, "reason": reason, "role": store.audit.role},
        )
    )
