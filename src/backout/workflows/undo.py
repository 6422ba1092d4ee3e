# SPDX-License-Identifier: Apache-2.0
"""The plan that takes a run back: its compensations in reverse order, and a check that the former state is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.errors import CaptureError, NotFoundError, NothingToDo, RefusedError
from backout.mechanisms import registry
from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.common.steps import start_anew
from backout.mechanisms.port import Undoing
from backout.model.change import Action, Changes, FieldChange, ObjectChange
from backout.model.fleet import Fleet
from backout.model.message import Message, msg
from backout.model.operation import Operation
from backout.model.part import Access, Check, Compensation, Part, Risk, Step
from backout.model.run import Run, RunEvent, capture_name, changed_steps
from backout.planning.document import seal
from backout.planning.followers import WAIT_READY
from backout.planning.order import in_order, reversed_needs
from backout.snapshots.capture import CaptureStore
from backout.workflows.rights import rights

_OPPOSITE: dict[Action, Action] = {
    "create": "delete",
    "delete": "create",
    "update": "update",
    "recreate": "recreate",
    "keep": "keep",
}


def undo_operation(
    run: Run, events: Sequence[RunEvent], made_at: datetime, captures: CaptureStore, clusters: Collection[str] = ()
) -> Operation:
    """Takes back what ``run`` changed, its parts in reverse order. "Verified" then means: the content from before is in
    force, healthy or not.

    ``captures`` give the state before the run, which is read only where no revision holds it. ``clusters``: of these alone.
    What an earlier undo took back already is left as it is.

    Raises:
        CaptureError: it is needed, and can't be read or does not hold what it must.
        NothingToDo: the run changed nothing.
        RefusedError: it is not over, was taken back already, or can't be taken back.
    """
    if run.state in ("pending", "running", "interrupted"):
        raise RefusedError(
            "Run {run} is not over.",
            run=run.id,
            found="it is {state}",
            state=run.state,
            hint="`backout resume {run}` finishes it, `backout abort {run}` ends it",
        )
    if run.undone_by:
        raise RefusedError("Run {run} was taken back already, by run {other}.", run=run.id, other=run.undone_by)
    if foreign := [name for name in clusters if name not in run.operation.clusters]:
        raise NotFoundError(
            "Run {run} is not about {names}.",
            run=run.id,
            names=", ".join(foreign),
            expected="one of {clusters}",
            clusters=", ".join(run.operation.clusters),
        )
    effective = changed_steps(events)
    back_already = {event.part for event in events if event.type == "part-undone"}
    ordered = [part for part in reversed(in_order(run.operation.parts)) if part.id not in back_already]
    touched = [
        part
        for part in ordered
        if any((part.id, step.id) in effective for step in part.steps)
        and (not clusters or part.scope.cluster in clusters)
    ]
    if not touched:
        raise NothingToDo("Run {run} changed nothing.", run=run.id)
    ways = {part.id: _way_back(part, {step for name, step in effective if name == part.id}) for part in touched}
    going = [part for part in touched if ways[part.id][0]]
    if not going:
        raise RefusedError("Run {run} has no step that can be taken back.", run=run.id)
    needs = reversed_needs(run.operation.parts, going)
    parts = []
    for part in going:
        back, lasting = ways[part.id]
        mine = [event for event in events if event.part == part.id]
        try:
            undone = _undone(run, part, back, lasting, mine, captures)
        except CaptureError as error:
            raise kept_elsewhere(error, run.id, part, mine) from error
        parts.append(msgspec.structs.replace(undone, needs=needs[part.id]))
    stays = [risk for part in touched if part not in going for risk in _not_undone(part, ways[part.id][1])]
    if stays:
        parts[0] = msgspec.structs.replace(parts[0], risks=(*parts[0].risks, *stays))
    fleet = _other_way_round(run.operation.fleet, [part.id for part in parts])
    return seal(Operation(made_at=made_at, parts=tuple(parts), undo_of=run.id, fleet=fleet))


def _other_way_round(fleet: Fleet | None, going: Sequence[str]) -> Fleet | None:
    """The waves backwards; none waits for another to be healthy, since what was there before may not have been."""
    if fleet is None:
        return None
    waves = [
        msgspec.structs.replace(wave, parts=tuple(part for part in going if part in wave.parts))
        for wave in reversed(fleet.waves)
    ]
    return msgspec.structs.replace(
        fleet, waves=tuple(wave for wave in waves if wave.parts), on_failure="continue", not_planned=()
    )


def kept_elsewhere(error: CaptureError, run: str, part: Part, events: Sequence[RunEvent]) -> CaptureError:
    """The same error, with the host whose process carried the part out: workers that don't share a folder keep captures each for
    itself."""
    by = [str(event.data["by"]) for event in events if event.type == "part-started" and "by" in event.data]
    if not by or error.hint:
        return error
    return CaptureError(
        error.template,
        expected=error.expected,
        found=error.found,
        hint="it was kept on {host}: take that part back there (backout undo {whole} --cluster {cluster}), or share $BACKOUT_DATA",
        **{**error.arguments, "whole": run, "host": by[-1].partition(":")[0], "cluster": part.scope.cluster},
    )


def _way_back(part: Part, effective: set[str]) -> tuple[list[Step], list[Step]]:
    """Of the steps that changed something: those that are taken back, backwards, and those of which nothing lasts."""
    touched = [step for step in part.steps if step.id in effective]
    back = [step for step in reversed(touched) if step.compensation is not None]
    back.sort(key=_undone_last)
    return back, [step for step in touched if step.compensation is None]


def _undone(
    run: Run, part: Part, back: list[Step], lasting: list[Step], events: Sequence[RunEvent], captures: CaptureStore
) -> Part:
    """One part, the other way round.

    Raises:
        CaptureError: see `undo_operation`.
        RefusedError: it does not say what was in force before.
    """
    before = part.current
    if before is None:
        raise RefusedError(
            "Run {run} can't be taken back: its plan does not say which revision was in force before.", run=run.id
        )
    before_it = (
        msg("This puts back the state before run {run}, which was broken: {cause}", run=run.id, cause=part.cause)
        if part.problems
        else msg("This puts back the state before run {run}, in which nothing broken had been found.", run=run.id)
    )
    changes = _other_way(part.changes)
    noted = run.captures.get(part.id)
    name = capture_name(run.id, run.operation, part)
    undoing = Undoing(run.id, part.target, captures, name, noted.digest if noted else "")
    steps: list[Step] = []
    checks: list[Check] = []
    for step in back:
        reversed_step, more = _reversed(step, undoing, _made(events, step), part.access)
        steps.append(reversed_step)
        checks += more
    steps += _starts(part, events)
    said = [digest for step in back if step.compensation and (digest := _restores(step.compensation))]
    return Part(
        id=part.id,
        scope=part.scope,
        target=part.target,
        mechanism=part.mechanism,
        cause=msg("Run {run} is taken back.", run=run.id),
        current=part.revision,
        revision=before,
        why_good=(msg("It was in force before run {run}; that it was good is not claimed.", run=run.id),),
        steps=tuple(steps),
        changes=changes,
        risks=(Risk(code="undo", message=before_it), *_not_undone(part, lasting)),
        checks=(
            Check(
                code="revision-restored",
                target=part.target,
                title=msg("{target} has its content from before run {run}", target=str(part.target), run=run.id),
                params={"digest": said[-1] if said else before.digest, "number": before.number},
            ),
            *checks,
        ),
        access=rights(_access(back, part.access), part.target, changes, ()),
        soak=0.0,
    )


def _restores(back: Compensation) -> str:
    """The content that it puts in force: what stays as it is, forth and back, is in no revision of before."""
    kind = registry.known_step_kind(back.action)
    return kind.restores(kind.read(back.action, back.params)) if kind is not None else ""


def _starts(part: Part, events: Sequence[RunEvent]) -> list[Step]:
    """What failed at the end of the run is started anew when the former state is back: it may have failed because of that."""
    ended: dict[tuple[str, str], bool] = {}
    waits = {step.id: step for step in part.steps if step.action == WAIT_READY}
    failed = [waits[event.step].target for event in events if event.type == "step-failed" and event.step in waits]
    for event in events:
        if event.type == "check" and event.data.get("code") in _OF_PODS:
            ended[(str(event.data["code"]), str(event.data.get("target")))] = event.data.get("status") == "fail"
    names = {str(target) for target in failed} | {target for (_, target), wrong in ended.items() if wrong}
    found = {ObjectParams(**_name(step)).ref: step.target for step in waits.values() if str(step.target) in names}
    return [start_anew(ref, target) for ref, target in found.items()]


_OF_PODS = frozenset({"workload-ready", "no-new-restarts"})


def _name(step: Step) -> dict[str, Any]:
    return {key: step.params[key] for key in ("api_version", "kind", "name", "namespace")}


def _not_undone(part: Part, lasting: Sequence[Step]) -> list[Risk]:
    """What stays as the run left it."""
    stays = [msg("{step}: is not taken back, since nothing of it lasts.", step=step.title) for step in lasting]
    risks = [Risk(code="not-undone", message=message) for message in stays]
    if part.current is not None:
        risks += registry.of_kind(part.target.kind).undo_risks(part.current)
    return [*risks, *(Risk(code="not-undone", message=message) for message in _remains(lasting))]


def _access(back: Sequence[Step], former: tuple[Access, ...]) -> set[Access]:
    """The rights of the compensations; those of the run itself for one that does not say what it needs."""
    needed: set[Access] = set()
    for step in back:
        needed |= set((step.compensation and step.compensation.access) or former)
    return needed


def _made(events: Sequence[RunEvent], step: Step) -> dict[str, Any]:
    """What the step says that it made, such as the uid of an object, so that no other is taken for it."""
    done = [event for event in events if event.type == "step-done" and event.step == step.id and "made" in event.data]
    return {"made": done[-1].data["made"]} if done else {}


def _undone_last(step: Step) -> bool:
    kind = registry.known_step_kind(step.action)
    return kind is not None and kind.undone_last


def _remains(lasting: Sequence[Step]) -> list[Message]:
    """What steps that nothing takes back leave behind, each kind once."""
    kinds = [registry.known_step_kind(action) for action in dict.fromkeys(step.action for step in lasting)]
    return [kind.remains for kind in kinds if kind is not None and kind.remains is not None]


def _reversed(
    step: Step, undoing: Undoing, made: dict[str, Any], access: tuple[Access, ...]
) -> tuple[Step, tuple[Check, ...]]:
    assert step.compensation is not None
    kind = registry.known_step_kind(step.compensation.action)
    params: dict[str, Any] = {**step.compensation.params, **made}
    checks: tuple[Check, ...] = ()
    if kind is not None:
        params, checks = kind.reverse(undoing, step, params)
    back = Step(
        id=f"undo-{step.id}",
        action=step.compensation.action,
        target=step.target,
        title=_other_title(step.title),
        params=params,
        compensation=Compensation(step.action, step.params, access),
        timeout=step.timeout,
    )
    return back, checks


def _other_title(title: Message) -> Message:
    """What was taken back once is done again by an undo of the undo."""
    back = msg("Take back: {step}", step=title)
    inner = title.args.get("step") if title.template == back.template else None
    return msgspec.convert(inner, Message) if isinstance(inner, dict) else back


_FLIPPED = {"+": "-", "-": "+"}


def _other_way(changes: Changes) -> Changes:
    def field(change: FieldChange) -> FieldChange:
        lines = tuple(_FLIPPED.get(line[:1], line[:1]) + line[1:] for line in change.lines)
        return msgspec.structs.replace(change, before=change.after, after=change.before, lines=lines)

    def one(change: ObjectChange) -> ObjectChange:
        return ObjectChange(
            ref=msgspec.structs.replace(change.ref, uid=""),
            action=_OPPOSITE[change.action],
            fields=tuple(field(entry) for entry in change.fields),
            destructive=change.action == "create",
        )

    return Changes(objects=tuple(one(change) for change in changes.objects))
