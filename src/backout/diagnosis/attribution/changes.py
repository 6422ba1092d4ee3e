# SPDX-License-Identifier: Apache-2.0
"""The changes that may be behind what a workload shows: of itself, by its release or by hand, and of what it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from backout.changes.authors import Author, author_of
from backout.changes.writers import kind_of
from backout.cluster.port import Object
from backout.diagnosis.attribution.capability import INNOCENT
from backout.diagnosis.attribution.ways import mechanism_of, target_of
from backout.diagnosis.evidence.history import Generation, WorkloadHistory, comparable
from backout.diagnosis.evidence.namespace import Namespace
from backout.diagnosis.evidence.releases import ReleaseHistory, Revision
from backout.kube.diff import diff_objects
from backout.kube.intent import drift
from backout.kube.references import calls, references, words_of
from backout.kube.templates import fits, plain_template
from backout.model.change import FieldChange, LedgerEntry
from backout.model.message import Message, msg
from backout.model.target import ObjectRef, Target

SHOWN = 3
SKEW = timedelta(seconds=2)
FOLLOWED = timedelta(seconds=60)
SCALED = "kubectl scale"
"""Who sets replicas to 0 through the scale subresource leaves no trace but that nobody owns the field any more: the Scale
of the request drops a zero (autoscaling/v1 ScaleSpec, omitempty)."""
_READ = ("ConfigMap", "Secret")
_AROUND = (
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PersistentVolumeClaim",
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change, as far as it is known.

    ``target`` and ``mechanism`` take it back. ``generation`` is the template that it brought, where it changed one.
    ``before`` says by what one knows the state before; empty where nothing does. ``made`` is True when it created the
    workload: there is nothing before. ``by_hand``: past the owner, or on what nobody owns. ``lost``: rights that it took
    away, as verb, resource and API group. ``notes``: what to do where nothing takes it back.
    """

    at: datetime | None
    actor: str
    source: str
    target: Target
    mechanism: str
    touches: tuple[ObjectRef, ...]
    fields: tuple[FieldChange, ...]
    revision: int | None = None
    previous: int | None = None
    generation: str = ""
    before: Message | None = None
    made: bool = False
    by_hand: bool = False
    lost: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[Message, ...] = ()
    summary: Message

    def entry(self, fields: Iterable[FieldChange] | None = None) -> LedgerEntry | None:
        """The change as the ledger tells it, those ``fields`` first; None where its time is not known."""
        if self.at is None:
            return None
        first = list(fields or ())
        return LedgerEntry(
            at=self.at,
            source=self.source,
            target=self.target,
            actor=self.actor,
            revision=self.revision,
            previous=self.previous,
            summary=self.summary,
            touches=self.touches,
            fields=(*first, *(field for field in self.fields if field not in first)),
        )


async def changes_of(history: WorkloadHistory, namespace: Namespace, *, templates: bool = True) -> list[Change]:
    """Everything that changed the workload, or what it reads, as far as something tells; the newest last. Without ``templates``
    where it is told already of what it is made from."""
    found = [*_by_hand(history), *_past_helm(history)]
    if not any(field.path == "spec.replicas" for change in found for field in change.fields):
        found += _scaled_down(history)
    if history.release is not None and (history.versions or history.maker is not None):
        found += await _by_releases(history, namespace)
    else:
        found += _by_templates(history) if templates else ()
        found += await _by_releases(history, namespace)
    return sorted(found, key=lambda change: change.at.timestamp() if change.at else 0.0)


def _past_helm(history: WorkloadHistory) -> Iterator[Change]:
    """What is live and is not what the release says: fields that contradict it, and fields that somebody added."""
    declared = history.declared
    if declared is None or declared.content is None or "spec" not in history.subject:
        return
    found = list(_spec_alone(drift(declared.content, history.subject, schema=history.schema)))
    if history.maker is not None:
        # What an operator or its webhooks fill in is no hand's; what contradicts the release is somebody's.
        found = [field for field in found if field.before is not None or history.schema is not None]
    elif history.kept is not None:
        # What was so when all was well is not what broke it.
        fresh = {field.path for field in _spec_alone(diff_objects(history.kept, history.obj))}
        found = [field for field in found if any(_overlap(field.path, one) for one in fresh)]
    source = msg("revision {number} of {release}", number=declared.revision, release=str(declared.release))
    yield from _authored(history, found, source)


