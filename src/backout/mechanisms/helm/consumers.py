# SPDX-License-Identifier: Apache-2.0
"""Workloads that a rollback does not touch, and that keep what it takes back: who read a ConfigMap or Secret once. Pure.

A pod reads its environment and what is mounted by ``subPath`` as its containers start (kubernetes.io/docs/concepts/configuration:
"environment variables are not updated automatically", "a container using a ConfigMap as a subPath volume mount will not receive
ConfigMap updates"). Helm changes the object, the template stays, and every pod goes on with the bad value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import msgspec

from backout.kube.references import Reference, references
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms.common.evidence import WorkloadId
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.obstacles import obstacles
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

_CONTENT = ("data", "binaryData")


class Stale(NamedTuple):
    """A workload whose pods must be made anew, and why; ``objects`` are what they read."""

    item: Item
    objects: tuple[ObjectRef, ...]
    why: Message


def waiting_pods(analysis: Analysis, failing: Collection[WorkloadId]) -> list[ObjectRef]:
    """The ``failing`` workloads whose pods stay as they are: what they lack may be among all that goes back, be it a policy, a Service,
    rights, an account, a claim or another program, and they would wait for their next start."""
    restarted = {stale.item.ref for stale in stale_consumers(analysis, failing)}
    recreated = {obstacle.item.ref for obstacle in obstacles(analysis.items) if obstacle.kind == "recreate"}
    held = {(holder.kind, holder.namespace, holder.name) for item in analysis.items for holder in item.holders}
    return [
        msgspec.structs.replace(item.ref, uid="")
        for item in analysis.items
        if (identity := (item.ref.kind, item.ref.namespace, item.ref.name)) in failing
        and item.live is not None
        and item.target is not None
        and item.ref not in restarted
        # a set that is made anew around its pods keeps them
        and (item.ref not in recreated or item.ref.kind == "StatefulSet")
        and identity not in held
        and not _replaced(item)
    ]


def stale_consumers(analysis: Analysis, failing: Collection[WorkloadId] = ()) -> list[Stale]:
    """Who holds what the rollback takes back. Of those that watch their files only the ``failing`` ones: a program that crashed over
    them gets its next start now, and not after minutes of back-off."""
    changed = {
        (item.ref.kind, item.ref.name, item.ref.namespace): (item.ref, keys)
        for item in analysis.items
        # who reads one that is made anew is made anew with it
        if item.ref.kind in ("ConfigMap", "Secret") and not item.sealed and (keys := _changed(item))
    }
    if not changed:
        return []
    found = []
    for item in analysis.items:
        if item.ref.kind not in WORKLOAD_RESOURCES or item.live is None or item.target is None or _rolls(item):
            continue
        once: list[ObjectRef] = []
        read: list[ObjectRef] = []
        for reference in _references(item):
            ref, keys = changed.get((reference.kind, reference.name, item.ref.namespace), (None, set()))
            if ref is None or (reference.keys and not keys & set(reference.keys)):
                continue
            (once if reference.how in ("env", "subPath") else read).append(ref)
        identity = (item.ref.kind, item.ref.namespace, item.ref.name)
        if once:
            objects = tuple(dict.fromkeys(once))
            why = msg("its pods read {objects} as they start, and hold the former content", objects=_names(objects))
            found.append(Stale(item, objects, why))
        elif read and identity in failing:
            objects = tuple(dict.fromkeys(read))
            why = msg("its pods fail over the former content of {objects}", objects=_names(objects))
            found.append(Stale(item, objects, why))
    return found


def _rolls(item: Item) -> bool:
    """True when its pods are replaced by the rollback itself, when there are none, or when none would be replaced."""
    return _replaced(item) or bool(((item.after or item.target or {}).get("spec") or {}).get("paused"))


def _replaced(item: Item) -> bool:
    spec = (item.after or item.target or {}).get("spec") or {}
    return any(field.path.startswith("spec.template") for field in item.fields) or spec.get("replicas") == 0


def _references(item: Item) -> Iterator[Reference]:
    spec = (item.after or item.target or {}).get("spec") or {}
    yield from references((spec.get("template") or {}).get("spec") or {})


def _changed(item: Item) -> set[str]:
    """The keys whose content goes back; none of an object that was missing: its readers can't have started."""
    if item.live is None or item.target is None or not item.fields:
        return set()
    before, after = item.live, item.after or item.target
    keys: set[str] = set()
    for part in _CONTENT:
        left: dict[str, Any] = before.get(part) or {}
        right: dict[str, Any] = after.get(part) or {}
        keys |= {key for key in {*left, *right} if left.get(key) != right.get(key)}
    return keys


def _names(objects: tuple[ObjectRef, ...]) -> str:
    return ", ".join(map(str, objects))
