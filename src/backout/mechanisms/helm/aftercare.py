# SPDX-License-Identifier: Apache-2.0
"""The steps after a rollback: what plain Helm leaves undone on the workloads of the target revision. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import on_delete, ordered, partition_of
from backout.mechanisms.common import steps as builders
from backout.mechanisms.common.backoff import in_order
from backout.mechanisms.common.evidence import WorkloadId
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.consumers import stale_consumers, waiting_pods
from backout.model.part import Step
from backout.model.target import ObjectRef, Target


def aftercare(analysis: Analysis, target: Target, value: str = "", failing: Collection[WorkloadId] = ()) -> list[Step]:
    """Hindrances that the chart does not ask for are taken away, who holds what went back is restarted (marked by ``value``), stuck
    pods are replaced, then everything is waited for: what ``failing`` pods stay of comes after what they may need."""
    found = _in_order(
        [item for item in analysis.items if item.ref.kind in WORKLOAD_RESOURCES and item.target is not None],
        waiting_pods(analysis, failing),
        analysis,
    )
    before: list[Step] = []
    pods: list[Step] = []
    ready: list[Step] = []
    again: list[Step] = []
    restarts = [
        builders.restart(
            msgspec.structs.replace(item.ref, uid=""),
            Target(item.ref.kind.lower(), item.ref.name, item.ref.namespace, target.cluster),
            item.live or {},
            why,
            value,
        )
        for item, _, why in stale_consumers(analysis, failing)
    ]
    for item in found:
        # without the uid: a set that is made anew gets another one
        ref = msgspec.structs.replace(item.ref, uid="")
        mine = Target(ref.kind.lower(), ref.name, ref.namespace, target.cluster)
        after = _after(item)
        before += _hindrances(item, after, mine)
        again += _paused_again(item, after, mine)
        if on_delete(after):
            pods.append(_named(builders.delete_outdated(ref, mine), ref))
        elif ordered(after):
            pods.append(_named(builders.replace_stuck(ref, mine), ref))
        ready.append(_named(builders.wait_ready(ref, mine), ref))
    return [*before, *restarts, *pods, *ready, *again]


def _in_order(found: list[Item], waiting: Collection[ObjectRef], analysis: Analysis) -> list[Item]:
    """As they are, where none waits in a back-off."""
    if not waiting:
        return found
    by_ref = {msgspec.structs.replace(item.ref, uid=""): item for item in found}
    last = sorted(by_ref, key=lambda ref: ref in waiting)
    templates = {ref: _after(by_ref[ref])["spec"].get("template") or {} for ref in last}
    services = [obj for item in analysis.items if item.ref.kind == "Service" and (obj := item.after or item.target)]
    return [by_ref[ref] for ref in in_order(templates, services)]


def _after(item: Item) -> dict[str, Any]:
    obj = item.after or item.target or {}
    return {**obj, "kind": item.ref.kind, "spec": obj.get("spec") or {}}


def _hindrances(item: Item, after: dict[str, Any], target: Target) -> list[Step]:
    """A partition or a pause that somebody left on the live object, and that the chart says nothing of; an account of which the
    chart says nothing, and that the API server would keep."""
    wanted = (item.target or {}).get("spec") or {}
    found: list[Step] = []
    account, asked_for = _account(after["spec"]), _account(wanted)
    if account and not asked_for and item.live is not None and account == _account(item.live.get("spec") or {}):
        found.append(builders.set_account(item.ref, target, account, ""))
    partition = partition_of(after)
    asked = ((wanted.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition")
    if partition and not asked and item.live is not None:
        found.append(builders.set_partition(item.ref, target, partition, 0))
    if after["spec"].get("paused") and not wanted.get("paused") and item.live is not None:
        found.append(builders.set_paused(item.ref, target, before=True, after=False))
    return [_named(step, item.ref) for step in found]


def _account(spec: dict[str, Any]) -> str:
    return str((((spec.get("template") or {}).get("spec")) or {}).get("serviceAccountName") or "")


def _paused_again(item: Item, after: dict[str, Any], target: Target) -> list[Step]:
    wanted = (item.target or {}).get("spec") or {}
    if after["spec"].get("paused") and not wanted.get("paused") and item.live is not None:
        return [_named(builders.set_paused(item.ref, target, before=False, after=True), item.ref)]
    return []


def _named(step: Step, ref: ObjectRef) -> Step:
    """Ids are unique in a plan, though it may have several workloads."""
    return msgspec.structs.replace(step, id=f"{step.id}-{ref.kind.lower()}-{ref.name}")