def _by_hand(history: WorkloadHistory) -> Iterator[Change]:
    """What was changed of a workload that no release declares, beside its template: against the last good snapshot."""
    if history.declared is not None or history.kept is None or history.maker is not None:
        return
    snapshot = msg("snapshot {snapshot}", snapshot=history.kept_as)
    live, kept = _without_template(history.obj), _without_template(history.kept)
    fields = list(_spec_alone(diff_objects(kept, live)))
    templates = {generation.digest for generation in history.generations}
    before = comparable(history.obj, history.kept["spec"].get("template") or {})
    shell = {"spec": {"template": before}}
    if not any(_same_template(before, generation.template) for generation in history.generations) and templates:
        # Made anew: its revisions went with the object that it was.
        fields += list(_spec_alone(diff_objects(shell, {"spec": {"template": history.template}})))
    yield from _authored(history, fields, snapshot)


def _scaled_down(history: WorkloadHistory) -> Iterator[Change]:
    """That somebody scaled to 0 what nothing declares: what it was before is not known."""
    if (history.obj.get("spec") or {}).get("replicas") != 0 or history.owner.kind != "none":
        return
    writers = [author for author in history.authors if author.owns("spec.replicas") and author.by == "other"]
    actor, ref = writers[0].manager if writers else SCALED, ObjectRef.of(history.obj)
    yield Change(
        at=writers[0].at if writers else None,
        actor=actor,
        source="managedfields",
        target=history.itself,
        mechanism="",
        touches=(ref,),
        fields=(FieldChange("spec.replicas", None, 0),),
        by_hand=True,
        summary=_edited(actor, "replicas", ref),
    )


def _authored(history: WorkloadHistory, fields: Iterable[FieldChange], source: Message) -> Iterator[Change]:
    """One change for each writer and each template that the writer brought. What a controller wrote, or nobody is known to
    have written, is left out."""
    groups: dict[tuple[str, datetime | None, str], list[FieldChange]] = {}
    introduced = _introduced(history)
    for field in fields:
        if INNOCENT.search(field.path):
            continue
        owning = [author for author in history.authors if author.owns(field.path)]
        if owning and all(author.by == "cluster" for author in owning):
            continue
        people: list[Author] = [a for a in history.authors if a.by == "other"]
        author = author_of(people, field.path, _newest(history)) if people else None
        if author is None and any(a.by == "helm" for a in owning):
            # Helm wrote it itself: what its record says is not all that it was told (post-renderers).
            continue
        if not owning and field.path == "spec.replicas" and field.after == 0:
            groups.setdefault((SCALED, None, ""), []).append(field)
            continue
        by, at = (author.manager, author.at) if author else ("", None)
        # The same writer may have written before: then what an earlier template had already is as old as that.
        earlier = next((one for one, paths in introduced if any(_overlap(field.path, path) for path in paths)), None)
        if earlier is not None and earlier is not history.generations[-1]:
            groups.setdefault((by, earlier.created, earlier.name), []).append(field)
        else:
            groups.setdefault((by, at, ""), []).append(field)
    for (manager, at, generation), changed in groups.items():
        names = ", ".join(short(field.path) for field in changed[:SHOWN])
        yield Change(
            at=at,
            actor=manager,
            source="managedfields",
            target=_to_act_on(history),
            mechanism=_mechanism(history),
            touches=(ObjectRef.of(history.subject),),
            fields=tuple(_placed(history, changed)),
            generation=generation or _brought(history, changed),
            before=source,
            by_hand=True,
            summary=_edited(manager, names, ObjectRef.of(history.subject)),
        )


def _edited(manager: str, names: str, ref: ObjectRef) -> Message:
    if not manager:
        return msg("{fields} of {object} were changed; by whom is not recorded", fields=names, object=str(ref))
    return msg("{manager} changed {fields} of {object}", manager=manager, fields=names, object=str(ref))


