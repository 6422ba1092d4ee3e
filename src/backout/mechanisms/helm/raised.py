# SPDX-License-Identifier: Apache-2.0
"""Numbers of pods that somebody raised past Helm, on workloads that have nothing to do with what is broken: they stay. Pure.

Helm writes the number of every workload whose chart names one (with client-side apply without asking anybody), and takes pods away
from programs that are well, at the time when that hurts most.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import msgspec

from backout.changes.writers import entries_of, kind_of
from backout.mechanisms.common.evidence import WorkloadId
from backout.model.target import ObjectRef

SCALED = ("Deployment", "StatefulSet")

Object = dict[str, Any]


class Raised(msgspec.Struct, frozen=True):
    """``now`` pods, as ``who`` set, where the target revision says ``then``."""

    now: int
    then: int
    who: str


def raised(
    ref: ObjectRef, base: Object | None, target: Object, live: Object, concerned: Collection[WorkloadId]
) -> Raised | None:
    """What stays; None where nobody raised it, where the chart leaves the number to others, or where it fails or is blamed itself."""
    if ref.kind not in SCALED or (ref.kind, ref.namespace, ref.name) in concerned:
        return None
    now, then, before = ((obj.get("spec") or {}).get("replicas") for obj in (live, target, base or {}))
    if (
        not isinstance(now, int)
        or not isinstance(then, int)
        or now <= max(then, before if isinstance(before, int) else 0)
    ):
        return None
    # What was written by the subresource scale bears no time (apimachinery managedfields: scalehandler.go, ToParent).
    own = [one.manager for one in entries_of(live) if "f:replicas" in (one.fields.get("f:spec") or {})]
    by = {kind_of(manager) for manager in own}
    people = [manager for manager in own if kind_of(manager) == "other"]
    return Raised(now, then, people[0]) if people and by <= {"other", "helm"} else None


def with_number(target: Object, number: int) -> Object:
    """``target`` with that number of pods."""
    wanted = copy.deepcopy(target)
    wanted["spec"]["replicas"] = number
    return wanted
