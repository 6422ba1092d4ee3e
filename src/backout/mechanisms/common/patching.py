# SPDX-License-Identifier: Apache-2.0
"""Changes of workload objects. Each looks, acts if need be, and looks again."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import Cluster, ClusterReader, Object
from backout.errors import Conflict, Invalid, PreconditionFailed
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import partition_of
from backout.mechanisms.common.params import AccountParams, ObjectParams, PartitionParams, PausedParams
from backout.mechanisms.common.workloads import load
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg

ATTEMPTS = 5
"""Tries against other writers of the spec; each time what must hold is checked anew."""


async def set_partition(context: StepContext, step: StepOf[PartitionParams]) -> StepOutcome:
    """Sets ``updateStrategy.rollingUpdate.partition``."""
    wanted = step.params.partition
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        if partition_of(obj) == wanted:
            return StepOutcome(False, msg("The partition of {ref} is {n} already.", ref=step.params.label, n=wanted))
        rolling = {**((obj["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}), "partition": wanted}
        change = {"op": "add", "path": "/spec/updateStrategy/rollingUpdate", "value": rolling}
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), change])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("The partition of {ref} is {n} now.", ref=step.params.label, n=wanted))
    raise restless(step)


async def set_paused(context: StepContext, step: StepOf[PausedParams]) -> StepOutcome:
    """Sets ``spec.paused`` of a Deployment."""
    wanted = step.params.paused
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        word = "paused" if wanted else "not paused"
        if bool(obj["spec"].get("paused")) == wanted:
            return StepOutcome(False, msg("The rollout of {ref} is {word} already.", ref=step.params.label, word=word))
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), {"op": "add", "path": "/spec/paused", "value": wanted}])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("The rollout of {ref} is {word} now.", ref=step.params.label, word=word))
    raise restless(step)


async def set_account(context: StepContext, step: StepOf[AccountParams]) -> StepOutcome:
    """Sets the ServiceAccount of the pods, or takes it away, from both fields that name it.

    A template that loses ``serviceAccountName`` gets it back from the older ``serviceAccount``, which the API server filled in
    beside it (kubernetes pkg/apis/core/v1/conversion.go: PodSpec).
    """
    wanted = step.params.account
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        spec = obj["spec"]["template"]["spec"]
        if str(spec.get("serviceAccountName") or "") == wanted:
            return StepOutcome(
                False, msg("{ref} runs as {account} already.", ref=step.params.label, account=wanted or "default")
            )
        path = "/spec/template/spec/"
        changes: list[dict[str, Any]] = [
            {"op": "add", "path": f"{path}{field}", "value": wanted}
            if wanted
            else {"op": "remove", "path": f"{path}{field}"}
            for field in ("serviceAccountName", "serviceAccount")
            if wanted or field in spec
        ]
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), *changes])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(
            True, msg("{ref} runs as {account} now.", ref=step.params.label, account=wanted or "default")
        )
    raise restless(step)


async def subject(cluster: ClusterReader, step: StepOf[ObjectParams]) -> Object:
    """The workload that a step acts on.

    Raises:
        PreconditionFailed: it was made anew after the plan was made.
    """
    params = step.params
    obj = await load(cluster, params.kind, params.name, params.namespace)
    uid = step.precondition.get("uid")
    if uid and obj["metadata"]["uid"] != uid:
        raise PreconditionFailed(
            "{ref} was deleted and made again after the plan was made.",
            ref=step.params.label,
            expected="the object with uid {was}",
            found="one with uid {now}",
            was=str(uid),
            now=obj["metadata"]["uid"],
            hint="Plan anew.",
        )
    return obj


def same(obj: Object) -> list[dict[str, Any]]:
    """The part of a JSON patch that holds it to the object, and the spec, that was read."""
    meta = obj["metadata"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
        {"op": "test", "path": "/metadata/generation", "value": meta.get("generation")},
    ]


async def patched(cluster: Cluster, obj: Object, patch: list[dict[str, Any]]) -> Object:
    """The workload as the API server has it after a JSON patch."""
    meta = obj["metadata"]
    answer = await cluster.patch(WORKLOAD_RESOURCES[obj["kind"]], meta["name"], patch, meta["namespace"], type="json")
    return {**answer, "apiVersion": "apps/v1", "kind": obj["kind"]}


async def moved(cluster: ClusterReader, obj: Object) -> bool:
    """Whether somebody changed the spec since ``obj`` was read."""
    meta = obj["metadata"]
    now = await load(cluster, obj["kind"], meta["name"], meta["namespace"])
    return bool(now["metadata"].get("generation") != meta.get("generation") or now["metadata"]["uid"] != meta["uid"])


def restless(step: StepOf[ObjectParams]) -> Conflict:
    """The error of a step that lost every try to another writer."""
    return Conflict(
        "{ref} is changed by somebody else all the time; {count} tries were lost to it.",
        ref=step.params.label,
        count=ATTEMPTS,
        hint="An operator or a pipeline may own it. Stop that first.",
    )
