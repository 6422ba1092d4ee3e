# SPDX-License-Identifier: Apache-2.0
"""Other people's yes to a run that waits for it: said by any process that reaches the database, counted, and missed when it is late."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from backout.app.store import open_store
from backout.engine.wire import failure_of
from backout.errors import Interrupted, NotApprovedError, PlanChanged, UsageError
from backout.model.message import msg
from backout.model.run import ENDED, Run, RunEvent

if TYPE_CHECKING:
    from backout.app.admission import Terms
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore

LOOK = 0.5
"""Seconds between two looks at whether somebody said yes."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A yes that counts: ``have`` of ``people`` there are now; ``begins``: it is for the workers now."""

    run: Run
    person: str
    people: int
    have: int
    begins: bool


def person() -> str:
    """The user of this machine whom this process runs as, whatever the environment says."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def prepare(workspace: Workspace, store: RunStore, run: Run, terms: Terms) -> bool:
    """Notes with a new run what was said with it, and whether other people have to approve it first: then it waits."""
    from backout.planning.policy import Policy
    from backout.workflows.policing import ask_for_approval, override

    now, policy = store.audit.clock(), Policy(workspace.settings)
    if terms.override:
        override(store, run, run.actor, terms.override, now)
    if run.operation.undo_of or not (people := policy.people(run.operation)):
        return False
    until = now + timedelta(seconds=policy.settings.approval_timeout)
    ask_for_approval(store, run, people, until, now, person=person(), queued=terms.queued, priority=terms.priority)
    return True


def approve(workspace: Workspace, what: str, reason: str) -> Approval:
    """Says yes to a run, by its id or by the file of its plan.

    Raises:
        NotApprovedError: the yes does not count, and why.
        PlanChanged: no run that waits is of this plan.
        UsageError: there is no reason.
    """
    from backout.planning.policy import Policy
    from backout.workflows.policing import APPROVED, approvers, people_needed, who

    if not reason.strip():
        raise UsageError("A yes needs a reason.", expected="--reason WHY")
    policy = Policy(workspace.settings)
    with open_store(workspace, create=True) as store:
        run, now = _meant(store, what), store.audit.clock()
        require_waiting(store, run, now)
        events = store.events(run.id)
        name, role = person(), store.audit.role
        said = RunEvent(
            run=run.id,
            type=APPROVED,
            at=now,
            message=msg("Approved by {who}: {reason}", who=f"{name}@{socket.gethostname()}", reason=reason),
            data={
                "person": name,
                "host": socket.gethostname(),
                "role": role,
                "reason": reason,
                "plan": run.operation.hash,
            },
        )
        mine = who(policy.settings, said)
        before = [event for event in events if event.type == APPROVED and event.data.get("plan") == run.operation.hash]
        if any(who(policy.settings, event) == mine for event in before):
            raise _no(run, "{who} has approved run {run} already; another person has to.", who=mine)
        if mine not in approvers(policy.settings, run, [*events, said]):
            raise _no(run, "{who} submitted run {run}: by policy, that is not another person's yes.", who=mine)
        import msgspec

        store.record(msgspec.structs.replace(said, key=f"{APPROVED}:{mine}"))
        events = store.events(run.id)
        have, people = len(approvers(policy.settings, run, events)), people_needed(policy, run, events)
        asked = next(event for event in events if event.type == "approval-needed")
        begins = have >= people and bool(asked.data.get("queued"))
        if begins:
            priority, fleet = int(asked.data.get("priority", 0)), run.operation.fleet
            store.queue.submit(run.id, run.operation.clusters, priority, in_pieces=fleet is not None)
        return Approval(run, mine, people, have, begins)


def require_waiting(store: RunStore, run: Run, now: datetime) -> None:
    """
    Raises:
        NotApprovedError: it does not wait for anybody's yes, or not any more.
    """
    if miss(store, run, now) or run.state in ENDED:
        raise _no(
            run, "Run {run} has ended: {state}. Nothing is to be approved any more.", state=store.get(run.id).state
        )
    if run.state != "pending":
        raise _no(run, "Run {run} has begun: {state}. Nothing is to be approved any more.", state=run.state)
    if not store.has_event(run.id, "approval-needed"):
        raise _no(run, "Run {run} needs nobody's approval.")


def miss(store: RunStore, run: Run, now: datetime) -> bool:
    """Ends a run that nobody approved in time; whether that is so."""
    from backout.workflows.policing import LATE, NEEDED

    if run.state != "pending" or store.owners.known(run.id):
        return False
    events = store.events(run.id)
    asked = next((event for event in events if event.type == NEEDED), None)
    if asked is None or now <= datetime.fromisoformat(asked.data["until"]) or _enough(store, run, events):
        return False
    error = NotApprovedError(
        "Fewer than {people} people approved run {run} until {until}, and that is a no.",
        people=asked.data["people"],
        run=run.id,
        until=str(asked.data["until"])[:16],
        hint="Nothing was written. Make a new plan.",
    )
    store.record(RunEvent(run=run.id, type=LATE, at=now, message=msg("Not approved in time: that is a no."), key=LATE))
    store.update(run.id, state="aborted", ended=now, failure=failure_of(error))
    return True


def miss_all(store: RunStore) -> None:
    """Ends every run that nobody approved in time, by the clock of the database."""
    now = store.audit.clock()
    for run in store.summaries(500):
        if run.state == "pending" and store.has_event(run.id, "approval-needed"):
            miss(store, store.get(run.id), now)


def _enough(store: RunStore, run: Run, events: list[RunEvent]) -> bool:
    """Whether it waits for its turn alone: by the count that was asked for, each name once."""
    people = next(int(event.data["people"]) for event in events if event.type == "approval-needed")
    names = {event.data.get("person") for event in events if event.type == "approved"}
    return len(names) >= people and (not store.shared or run.id in store.queue.waiting())


async def wait(workspace: Workspace, store: RunStore, run: Run) -> Run:
    """Waits until enough people said yes, or it ended without: aborted, or late.

    Raises:
        Interrupted: somebody stopped waiting; the run waits on.
    """
    from backout.app.events import RunBegins, RunPauses, RunTells
    from backout.planning.policy import Policy
    from backout.workflows.policing import approvers, people_needed

    policy, told, stopped = Policy(workspace.settings), 0, asyncio.Event()
    workspace.tell(RunBegins(run))
    try:
        with workspace.front.stoppable(run.id, stopped.set):
            while not stopped.is_set():
                for event in store.events(run.id, after=told):
                    told = event.seq
                    workspace.tell(RunTells(event))
                run = store.get(run.id)
                events = store.events(run.id)
                if len(approvers(policy.settings, run, events)) >= people_needed(policy, run, events):
                    return run
                if miss(store, run, store.audit.clock()) or run.state in ENDED:
                    return store.get(run.id)
                if store.owners.abort_requested(run.id):
                    return run  # begun, it ends at its first step
                try:
                    async with asyncio.timeout(LOOK):
                        await stopped.wait()
                except TimeoutError:
                    pass
    finally:
        workspace.tell(RunPauses(run.id))
    raise Interrupted(
        "Stopped waiting for the approval of run {run}.",
        run=run.id,
        hint="Approved, `backout resume {run}` begins it; `backout abort {run}` ends it.",
    )


def _meant(store: RunStore, what: str) -> Run:
    path = Path(what)
    if not path.is_file():
        return store.get(store.find(what))
    from backout.app.planning import plans_in

    hashes = {plan.hash for plan in plans_in(path).plans}
    waiting = [
        one for one in store.summaries(500) if one.state == "pending" and store.has_event(one.id, "approval-needed")
    ]
    found = [run for run in (store.get(one.id) for one in waiting) if run.operation.hash in hashes]
    if not found:
        raise PlanChanged(
            "No run that waits for approval is of the plan in {file}.",
            file=what,
            hint="It was not submitted, has ended, or the plan is another by now: `backout runs --state pending`",
        )
    if len(found) > 1:
        raise UsageError(
            "Several runs wait with this plan.", expected="one of {runs}", runs=", ".join(run.id for run in found)
        )
    return found[0]


def _no(run: Run, template: str, **arguments: str) -> NotApprovedError:
    return NotApprovedError(template, run=run.id, hint="`backout show {run}` says how it stands.", **arguments)
