# SPDX-License-Identifier: Apache-2.0
"""The preview of a rollback for people: what is deleted first, then what changes, and what one would not expect."""

from __future__ import annotations

from backout.helm.payload import Hook, Release
from backout.helm.records import PENDING, Record
from backout.kube.diff import diff_objects
from backout.mechanisms.helm import along
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.obstacles import Obstacle, obstacles
from backout.mechanisms.helm.strays import reset, strayed
from backout.model.change import Action, Changes, ObjectChange
from backout.model.message import Message, few, msg
from backout.model.target import ObjectRef

HOLDS_DATA = frozenset({"PersistentVolumeClaim", "Namespace", "CustomResourceDefinition", "Secret", "Service"})
ROLLBACK_HOOKS = ("pre-rollback", "post-rollback")
UNFINISHED = PENDING | {"failed"}
"""What Helm calls a revision of which it applied nothing, some, or all objects."""


def changes(analysis: Analysis) -> Changes:
    """All objects of both manifests; those that would be deleted first, those that stay as they are last."""
    found = {obstacle.item.ref: obstacle for obstacle in obstacles(analysis.items)}
    with_it = along.changes(analysis)
    gone = {_plain(change.ref) for change in with_it}
    objects = [_change(item, analysis, found.get(item.ref)) for item in analysis.items if _plain(item.ref) not in gone]
    objects += with_it
    order: dict[Action, int] = {"delete": 0, "recreate": 1, "create": 2, "update": 3, "keep": 4}
    objects.sort(key=lambda change: order[change.action])
    return Changes(objects=tuple(objects), notes=tuple(_notes(analysis)))


def _change(item: Item, analysis: Analysis, obstacle: Obstacle | None) -> ObjectChange:
    if item.gone:
        return _gone(item)
    notes: list[Message] = []
    if obstacle is not None:
        notes.append(obstacle.message)
    elif item.stays:
        paths = few([field.path for field in item.stays])
        notes.append(msg("It stays as it is in {fields}: that can't be changed once set.", fields=paths))
    elif item.raised is not None:
        notes.append(
            msg(
                "It keeps its {now} pods, as {who} set; revision {n} says {then}.",
                now=item.raised.now,
                who=item.raised.who,
                n=analysis.target.revision,
                then=item.raised.then,
            )
        )
    elif not item.asked:
        notes.append(msg("Reckoned from the manifests: you may not ask the server by a dry run."))
    if item.live is None and item.base is not None and item.resource is not None:
        notes.append(
            msg(
                "It is missing: revision {n} has it, but is {status}, so it may never have been made.",
                n=analysis.head.revision,
                status=analysis.head.status,
            )
            if analysis.head.status in UNFINISHED
            else msg("It is missing now, although the current revision has it.")
        )
    elif item.live is not None and item.base is None:
        notes.append(msg("It exists, but the current revision's manifest does not have it; Helm 3 stops at that."))
    action: Action = "update" if item.fields else "keep"
    if item.live is None:
        action = "create"
    if obstacle is not None and obstacle.kind == "recreate":
        action = "recreate"
    notes.extend(_drift(item, analysis.server_side, analysis.head))
    return ObjectChange(
        ref=item.ref, action=action, fields=item.fields, notes=tuple(notes), destructive=action == "recreate"
    )


def _plain(ref: ObjectRef) -> tuple[str, str, str, str]:
    return ref.api_version.partition("/")[0], ref.kind, ref.namespace, ref.name


def _gone(item: Item) -> ObjectChange:
    if item.resource is None or item.live is None:
        return ObjectChange(
            ref=item.ref, action="keep", notes=(msg("The target revision lacks it; it is gone already."),)
        )
    if item.spared:
        note = msg("The target revision lacks it; it is left out of the deletion, as you asked.")
        return ObjectChange(ref=item.ref, action="keep", notes=(note,))
    if item.kept:
        note = msg("The target revision lacks it, but its annotation helm.sh/resource-policy: keep holds it.")
        return ObjectChange(ref=item.ref, action="keep", notes=(note,))
    notes = [msg("The target revision lacks it, so Helm deletes it.")]
    if item.ref.kind in HOLDS_DATA:
        notes.append(msg("Look twice: others may depend on it, or it may hold data."))
    return ObjectChange(
        ref=item.ref,
        action="delete",
        fields=diff_objects(item.live, None) if item.ref.kind == "ConfigMap" else (),
        notes=tuple(notes),
        destructive=True,
    )


def _drift(item: Item, server_side: bool, head: Record) -> list[Message]:
    """Where the live object is not what the current revision says."""
    if item.live is None or item.base is None or item.target is None:
        return []
    if item.custom and not server_side:
        after = item.after or item.live
        left = [change.path for change in reset(after, item.target)]
        if left:
            return [
                msg(
                    "Changed by hand in {fields}, and Helm leaves that: it merges custom resources without looking at "
                    "the live object.",
                    fields=few(left),
                )
            ]
        return []
    astray = {change.path for change in strayed(item)}
    back = [change.path for change in item.fields if change.path in astray]
    if not back:
        return []
    if head.status in UNFINISHED:
        return [
            msg(
                "Differs from revision {n} in {fields}: that revision is {status} and was not applied to it, or "
                "not wholly, or it was changed since.",
                n=head.revision,
                fields=few(back),
                status=head.status,
            )
        ]
    return [
        msg("Differs from its own revision in {fields} (changed outside of Helm); this is reset.", fields=few(back))
    ]


def hooks_of(release: Release) -> list[tuple[str, Hook]]:
    """The hooks of a revision that a rollback to it runs, each with its event, in Helm's order."""
    return [
        (event, hook)
        for event in ROLLBACK_HOOKS
        for hook in sorted(release.hooks or (), key=lambda hook: hook.weight)
        if event in (hook.events or ())
    ]


def rollback_hooks(analysis: Analysis) -> list[tuple[str, str]]:
    """Hooks of the target revision that a rollback runs, or would run, as (event, kind/name)."""
    return [(event, f"{hook.kind.lower()}/{hook.name}") for event, hook in hooks_of(analysis.target_release)]


def _notes(analysis: Analysis) -> list[Message]:
    notes = [
        msg("{event} hook: {hook} will run.", event=event, hook=hook)
        if analysis.hooks
        else msg("{event} hook: {hook} will not run.", event=event, hook=hook)
        for event, hook in rollback_hooks(analysis)
    ]
    how = "server-side apply" if analysis.server_side else "client-side apply"
    notes.append(msg("Helm writes the objects by {method}.", method=how))
    return notes
