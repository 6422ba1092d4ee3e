# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a rollback, found by dry run before anything is written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from backout.errors import AccessDenied, Conflict, ObjectNotFound
from backout.helm.text import first_line
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE
from backout.kube.workloads import job_ended
from backout.mechanisms.helm.analysis import SEALED, Item, Object
from backout.mechanisms.helm.immutables import PODS_OF, claims_go, immutable_fields, recreatable
from backout.mechanisms.helm.strays import stays_headless
from backout.model.message import Message, msg

Kind = Literal[
    "foreign", "deleting", "recreate", "conflict", "takeover", "immutable", "refused", "unserved", "unreadable"
]

_PEOPLE = re.compile(r"^(kubectl|k9s|lens|before-first-apply|backout)", re.IGNORECASE)
_MANAGER = re.compile(r'\("([^"]+)"')


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """One object that Helm could not write, why, and what can be done.

    ``foreign``: it belongs to another release now. ``deleting``: it is being deleted.
    ``recreate``: a StatefulSet that can be made anew around its pods, or what
    else may be deleted first, each with what that means.
    ``takeover``: fields last set by a person with kubectl, which Helm may take back when that is approved. All but the
    last two end the way back before it begins.
    """

    kind: Kind
    item: Item
    message: Message
    managers: tuple[str, ...] = ()
    around: bool = False
    """Of a set that is made anew: its pods stay."""

    @property
    def final(self) -> bool:
        """True when there is no way around it."""
        return self.kind not in {"recreate", "takeover"}


def obstacles(items: Iterable[Item]) -> list[Obstacle]:
    """Everything that the server would refuse."""
    return [found for item in items if (found := _obstacle(item)) is not None]


def _obstacle(item: Item) -> Obstacle | None:
    error = item.refusal
    if item.gone:
        return None
    name = str(item.ref)
    ours = _notes(item.target)
    if HELM_RELEASE in ours and (other := other_release(item.live, ours[HELM_RELEASE], ours[HELM_NAMESPACE])):
        return Obstacle(
            kind="foreign",
            item=item,
            message=msg(
                "{object} belongs to {release} now; going back would take it away.", object=name, release=other
            ),
        )
    if item.target is not None and (going := _deleting(item.live)) is not None:
        return Obstacle(kind="deleting", item=item, message=going)
    if stays_headless(item):
        return Obstacle(
            kind="recreate",
            item=item,
            message=msg(
                "{object} must be made anew to have an address again: until Helm has made it, its name resolves to nothing.",
                object=name,
            ),
        )
    if error is None:
        return None
    if isinstance(error, ObjectNotFound):
        return Obstacle(
            kind="unserved",
            item=item,
            message=msg(
                "The cluster does not serve {api} {kind} (any more), so Helm can't build {object} of the target revision.",
                api=item.ref.api_version,
                kind=item.ref.kind,
                object=name,
            ),
        )
    if isinstance(error, AccessDenied):
        return Obstacle(kind="unreadable", item=item, message=msg("You may not read {object}.", object=name))
    if isinstance(error, Conflict):
        return _conflict(item, error)
    return _invalid(item)


def _deleting(live: Object | None) -> Message | None:
    """What is being deleted takes what is written to it along, and Helm calls that a success."""
    meta = (live or {}).get("metadata") or {}
    if live is None or not meta.get("deletionTimestamp"):
        return None
    return msg(
        "{object} is being deleted since {at}, and goes as soon as its finalizers are taken away ({names}): what Helm writes to it "
        "goes with it. See that whoever set them takes them away, wait until it is gone, then plan anew.",
        object=f"{str(live.get('kind', '')).lower()}/{meta.get('name', '')}",
        at=str(meta["deletionTimestamp"]),
        names=", ".join(map(str, meta.get("finalizers") or ())) or "-",
    )


def other_release(live: Object | None, release: str, namespace: str) -> str:
    """Which release a live object belongs to, where that is not ``release``; empty otherwise.

    Helm's rollback does not ask: it writes what the target's manifest has, and deletes what it lacks
    (helm pkg/action/rollback.go; only install and upgrade look who owns an object).
    """
    notes = _notes(live)
    name, where = notes.get(HELM_RELEASE, ""), notes.get(HELM_NAMESPACE, namespace)
    if not name or (name, where) == (release, namespace):
        return ""
    return f"helm/{name}" if where == namespace else f"helm/{name} ({where})"