def _placed(history: WorkloadHistory, fields: Iterable[FieldChange]) -> Iterator[FieldChange]:
    """Of what an operator makes it from, fields are told with that object, as those of a release's changes are: what they are called
    there is its own (`capability`). So are those of what an operator makes pods from without any template."""
    ref = ObjectRef.of(history.subject)
    alone = history.custom and not (history.template.get("spec") or {}).get("containers")
    for field in fields:
        if history.maker is None and not (alone and field.path.startswith("spec")):
            yield field
        else:
            yield _with(ref, field)


def _with(ref: ObjectRef, field: FieldChange) -> FieldChange:
    return msgspec.structs.replace(field, path=f"{ref} {field.path}")


def _introduced(history: WorkloadHistory) -> list[tuple[Generation, set[str]]]:
    """What each template changed of the one before, the newest first; nothing where the one in force was not rolled out."""
    past = history.generations
    if len(past) < 2 or history.maker is not None or not _same_template(past[-1].template, history.template):
        return []
    return [
        (after, {field.path for field in diff_objects(_shell(before), _shell(after))})
        for before, after in reversed(list(pairwise(past)))
    ]


def _brought(history: WorkloadHistory, fields: Iterable[FieldChange]) -> str:
    if any(field.path.startswith("spec.template") for field in fields) and history.wanted is not None:
        return history.wanted.name
    return ""


def _by_templates(history: WorkloadHistory) -> Iterator[Change]:
    """The templates of a workload that no release declares, one after the other."""
    for before, after in pairwise(history.generations):
        fields = diff_objects(_shell(before), _shell(after))
        told = [field for field in fields if not INNOCENT.search(field.path)]
        reused = after.back or bool(before.created and after.created and after.created < before.created)
        at = _written(history) if reused and after is history.generations[-1] else after.created
        if reused and after is not history.generations[-1]:
            continue
        author = next(iter(_authors_at(history, told or fields, at)), None)
        what = ", ".join(short(field.path) for field in (told or fields)[:SHOWN])
        yield Change(
            at=at,
            actor=author.manager if author else "",
            source="replicaset" if history.key[1] == "Deployment" else "controllerrevision",
            target=_to_act_on(history),
            mechanism=_mechanism(history),
            touches=(history.ref,),
            fields=tuple(fields),
            revision=after.order,
            previous=before.order,
            generation=after.name,
            before=msg("revision {number}", number=before.order),
            by_hand=author is not None and author.by == "other",
            summary=msg(
                "{target} went to revision {number} ({what}), which changed {objects}",
                target=str(history.itself),
                number=after.order,
                what=what,
                objects=str(history.ref),
            ),
        )
    yield from _held(history)
    if len(history.generations) == 1 and history.kept is None:
        yield _creation(history, history.generations[0])


def _held(history: WorkloadHistory) -> Iterator[Change]:
    """A template in force that the controller made no revision of: a pause holds it back, or it is under way."""
    if not history.generations:
        return
    last = history.generations[-1]
    fields = diff_objects(_shell(last), {"spec": {"template": history.template}})
    if not fields or any(_same_template(one.template, history.template) for one in history.generations):
        return
    author = next(iter(_authors_at(history, fields, None)), None)
    number = last.order + 1
    yield Change(
        at=_written(history),
        actor=author.manager if author else "",
        source="managedfields",
        target=_to_act_on(history),
        mechanism=_mechanism(history),
        touches=(history.ref,),
        fields=tuple(fields),
        revision=number,
        previous=last.order,
        before=msg("revision {number}", number=last.order),
        by_hand=author is not None and author.by == "other",
        summary=msg(
            "{target} went to revision {number} ({what}), which changed {objects}",
            target=str(history.itself),
            number=number,
            what=", ".join(short(field.path) for field in fields[:SHOWN]),
            objects=str(history.ref),
        ),
    )


