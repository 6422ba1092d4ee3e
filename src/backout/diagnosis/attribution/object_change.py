# SPDX-License-Identifier: Apache-2.0
"""What was changed last of an object that is no workload, by whom, and what takes it back."""

from __future__ import annotations

import itertools
import re
from datetime import datetime

import msgspec

from backout.changes.authors import Author, author_of, authors
from backout.cluster.port import Object
from backout.diagnosis.attribution.changes import Change, short
from backout.diagnosis.attribution.ways import mechanism_of, target_of
from backout.diagnosis.evidence.namespace import Namespace
from backout.diagnosis.evidence.releases import ReleaseHistory
from backout.kube.definitions import schema_of
from backout.kube.diff import diff_objects
from backout.kube.groups import custom
from backout.kube.intent import drift
from backout.kube.names import HELM_RELEASE
from backout.model.change import FieldChange
from backout.model.message import Message, msg
from backout.model.target import ObjectRef


async def object_change(namespace: Namespace, obj: Object, pattern: str = "") -> Change | None:
    """The change of an object's spec that may have brought what it shows: against its release, else against the last
    good snapshot, else by who wrote it after it was made. None where nothing of that kind was changed."""
    meta = obj["metadata"]
    ref = ObjectRef.of(obj)
    baseline = await namespace.baseline()
    kept = baseline.kept(ref)
    release = (await namespace.releases()).get(str((meta.get("annotations") or {}).get(HELM_RELEASE) or ""))
    if release is not None:
        content = (await release.contents(release.in_force) or {}).get((ref.kind, ref.name))
        if content is not None:
            schema = await schema_of(namespace.cluster, obj) if custom(ref.api_version) else None
            contrary = _spec(drift(content, obj, schema=schema), pattern)
            if custom(ref.api_version):
                # What an operator or its webhooks fill in is no hand's.
                contrary = tuple(field for field in contrary if field.before is not None)
            if contrary:
                source = msg(
                    "revision {number} of {release}", number=release.in_force.revision, release=str(release.target)
                )
                found = _by_hand(namespace, obj, ref, contrary, source)
                if custom(ref.api_version):
                    # Applying the revision again takes it back.
                    return msgspec.structs.replace(found, target=release.target, mechanism="helm")
                return found
            if (step := await step_of_release(release, ref, pattern)) is not None:
                return step
    if kept is not None:
        fields = _spec(diff_objects(kept, obj), pattern)
        source = msg("snapshot {snapshot}", snapshot=baseline.good.short if baseline.good else "")
        return _by_hand(namespace, obj, ref, fields, source) if fields else None
    if release is None:
        baseline.add_applied(ref, obj)
        if (applied := baseline.applied.get((ref.kind, ref.name))) is not None:
            contrary = tuple(field for field in _spec(drift(applied, obj), pattern) if field.before is not None)
            if contrary:
                return _by_hand(namespace, obj, ref, contrary, msg("what was applied"))
    born = msgspec.convert(meta["creationTimestamp"], datetime)
    live = _spec(diff_objects({"kind": obj["kind"], "metadata": {"name": ref.name}, "spec": {}}, obj), pattern)
    later = [a for a in _people(obj) if a.by == "other" and (a.at - born).total_seconds() > 1]
    fields = tuple(msgspec.structs.replace(f, before=None) for f in live if any(a.owns(f.path) for a in later))
    return _by_hand(namespace, obj, ref, fields, None) if fields else None


_ASKED = ("spec", "endpoints", "ports", "subsets", "imagePullSecrets", "automountServiceAccountToken")
"""Where an object says what it asks for; endpoints and accounts have no spec."""
_NOTED = "metadata.annotations"
"""Where it asks for something as well, of which whoever looks for it knows the name."""


def _spec(fields: tuple[FieldChange, ...], pattern: str) -> tuple[FieldChange, ...]:
    return tuple(
        f
        for f in fields
        if re.search(pattern, f.path) and (f.path.startswith(_ASKED) or (pattern and f.path.startswith(_NOTED)))
    )


def _by_hand(
    namespace: Namespace, obj: Object, ref: ObjectRef, fields: tuple[FieldChange, ...], source: Message | None
) -> Change:
    people = _people(obj)
    author = author_of([a for a in people if a.by == "other"], fields[0].path) or author_of(people, fields[0].path)
    names = ", ".join(short(field.path) for field in fields[:3])
    target = target_of(ref, namespace.name, namespace.cluster.name)
    return Change(
        at=author.at if author else None,
        actor=author.manager if author else "",
        source="managedfields",
        target=target,
        mechanism=mechanism_of(target),
        touches=(ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),),
        fields=fields,
        before=source,
        by_hand=True,
        summary=msg(
            "{manager} changed {fields} of {object}",
            manager=author.manager if author else "?",
            fields=names,
            object=str(ref),
        ),
    )


def _people(obj: Object) -> list[Author]:
    """Who wrote it, without the control plane, and without operators: those write its status, too."""
    entries = (obj.get("metadata") or {}).get("managedFields") or ()
    operators = {entry.get("manager") for entry in entries if entry.get("subresource") == "status"}
    return [
        a for a in authors(obj) if a.by != "cluster" and (a.manager not in operators or a.manager.startswith("kubectl"))
    ]


async def step_of_release(release: ReleaseHistory, ref: ObjectRef, pattern: str) -> Change | None:
    """The newest revision that changed such a field of it, or that left it out."""
    versions = await release.versions(ref.kind, ref.name)
    for before, after in reversed(list(itertools.pairwise(versions))):
        if before.content is None:
            continue
        if after.content is None:
            fields: tuple[FieldChange, ...] = (FieldChange("metadata.name", ref.name, None),)
        else:
            fields = _spec(diff_objects(before.content, after.content), pattern)
        if fields:
            return Change(
                at=after.at,
                actor="helm",
                source="helm",
                target=release.target,
                mechanism="helm",
                touches=(ref,),
                fields=tuple(msgspec.structs.replace(f, path=f"{ref} {f.path}") for f in fields),
                revision=after.revision,
                previous=before.revision,
                before=msg("revision {number} of {release}", number=before.revision, release=str(release.target)),
                summary=msg(
                    "{target} went to revision {number}, which changed {objects}",
                    target=str(release.target),
                    number=after.revision,
                    objects=str(ref),
                ),
            )
    return None
