# SPDX-License-Identifier: Apache-2.0
"""What changes: the object field by field, and the workloads that are restarted or scaled for it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.cluster.port import Object
from backout.kube.diff import diff_objects, render
from backout.kube.names import RESTARTED_AT
from backout.kube.workloads import desired
from backout.mechanisms.objects.history import ContentRevision, ObjectHistory
from backout.mechanisms.objects.kinds import KINDS
from backout.mechanisms.objects.planning import Planned
from backout.model.change import Changes, FieldChange, ObjectChange
from backout.model.message import Message, msg
from backout.model.part import Step
from backout.snapshots.desired import without_addresses
from backout.snapshots.diff import TextChange, describe
from backout.snapshots.restore_plan import RestoreItem


def preview(planned: Planned) -> Changes:
    """As the server would store it where it could be asked."""
    item, seen = planned.item, planned.seen
    own = ObjectChange(
        ref=seen.ref,
        action="delete" if planned.content.how == "delete" else _action(item),
        fields=_fields(planned),
        destructive=planned.anew or planned.content.how == "delete",
        # What its release makes of it is told with the risks, where more is known of it.
        notes=tuple(note for note in item.notes if not note.template.startswith("The Helm release")),
    )
    return Changes(objects=(own, *_workloads(planned)), notes=planned.ring.notes)


def _action(item: RestoreItem) -> Any:
    return item.action if item.action in ("create", "update", "recreate") else "keep"


def _fields(planned: Planned) -> tuple[FieldChange, ...]:
    if planned.seen.live is None:
        content = planned.past.content or {}
        return _created(without_addresses(content) if planned.content.new_addresses else content)
    return _with_texts(planned.item.fields, planned.item.texts)


def _created(content: Object) -> tuple[FieldChange, ...]:
    """What it will hold; its labels and notes are of no interest then."""
    plain = {key: value for key, value in content.items() if key in (*KINDS[str(content["kind"])].content, "kind")}
    return diff_objects({"kind": content["kind"]}, plain)


def _with_texts(fields: tuple[FieldChange, ...], texts: tuple[TextChange, ...]) -> tuple[FieldChange, ...]:
    more = [FieldChange(render(tuple(text.path.split(".", 1))), lines=text.lines) for text in texts]
    return tuple(sorted((*fields, *more), key=lambda field: field.path))


def _workloads(planned: Planned) -> list[ObjectChange]:
    found: dict[Any, list[Step]] = {}
    for step in planned.steps:
        if step.action in ("workload.restart", "objects.scale"):
            found.setdefault((step.params["kind"], step.params["name"]), []).append(step)
    needs = {(need.ref.kind, need.ref.name): need for need in planned.needs}
    changes = []
    for key, some in found.items():
        need = needs.get(key)
        fields, notes = [], []
        for step in some:
            if step.action == "workload.restart" and need is not None:
                path = render(("spec", "template", "metadata", "annotations", RESTARTED_AT))
                former = step.compensation.params.get("value") if step.compensation else None
                fields.append(FieldChange(path, former, step.params["value"]))
        if any(step.params.get("until") == "gone" for step in some):
            count = desired(need.workload.obj) if need is not None else 0
            notes.append(_there_and_back(count))
        elif some[0].action == "objects.scale":
            before = some[0].compensation.params["replicas"] if some[0].compensation else None
            fields.append(FieldChange("spec.replicas", before, some[0].params["replicas"]))
        ref = need.ref if need is not None else _ref_of(some[0])
        changes.append(ObjectChange(ref=ref, action="update", fields=tuple(fields), notes=tuple(notes)))
    return changes


def _there_and_back(count: int) -> Message:
    return msg("Its {count} pods are ended and made anew.", count=count)


def _ref_of(step: Step) -> Any:
    from backout.model.target import ObjectRef

    params = step.params
    return ObjectRef(str(params["api_version"]), str(params["kind"]), str(params["name"]), str(params["namespace"]))


def between(seen: ObjectHistory, before: ContentRevision | None, after: ContentRevision) -> ObjectChange:
    """How the content changed from one revision to another."""
    ref = msgspec.structs.replace(seen.ref, uid="")
    old = before.content if before is not None else None
    if after.content is None:
        return ObjectChange(ref=ref, action="delete", destructive=True)
    if old is None:
        return ObjectChange(ref=ref, action="create", fields=_created(after.content))
    return ObjectChange(ref=ref, action="update", fields=_with_texts(*describe(old, after.content)))