def _creation(history: WorkloadHistory, first: Generation) -> Change:
    at = history.created
    author = author_of(history.authors, "spec.template", at)
    born = [
        a for a in history.authors if at is not None and abs((a.at - at).total_seconds()) <= 1 and a.by != "cluster"
    ]
    maker = born[-1] if born else author
    actor = maker.manager if maker else ""
    return Change(
        at=at,
        actor=actor,
        source="managedfields",
        target=_to_act_on(history),
        mechanism=_mechanism(history),
        touches=(history.ref,),
        fields=(FieldChange("metadata.name", None, history.key[2]),),
        revision=first.order,
        generation=first.name,
        made=True,
        by_hand=kind_of(actor) == "other",
        summary=msg("{manager} created {object}", manager=actor or "?", object=str(history.ref)),
    )


async def _by_releases(history: WorkloadHistory, namespace: Namespace) -> list[Change]:
    """What revisions of releases changed of the workload and of what it reads: of its own one, and of others."""
    spec = (history.template or {}).get("spec") or {}
    read = {(one.kind, one.name) for one in references(spec)}
    words = [word for _, word in words_of(spec)]
    found = []
    for release in (await namespace.releases()).values():
        own = history.release is release
        found += await _of_release(history, release, read, words, own)
    return found


async def _of_release(
    history: WorkloadHistory, release: ReleaseHistory, read: set[tuple[str, str]], words: list[str], own: bool
) -> list[Change]:
    subject = ObjectRef.of(history.subject)
    mine = (subject.kind, subject.name)
    keys = {mine, *read} if own else set(read)
    records = await release.every()
    found: list[Change] = []
    if own and records:
        found += _pruned(history, release, records[0])
    for before, after in zip([None, *records], records, strict=False):
        if after.contents is None or (before is not None and before.contents is None):
            continue
        if before is None and (after.revision > 1 or not own):
            # What came before it is not known, or is nobody's change to what runs already.
            continue
        old = before.contents if before is not None and before.contents is not None else {}
        around = {key for key in (*old, *after.contents) if own and key[0] in _AROUND}
        around |= {
            (kind, name)
            for kind, name in (*old, *after.contents)
            if kind == "Service" and any(calls(word, name, history.key[0]) for word in words)
        }
        fields: list[FieldChange] = []
        touches: list[ObjectRef] = []
        for key in sorted({*keys, *around}, key=lambda one: (one != mine, one)):
            one, other = old.get(key), after.contents.get(key)
            if one == other or (one is None and key != mine and before is None):
                continue
            changed = (
                diff_objects(one, other)
                if one is not None and other is not None
                else (
                    FieldChange(
                        "metadata.name", key[1] if one is not None else None, key[1] if other is not None else None
                    ),
                )
            )
            ref = subject if key == mine else _ref(one or other or {}, history.key[0])
            touches.append(ref)
            itself = key == mine and history.maker is None
            fields += _placed(history, changed) if itself else [_with(ref, field) for field in changed]
        if touches:
            found.append(
                _release_change(
                    history, release, before.revision if before else None, after, touches, fields, mine in keys
                )
            )
    return found


def _pruned(history: WorkloadHistory, release: ReleaseHistory, oldest: Revision) -> Iterator[Change]:
    """What a revision brought that Helm has pruned since: its template is there, with the one before it."""
    content = (oldest.contents or {}).get((history.key[1], history.key[2]))
    if oldest.revision == 1 or content is None or oldest.at is None or history.maker is not None:
        return
    declared = plain_template((content.get("spec") or {}).get("template") or {})
    for before, after in pairwise(history.generations):
        if after.created is None or after.created > oldest.at + SKEW or not fits(after.template, declared):
            continue
        fields = [f for f in diff_objects(_shell(before), _shell(after)) if not INNOCENT.search(f.path)]
        if not fields or fits(before.template, declared):
            continue
        yield Change(
            at=after.created,
            actor="helm",
            source="helm",
            target=release.target,
            mechanism="helm",
            touches=(history.ref,),
            fields=tuple(fields),
            generation=after.name,
            before=msg("revision {number}", number=before.order),
            summary=msg(
                "{target} went to a revision that Helm's history does not keep any more ({what}), which changed {objects}",
                target=str(release.target),
                what=", ".join(short(field.path) for field in fields[:SHOWN]),
                objects=str(history.ref),
            ),
        )


