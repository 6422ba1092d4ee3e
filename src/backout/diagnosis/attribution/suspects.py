# SPDX-License-Identifier: Apache-2.0
"""The prime suspect: the change that a bad revision made to what fails now."""

from __future__ import annotations

from collections.abc import Sequence

from backout.mechanisms.port import Reading
from backout.model.change import FieldChange, LedgerEntry, ObjectChange
from backout.model.message import Message, msg
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target


def suspect_of(
    reading: Reading, bad: Revision, previous: Revision | None, failing: Sequence[ObjectRef]
) -> LedgerEntry | None:
    """What ``bad`` changed since ``previous``, the fields of the ``failing`` objects first.

    None when the revision has no time: a change without a time can't be set against a symptom.
    """
    if bad.created is None:
        return None
    target, changes = reading.target, reading.between(previous, bad)
    names = {(ref.kind, ref.namespace or target.namespace, ref.name) for ref in failing}

    def fails(change: ObjectChange) -> bool:
        return (change.ref.kind, change.ref.namespace or target.namespace, change.ref.name) in names

    touching = [change for change in changes if fails(change)]
    fields = [_placed(change, field, many=len(changes) > 1) for change in touching for field in change.fields]
    if not touching:
        fields = [_placed(change, field, many=True) for change in changes for field in change.fields]
    return LedgerEntry(
        at=bad.created,
        source=target.kind,
        target=target,
        revision=bad.number,
        previous=previous.number if previous else None,
        summary=_summary(target, bad, touching),
        touches=tuple(change.ref for change in touching or changes),
        fields=tuple(fields),
    )


def _placed(change: ObjectChange, field: FieldChange, *, many: bool) -> FieldChange:
    if not many:
        return field
    return FieldChange(f"{change.ref} {field.path}", field.before, field.after, field.secret)


def _summary(target: Target, bad: Revision, touching: Sequence[ObjectChange]) -> Message:
    what = bad.change_cause or bad.summary or bad.chart
    objects = ", ".join(str(change.ref) for change in touching)
    if objects and what:
        return msg(
            "{target} went to revision {number} ({what}), which changed {objects}",
            target=str(target),
            number=bad.number,
            what=what,
            objects=objects,
        )
    return msg("{target} went to revision {number} {what}", target=str(target), number=bad.number, what=what)
