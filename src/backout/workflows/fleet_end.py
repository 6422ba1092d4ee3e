# SPDX-License-Identifier: Apache-2.0
"""How an operation over many clusters ends: its state, its error with what is where, and the run that puts things back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from backout.engine.store.naming import new_run_id
from backout.engine.store.port import RunStore
from backout.errors import (
    BackoutError,
    Interrupted,
    NotFoundError,
    NotVerifiedError,
    PartlyDoneError,
    PartsLeft,
    RefusedError,
)
from backout.locales import N_
from backout.model.message import Message, joined, msg, of_error
from backout.model.outcomes import ORDER, PartState
from backout.model.part import Part
from backout.model.run import Run, RunEvent, RunState, changed_steps
from backout.workflows.part_v2 import PartEnd, asked_to_stop
from backout.workflows.services import Services
from backout.workflows.telling import Story
from backout.workflows.undo import undo_operation

BAD: frozenset[PartState] = frozenset({"failed", "refused", "not-recovered", "unknown", "parked"})
"""What counts against the budget of failures."""
DONE: frozenset[PartState] = frozenset({"recovered", "not-recovered", "unknown"})
"""States of parts all of whose steps are done."""
NAMED = 5
"""So many clusters of one state are named in a sentence."""
WORDS: dict[PartState, str] = {
    "failed": N_("failed"),
    "parked": N_("not known"),
    "not-recovered": N_("not healthy"),
    "unknown": N_("not proven"),
    "refused": N_("not touched"),
    "aborted": N_("aborted"),
    "not-started": N_("not begun"),
    "recovered": N_("verified"),
}


def state_of(parts: Iterable[str], ends: Mapping[str, PartEnd], *, aborted: bool) -> RunState:
    """What the whole run is called: recovered only where each part is."""
    states = {_state(part, ends) for part in parts}
    if states == {"recovered"}:
        return "recovered"
    if aborted:
        return "aborted"
    if not states <= DONE:
        return "failed"
    return "not-recovered" if "not-recovered" in states else "unknown"


def fleet_error(
    run: Run, parts: Mapping[str, Part], ends: Mapping[str, PartEnd], *, aborted: bool
) -> BackoutError | None:
    """What the run ends or stops with; None where all is verified, or where it was aborted.

    Partly done where something was written and something was not; refused where nothing was; else not verified. Where
    `resume` has something to look at again, the error is one that parks.
    """
    states = {part: _state(part, ends) for part in parts}
    bad = {part: state for part, state in states.items() if state != "recovered"}
    if not bad or aborted:
        return None
    wrote = any(end.wrote for end in ends.values())
    parked = [part for part, state in states.items() if state == "parked"]
    first = next((end.error for part, end in ends.items() if states[part] in BAD and end.error is not None), None)
    if not wrote and first is not None and len(parts) == 1:
        return first
    told = joined(
        _group(state, [parts[p] for p, s in states.items() if s == state]) for state in ORDER if state in bad.values()
    )
    reasons = joined(_why(parts[part], end) for part, end in ends.items() if states[part] in BAD and end.failure)

    def saying(kind: type[BackoutError], hint: str) -> BackoutError:
        return kind(
            "{verified} of {all} parts are verified; {told}.",
            found="{reasons}",
            hint=hint,
            verified=len(parts) - len(bad),
            all=len(parts),
            told=told,
            reasons=reasons,
            run=run.id,
        )

    if parked:
        kind: type[BackoutError] = PartsLeft if wrote else type(next(e for part in parked if (e := ends[part].error)))
        return saying(
            kind,
            "`backout resume {run}` looks again at what is not known, and does the rest; nothing that is done is done again",
        )
    if set(states.values()) <= DONE:
        return saying(NotVerifiedError, "`backout diagnose` says what is broken now")
    if wrote:
        return saying(
            PartlyDoneError,
            "`backout show {run}` says how each stands; `backout undo {run}` takes back what was done, with --cluster NAME "
            "of one cluster",
        )
    kind = type(first) if first is not None and not isinstance(first, Interrupted) else RefusedError
    return saying(kind, "Nothing was written. Make a new plan for what can go.")


def put_back(services: Services, story: Story, run: Run) -> None:
    """Makes the run that takes back what this one changed; whoever carried this one out begins it next.

    Told first, with its id, and once: of two attempts there is one such run.
    """
    events = story.events()
    try:
        failed = msgspec.structs.replace(services.store.get(run.id), state="failed")
        plan = undo_operation(failed, events, services.now(), services.captures)
    except BackoutError as error:
        story.tell("undo-left", msg("What was done is not taken back: {why}", why=of_error(error)), key="undo-left")
        return
    now = services.now()
    event = story.tell(
        "undo-follows",
        msg("More failed than may: what was done is taken back."),
        key="undo-follows",
        run=new_run_id(now),
    )
    other = str(event.data["run"])
    services.store.create(Run(id=other, state="pending", operation=plan, started=now, actor=run.actor, undo_of=run.id))


def ask_to_stop(store: RunStore, run: Run, clusters: Sequence[str], actor: str, now: datetime) -> None:
    """Asks the parts on these clusters to stop at their next step; the others go on.

    Raises:
        NotFoundError: the run is not about one of them.
    """
    if foreign := [name for name in clusters if name not in run.operation.clusters]:
        raise NotFoundError(
            "Run {run} is not about {names}.",
            run=run.id,
            names=", ".join(foreign),
            expected="one of {clusters}",
            clusters=", ".join(run.operation.clusters),
        )
    for part in run.operation.parts:
        if part.scope.cluster in clusters:
            said = msg("{cluster}: {who} asked to stop here.", cluster=part.scope.cluster, who=actor)
            event = RunEvent(run=run.id, part=part.id, type="abort-asked", at=now, message=said)
            store.record(msgspec.structs.replace(event, key=asked_to_stop(part.id)))


def taken_back(store: RunStore, undo: Run, parts: Sequence[str], now: datetime) -> None:
    """Notes with the former run which of its parts are back, and that it is, once nothing of it is left."""
    former = undo.operation.undo_of
    for part in parts:
        store.record(
            RunEvent(
                run=former,
                part=part,
                type="part-undone",
                at=now,
                message=msg("Taken back by run {run}.", run=undo.id),
                key=f"{part}:part-undone",
                data={"run": undo.id},
            )
        )
    events = store.events(former)
    back = {event.part for event in events if event.type == "part-undone"}
    if {part for part, _ in changed_steps(events)} <= back:
        store.update(former, undone_by=undo.id)


def _state(part: str, ends: Mapping[str, PartEnd]) -> PartState:
    return ends[part].state if part in ends else "not-started"


def _group(state: PartState, parts: Sequence[Part]) -> Message:
    names = list(dict.fromkeys(part.scope.cluster for part in parts))
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return msg("{count} {state} ({names})", count=len(parts), state=msg(WORDS[state]), names=shown)


def _why(part: Part, end: PartEnd) -> Message:
    assert end.error is not None
    return msg("{cluster}: {why}", cluster=part.scope.cluster, why=of_error(end.error))
