# SPDX-License-Identifier: Apache-2.0
"""What was changed of a custom resource that no release has, and that pods are made of, or that says itself that it is not well."""

from __future__ import annotations

from datetime import datetime

import msgspec

from backout.changes.authors import author_of, authors
from backout.cluster.port import Object
from backout.diagnosis.attribution.changes import FOLLOWED, SKEW, Change, short
from backout.diagnosis.attribution.object_change import object_change
from backout.diagnosis.attribution.ways import mechanism_of, target_of
from backout.diagnosis.evidence.history import WorkloadHistory, comparable, generations_of
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.diff import diff_objects
from backout.model.message import msg
from backout.model.target import ObjectRef


async def custom_changes(history: WorkloadHistory, namespace: Namespace) -> list[Change]:
    """What was changed of what an operator makes the workload from; nothing where a release or its own templates tell more."""
    if not history.custom or history.release is not None or (history.maker is None and len(history.generations) > 1):
        return []
    change = await changed(namespace, history.subject)
    if change is None:
        return []
    ref = ObjectRef.of(history.subject)
    placed = tuple(msgspec.structs.replace(f, path=f"{ref} {f.path}") for f in change.fields)
    return [msgspec.structs.replace(change, fields=placed, generation=_followed(history, change.at))]


async def changed(namespace: Namespace, obj: Object) -> Change | None:
    """The change that a custom resource shows: the last of its templates, else what differs from the last good snapshot, else
    what somebody wrote since it was made."""
    found = await object_change(namespace, obj)
    if found is not None and found.before is not None:
        return found
    return await of_templates(namespace, obj) or found


async def of_templates(namespace: Namespace, obj: Object) -> Change | None:
    """The step from the template before to the one in force."""
    live = comparable(obj, (obj.get("spec") or {}).get("template") or {})
    known = sorted(await generations_of(namespace, obj), key=lambda one: one.order)
    place = next((i for i, one in reversed(list(enumerate(known))) if not diff_objects(one.template, live)), None)
    if not place:
        return None
    before, after = known[place - 1], known[place]
    fields = diff_objects({"spec": {"template": before.template}}, {"spec": {"template": after.template}})
    if not fields:
        return None
    ref = ObjectRef.of(obj)
    target = target_of(ref, namespace.name, namespace.cluster.name)
    author = author_of(authors(obj), fields[0].path, after.created)
    return Change(
        at=after.created,
        actor=author.manager if author else "",
        source="replicaset",
        target=target,
        mechanism=mechanism_of(target),
        touches=(ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),),
        fields=fields,
        revision=after.order,
        previous=before.order,
        generation=after.name,
        before=msg("revision {number}", number=before.order),
        summary=msg(
            "{target} went to revision {number} ({what}), which changed {objects}",
            target=str(target),
            number=after.order,
            what=", ".join(short(field.path) for field in fields[:3]),
            objects=str(ref),
        ),
    )


def _followed(history: WorkloadHistory, at: datetime | None) -> str:
    """The template that the operator made of it: it follows within moments."""
    if at is None:
        return ""
    return next(
        (one.name for one in history.generations if one.created and at - SKEW <= one.created <= at + FOLLOWED), ""
    )