def _notes(obj: Object | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("annotations") or {}


def _conflict(item: Item, error: Conflict) -> Obstacle:
    fields = str(error.arguments.get("fields") or first_line(error.message))
    managers = tuple(dict.fromkeys(_MANAGER.findall(fields)))
    if managers and all(_PEOPLE.match(manager) for manager in managers):
        return Obstacle(
            kind="takeover",
            item=item,
            managers=managers,
            message=msg(
                "Fields of {object} were set by hand since: {fields}. Going back takes them over.",
                object=str(item.ref),
                fields=fields,
            ),
        )
    return Obstacle(
        kind="conflict",
        item=item,
        managers=managers,
        message=msg(
            "Fields of {object} belong to others, who would set them again: {fields}.",
            object=str(item.ref),
            fields=fields,
        ),
    )


def _invalid(item: Item) -> Obstacle:
    assert item.refusal is not None
    changed = immutable_fields(item)
    words = first_line(item.refusal.message)
    if not changed:
        return Obstacle(
            kind="refused",
            item=item,
            message=msg("The API server would refuse {object}: {words}", object=str(item.ref), words=words),
        )
    if (message := _anew(item, changed)) is not None:
        return Obstacle(kind="recreate", item=item, message=message, around=recreatable(item, changed))
    return Obstacle(
        kind="immutable",
        item=item,
        message=msg(
            "{object} can't go back: {fields} can't be changed once set. {advice}",
            object=str(item.ref),
            fields=", ".join(changed),
            advice=_advice(item),
        ),
    )


def _anew(item: Item, changed: list[str]) -> Message | None:
    """What it means to delete the object and have Helm make it again; None where that must not be done."""
    kind, name, fields = item.ref.kind, str(item.ref), ", ".join(changed)
    if item.live is None:
        return None
    if recreatable(item, changed):
        return msg(
            "{object} must be made anew, since {fields} can't be changed: it is deleted without its pods and volumes, "
            "and the rollback creates it again around them.",
            object=name,
            fields=fields,
        )
    if kind == "Job":
        if not job_ended(item.live):
            return None
        return msg(
            "{object} must be made anew, since {fields} can't be changed: it is deleted with its pods, and Helm makes it "
            "again, so that it runs again.",
            object=name,
            fields=fields,
        )
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        return msg(
            "{object} must be made anew, since {fields} can't be changed: until Helm has made it, nobody has these rights.",
            object=name,
            fields=fields,
        )
    if kind == "Service":
        return msg(
            "{object} must be made anew, since {fields} can't be changed: until Helm has made it, its name resolves to nothing, and "
            "then it may have other addresses, from outside, too.",
            object=name,
            fields=fields,
        )
    if kind in ("StorageClass", "IngressClass"):
        return msg(
            "{object} must be made anew, since {fields} can't be changed: what exists by it stays, and what is new waits until Helm "
            "has made it.",
            object=name,
            fields=fields,
        )
    if kind in SEALED:
        if not item.holders:
            return msg(
                "{object} must be made anew, since it is immutable: until Helm has made it, no pod that needs it starts.",
                object=name,
            )
        return msg(
            "{object} must be made anew, since it is immutable, and nodes keep its old content while one pod uses it: all pods of "
            "{readers} end before, and are made again afterwards.",
            object=name,
            readers=", ".join(holder.label for holder in item.holders),
        )
    if kind in PODS_OF and not claims_go(item.live):
        return msg(
            "{object} must be made anew, since {fields} can't be changed: it is deleted with its pods, so that nothing of it runs "
            "until Helm has made it; claims stay.",
            object=name,
            fields=fields,
        )
    return None


def _advice(item: Item) -> str:
    kind = item.ref.kind
    if kind == "Job":
        return "It still runs; wait until it has ended, then plan anew."
    if kind == "PersistentVolumeClaim":
        return (
            "A claim neither shrinks nor moves, and deleting it would lose its data: deploy the older chart with the claim as "
            "it is now."
        )
    if kind == "StatefulSet":
        return "Its persistentVolumeClaimRetentionPolicy deletes its claims with it: set whenDeleted to Retain, then plan anew."
    return "Fix the chart forward, or delete it yourself and plan anew."
