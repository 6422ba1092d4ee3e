# SPDX-License-Identifier: Apache-2.0
"""Budgets for disruptions that let no pod go, of workloads whose pods a way back replaces.

A budget is asked for evictions alone: of drains, autoscalers, preemption where it can be helped. Neither a rollout nor the deletion of a
pod asks it (kubernetes.io/docs/concepts/workloads/pods/disruptions), so a way back is not held up by it, and does not keep to it either.
"""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import PDBS, ClusterReader, Object
from backout.errors import BackoutError, ObjectNotFound
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import matches
from backout.mechanisms import registry
from backout.model.change import Changes
from backout.model.message import msg
from backout.model.part import Risk, Step
from backout.model.target import ObjectRef


async def budget_risks(cluster: ClusterReader, changes: Changes, steps: Iterable[Step]) -> list[Risk]:
    """What to know of them before saying yes; nothing where budgets may not be read: they hold up nothing."""
    found = []
    refs = replaced(changes, steps)
    for namespace in sorted({ref.namespace for ref in refs}):
        try:
            budgets = [one for one in await cluster.list_all(PDBS, namespace) if _lets_nobody_go(one)]
        except BackoutError:
            continue
        mine = [ref for ref in refs if ref.namespace == namespace] if budgets else []
        for ref in mine:
            labels = await _labels(cluster, ref)
            found += [_risk(budget, ref) for budget in budgets if labels and matches(_selector(budget), labels)]
    return found


def replaced(changes: Changes, steps: Iterable[Step]) -> list[ObjectRef]:
    """The workloads whose serving pods the way back ends."""
    found = [
        ObjectRef(one.ref.api_version, one.ref.kind, one.ref.name, one.ref.namespace)
        for one in changes.effective
        if one.ref.kind in WORKLOAD_RESOURCES
        and (one.action in ("delete", "recreate") or any(f.path.startswith("spec.template") for f in one.fields))
    ]
    for step in steps:
        kind = registry.step_kind(step.action)
        if kind.replaces(kind.read(step.action, step.params)):
            found += kind.objects(step.action, step.target, step.params)
    return sorted(dict.fromkeys(ref for ref in found if ref.kind in WORKLOAD_RESOURCES))


def _lets_nobody_go(budget: Object) -> bool:
    status = budget.get("status") or {}
    return status.get("disruptionsAllowed") == 0 and int(status.get("expectedPods") or 0) > 0


def _selector(budget: Object) -> Object | None:
    found: Object | None = (budget.get("spec") or {}).get("selector")
    return found


async def _labels(cluster: ClusterReader, ref: ObjectRef) -> dict[str, str]:
    try:
        obj = await cluster.get(WORKLOAD_RESOURCES[ref.kind], ref.name, ref.namespace)
    except ObjectNotFound:
        return {}
    return (obj["spec"]["template"].get("metadata") or {}).get("labels") or {}


def _risk(budget: Object, ref: ObjectRef) -> Risk:
    status = budget["status"]
    return Risk(
        code="budget",
        message=msg(
            "poddisruptionbudget/{budget} lets no pod of {object} go now: {healthy} are healthy, {wanted} have to be. It holds up nothing "
            "here, since only evictions ask it: pods are replaced all the same, as the workload's own strategy says. Drains of nodes wait "
            "until enough are ready again.",
            budget=str(budget["metadata"]["name"]),
            object=str(ref),
            healthy=int(status.get("currentHealthy") or 0),
            wanted=int(status.get("desiredHealthy") or 0),
        ),
    )