def _release_change(
    history: WorkloadHistory,
    release: ReleaseHistory,
    previous: int | None,
    after: Revision,
    touches: list[ObjectRef],
    fields: list[FieldChange],
    own: bool,
) -> Change:
    objects = ", ".join(map(str, touches))
    made = previous is None
    template = None
    content = (after.contents or {}).get((history.key[1], history.key[2]))
    if own and content is not None:
        template = plain_template((content.get("spec") or {}).get("template") or {})
    generation = next((g.name for g in reversed(history.generations) if template and fits(g.template, template)), "")
    if history.maker is not None:
        generation = _made_after(history, after.at)
    image = next((f for f in fields if f.path.endswith(".image") and f.after is not None), None)
    what = after.chart if image is None else f"{after.chart}, {image.after}"
    return Change(
        at=after.at,
        actor="helm",
        source="helm",
        target=release.target,
        mechanism="helm",
        touches=tuple(touches),
        fields=tuple(fields),
        revision=after.revision,
        previous=previous,
        generation=generation if ObjectRef.of(history.subject) in touches else "",
        before=msg("revision {number} of {release}", number=previous, release=str(release.target))
        if previous
        else None,
        made=made,
        summary=msg(
            "{target} went to revision {number} ({what}), which changed {objects}",
            target=str(release.target),
            number=after.revision,
            what=what,
            objects=objects,
        ),
    )


def _made_after(history: WorkloadHistory, at: datetime | None) -> str:
    """The template that an operator made when a release changed what it makes it from: it follows within moments."""
    if at is None:
        return ""
    return next(
        (one.name for one in history.generations if one.created and at - SKEW <= one.created <= at + FOLLOWED), ""
    )


def short(path: str) -> str:
    """A field as people say it: without what all paths of templates begin with."""
    return path.removeprefix("spec.template.spec.").removeprefix("spec.template.").removeprefix("spec.")


def _to_act_on(history: WorkloadHistory) -> Target:
    """What takes a change back that was made by hand: of what an operator makes it from, the release that has that."""
    if history.custom and history.release is not None:
        return history.release.target
    if history.maker is not None:
        return target_of(ObjectRef.of(history.maker), history.key[0], history.cluster)
    return history.itself


def _mechanism(history: WorkloadHistory) -> str:
    if history.custom and history.release is not None:
        return "helm"
    if history.maker is not None:
        return mechanism_of(_to_act_on(history))
    if history.owner.kind not in ("none", "helm"):
        return ""
    return mechanism_of(history.itself)


def _ref(obj: Object, namespace: str) -> ObjectRef:
    meta = obj.get("metadata") or {}
    return ObjectRef(
        str(obj.get("apiVersion") or ""), str(obj.get("kind") or ""), str(meta.get("name") or ""), namespace
    )


def _shell(generation: Generation) -> dict[str, Any]:
    return {"spec": {"template": generation.template}}


def _spec_alone(fields: Iterable[FieldChange]) -> Iterator[FieldChange]:
    return (field for field in fields if field.path.startswith("spec"))


def _without_template(obj: Object) -> Object:
    return {"spec": {key: value for key, value in (obj.get("spec") or {}).items() if key != "template"}}


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith((f"{other}.", f"{other}[")) or other.startswith((f"{one}.", f"{one}["))


def _same_template(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return not diff_objects({"spec": {"template": one}}, {"spec": {"template": other}})


def _newest(history: WorkloadHistory) -> datetime | None:
    return max((author.at for author in history.authors if author.by != "cluster"), default=None)


def _written(history: WorkloadHistory) -> datetime | None:
    """When the template was written last."""
    owners = [a.at for a in history.authors if a.by != "cluster" and a.owns("spec.template")]
    return max(owners, default=None)


def _authors_at(history: WorkloadHistory, fields: Iterable[FieldChange], at: datetime | None) -> Iterator[Author]:
    for field in fields:
        author = author_of(history.authors, field.path, at)
        if author is not None:
            yield author
