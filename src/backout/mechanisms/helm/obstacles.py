# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a rollback, found by dry run before anything is written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from backout.errors import AccessDenied, Conflict, ObjectNotFound
from backout.helm.text import first_line
from backout.kube.intent import canonical
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE
from backout.kube.templates import covers
from backout.kube.workloads import job_ended
from backout.mechanisms.helm.analysis import Item, Object
from backout.mechanisms.helm.strays import stays_headless
from backout.model.message import Message, msg

Kind = Literal["foreign", "recreate", "conflict", "takeover", "immutable", "refused", "unserved", "unreadable"]

_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "StatefulSet": ("spec.volumeClaimTemplates", "spec.serviceName", "spec.selector", "spec.podManagementPolicy"),
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "Job": ("spec.template", "spec.selector", "spec.completionMode"),
    "Service": ("spec.clusterIP", "spec.ipFamilies", "spec.loadBalancerClass"),
    "ConfigMap": ("data", "binaryData", "immutable"),
    "Secret": ("data", "stringData", "immutable", "type"),
    "PersistentVolumeClaim": ("spec",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "IngressClass": ("spec.controller",),
}
"""Fields that the API server does not let change (validation of each kind in kubernetes pkg/apis)."""

_PEOPLE = re.compile(r"^(kubectl|k9s|lens|before-first-apply|backout)", re.IGNORECASE)
_MANAGER = re.compile(r'\("([^"]+)"')


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """One object that Helm could not write, why, and what can be done.

    ``foreign``: it belongs to another release now. ``recreate``: a StatefulSet that can be made anew around its pods, or what
    else may be deleted first: a Job that has ended, a RoleBinding, a headless Service.
    ``takeover``: fields last set by a person with kubectl, which Helm may take back when that is approved. All but the
    last two end the way back before it begins.
    """

    kind: Kind
    item: Item
    message: Message
    managers: tuple[str, ...] = ()

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
    if item.ref.kind == "Job" and item.live is not None and job_ended(item.live):
        return Obstacle(
            kind="recreate",
            item=item,
            message=msg(
                "{object} must be made anew, since {fields} can't be changed: it is deleted with its pods, and Helm makes it "
                "again, so that it runs again.",
                object=str(item.ref),
                fields=", ".join(changed),
            ),
        )
    if item.ref.kind == "RoleBinding" and item.live is not None:
        return Obstacle(
            kind="recreate",
            item=item,
            message=msg(
                "{object} must be made anew, since {fields} can't be changed: until Helm has made it, nobody has these rights.",
                object=str(item.ref),
                fields=", ".join(changed),
            ),
        )
    if recreatable(item, changed):
        return Obstacle(
            kind="recreate",
            item=item,
            message=msg(
                "{object} must be made anew, since {fields} can't be changed: it is deleted without its pods and volumes, "
                "and the rollback creates it again around them.",
                object=str(item.ref),
                fields=", ".join(changed),
            ),
        )
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


def immutable_fields(item: Item) -> list[str]:
    """The immutable fields that would change."""
    names = _IMMUTABLE.get(item.ref.kind, ())
    if item.ref.kind in {"ConfigMap", "Secret"} and not (item.live or {}).get("immutable"):
        names = ("type",) if item.ref.kind == "Secret" else ()
    found = []
    for name in names:
        if any(change.path == name or change.path.startswith((f"{name}.", f"{name}[")) for change in item.fields):
            found.append(name)
    return found


def recreatable(item: Item, changed: list[str]) -> bool:
    """True when a StatefulSet can be deleted and made again with its pods left running.

    The new set adopts pods whose labels and claims fit; other claims or another selector would leave it stuck or the
    pods orphaned, and another serviceName would leave running pods with the old DNS name.
    """
    if item.ref.kind != "StatefulSet" or not set(changed) <= {"spec.volumeClaimTemplates", "spec.podManagementPolicy"}:
        return False
    return _claims(item.live) == _claims(item.target)


def recreate_needed(live: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """True while the live StatefulSet still has the fields that can't be changed to what is wanted."""
    left, right = canonical(live).get("spec") or {}, canonical(wanted).get("spec") or {}
    policy = right.get("podManagementPolicy") or "OrderedReady"
    if (left.get("podManagementPolicy") or "OrderedReady") != policy:
        return True
    return not covers(left.get("volumeClaimTemplates") or [], right.get("volumeClaimTemplates") or [])


def anew_needed(live: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """True while a live object still has what can't be changed to what is wanted."""
    left, right = canonical(live), canonical(wanted)
    if live["kind"] == "RoleBinding":
        return not covers(left.get("roleRef") or {}, right.get("roleRef") or {})
    left, right = left.get("spec") or {}, right.get("spec") or {}
    if live["kind"] == "Service":
        return bool(left.get("clusterIP") == "None" and right.get("clusterIP") != "None")
    return not covers(left.get("template") or {}, right.get("template") or {})


def _claims(obj: dict[str, Any] | None) -> set[str]:
    templates = ((obj or {}).get("spec") or {}).get("volumeClaimTemplates") or []
    return {str((template.get("metadata") or {}).get("name")) for template in templates}


def _advice(item: Item) -> str:
    kind = item.ref.kind
    if kind == "Job":
        return "It still runs; wait until it has ended, then plan anew."
    if kind in {"ConfigMap", "Secret"}:
        return (
            f"It is immutable, and nodes serve its old content while pods use it: `backout run {item.ref} --approve recreate` makes "
            "it anew with what reads it, where a good snapshot has it; then plan anew."
        )
    if kind == "PersistentVolumeClaim":
        return (
            "A claim neither shrinks nor moves, and deleting it would lose its data: deploy the older chart with the claim as "
            "it is now."
        )
    if kind == "Service":
        return "Deleting it would give it another address; fix the chart forward instead."
    if kind in {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"}:
        return "Deleting it would interrupt the service; fix the chart forward, or delete it yourself and plan anew."
    return "Fix the chart forward, or delete it yourself and plan anew."
