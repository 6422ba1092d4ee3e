# SPDX-License-Identifier: Apache-2.0
"""The plan that takes a run back: its compensations in reverse order, and a check that the former state is there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.errors import NothingToDo, RefusedError
from backout.mechanisms.helm.kept import REMOVE, record_named
from backout.mechanisms.helm.strays import part_digest
from backout.mechanisms.objects.steps import PUT_BACK
from backout.model.change import Action, Changes, FieldChange, ObjectChange
from backout.model.message import msg
from backout.model.plan import Access, Check, Compensation, Plan, Risk, Step
from backout.model.run import Run, RunEvent, changed_steps
from backout.model.target import ObjectRef
from backout.planning.document import seal
from backout.snapshots.capture import Capture, CaptureStore, captured_object
from backout.workflows.rights import rights

_OPPOSITE: dict[Action, Action] = {
    "create": "delete",
    "delete": "create",
    "update": "update",
    "recreate": "recreate",
    "keep": "keep",
}


RESTORE = "helm.restore-live"
CAPTURED = frozenset({RESTORE, PUT_BACK})
"""The compensations that read the capture of the run."""


def undo_plan(run: Run, events: list[RunEvent], made_at: datetime, captures: CaptureStore, digest: str = "") -> Plan:
    """Takes back what ``run`` changed. "Verified" then means: the content from before is in force, healthy or not.

    ``captures`` and ``digest`` (the one that was recorded with the run) give the state before the run, which is read
    only where no revision holds it.

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
    before = run.plan.current
    if before is None:
        raise RefusedError(
            "Run {run} can't be taken back: its plan does not say which revision was in force before.", run=run.id
        )
    effective = changed_steps(events)
    touched = [step for step in run.plan.steps if step.id in effective]
    if not touched:
        raise NothingToDo("Run {run} changed nothing.", run=run.id)
    # Backwards; but what only reads an object is restarted when that is what it was.
    back = [step for step in reversed(touched) if step.compensation is not None]
    back.sort(key=lambda step: step.action == "objects.restart")
    if not back:
        raise RefusedError("Run {run} has no step that can be taken back.", run=run.id)
    lasting = [step for step in touched if step.compensation is None]
    risks = [
        Risk(
            code="undo",
            message=msg(
                "This puts back the state before run {run}, which was broken: {cause}", run=run.id, cause=run.plan.cause
            ),
        ),
        *(
            Risk(
                code="not-undone", message=msg("{step}: is not taken back, since nothing of it lasts.", step=step.title)
            )
            for step in lasting
        ),
    ]
    if run.plan.target.kind == "helm" and before.status not in ("", "deployed", "superseded"):
        risks.append(
            Risk(
                code="not-undone",
                message=msg(
                    "Helm's record said {status}. That is not put back, for it would block the next helm: the release "
                    "will be called deployed.",
                    status=before.status,
                ),
            )
        )
    if any(step.action == "objects.replace-pods" for step in lasting):
        risks.append(
            Risk(
                code="not-undone",
                message=msg("Pods that the run made anew keep what they have read until they are made anew again."),
            )
        )
    changes = _other_way(run.plan.changes)
    steps, checks = [], []
    for step in back:
        reversed_step, more = _reversed(step, run, captures, digest, _made(events, step))
        steps.append(reversed_step)
        checks += more
    return seal(
        Plan(
            cluster=run.plan.cluster,
            identity=run.plan.identity,
            namespace=run.plan.namespace,
            made_at=made_at,
            target=run.plan.target,
            mechanism=run.plan.mechanism,
            cause=msg("Run {run} is taken back.", run=run.id),
            current=run.plan.revision,
            revision=before,
            why_good=(msg("It was in force before run {run}; that it was good is not claimed.", run=run.id),),
            steps=tuple(steps),
            changes=changes,
            risks=tuple(risks),
            checks=(
                Check(
                    code="revision-restored",
                    target=run.plan.target,
                    title=msg(
                        "{target} has its content from before run {run}", target=str(run.plan.target), run=run.id
                    ),
                    params={"digest": before.digest, "number": before.number},
                ),
                *checks,
            ),
            access=rights(_access(back, run.plan.access), run.plan.target, changes, ()),
            soak=0.0,
            undo_of=run.id,
        )
    )


def _access(back: Sequence[Step], former: tuple[Access, ...]) -> set[Access]:
    """The rights of the compensations; those of the run itself for one that does not say what it needs."""
    needed: set[Access] = set()
    for step in back:
        needed |= set((step.compensation and step.compensation.access) or former)
    return needed


def _made(events: list[RunEvent], step: Step) -> dict[str, Any]:
    """What the step says that it made, such as the uid of an object, so that no other is taken for it."""
    done = [event for event in events if event.type == "step-done" and event.step == step.id and "made" in event.data]
    return {"made": done[-1].data["made"]} if done else {}


def _reversed(
    step: Step, run: Run, captures: CaptureStore, digest: str, made: dict[str, Any]
) -> tuple[Step, list[Check]]:
    assert step.compensation is not None
    params, checks = {**step.compensation.params, **made}, []
    if step.compensation.action in CAPTURED:
        captured = captures.load(run.id, digest)
        params = {**params, "capture": {"run": run.id, "digest": digest}}
    if step.compensation.action == PUT_BACK:
        _require_captured(run, captured, params)
    if step.compensation.action == RESTORE:
        checks = [*_as_captured(run, params, captured), *(_gone_again(run, entry) for entry in params["remove"])]
    if step.compensation.action == REMOVE:
        checks = [_gone_again(run, record_named(params, step.target.namespace))]
    back = Step(
        id=f"undo-{step.id}",
        action=step.compensation.action,
        target=step.target,
        title=msg("Take back: {step}", step=step.title),
        params=params,
        compensation=Compensation(step.action, step.params, run.plan.access),
        timeout=step.timeout,
    )
    return back, checks


def _require_captured(run: Run, captured: Capture, params: dict[str, Any]) -> None:
    """
    Raises:
        CaptureError: the capture says neither what the object was nor that it was missing.
    """
    ref = ObjectRef(params["api_version"], params["kind"], params["name"], params["namespace"])
    if not any(msgspec.structs.replace(entry.ref, uid="") == ref for entry in captured.absent):
        captured_object(captured, ref)


def _as_captured(run: Run, params: dict[str, Any], captured: Capture) -> list[Check]:
    """By digests; what a Secret holds is not even digested, the step itself confirms that."""
    objects = []
    for entry in params["objects"]:
        ref = ObjectRef(entry["api_version"], entry["kind"], entry["name"], entry["namespace"])
        former = captured_object(captured, ref)
        if ref.kind != "Secret":
            parts = {name: part_digest(former, name) for name in entry["parts"]}
            objects.append({key: value for key, value in entry.items() if key != "uid"} | {"parts": parts})
    if not objects:
        return []
    names = ", ".join(f"{entry['kind'].lower()}/{entry['name']}" for entry in objects)
    return [
        Check(
            code="live-restored",
            target=run.plan.target,
            title=msg("As right before run {run}: {objects}", objects=names, run=run.id),
            params={"objects": objects},
        )
    ]


def _gone_again(run: Run, entry: dict[str, Any]) -> Check:
    return Check(
        code="object-absent",
        target=run.plan.target,
        title=msg("{object} is missing, as it was", object=f"{entry['kind'].lower()}/{entry['name']}"),
        params=entry,
    )


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
