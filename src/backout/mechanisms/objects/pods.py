# SPDX-License-Identifier: Apache-2.0
"""Effects on the workloads that depend on an object: replace pods that fail, and have refused ones tried again."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.authors import written_at
from backout.cluster.port import PODS
from backout.errors import Conflict, Invalid, ObjectNotFound
from backout.kube.names import ASKED_AGAIN
from backout.kube.pod_health import health_of
from backout.kube.workloads import desired
from backout.mechanisms.common.backoff import waits
from backout.mechanisms.common.live import following
from backout.mechanisms.common.patching import ATTEMPTS, moved, patched, restless, same, subject
from backout.mechanisms.objects.history import live_object, resource_of
from backout.mechanisms.objects.params import AskAgainParams, ReplacePodsParams
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg


async def replace_pods(context: StepContext, step: StepOf[ReplacePodsParams]) -> StepOutcome:
    """Deletes pods that were made before the object was written: those that fail, or every one.

    Pods that were made after it are left alone, so that a process that starts over deletes nothing twice.
    """
    ref = step.params.object.ref
    content = await live_object(context.cluster, resource_of(ref), ref)
    written = written_at(content) if content is not None else None
    every = step.params.every
    deleted = []
    async with following(context.cluster, await subject(context.cluster, step)) as live:
        for pod in sorted(live.pods, key=lambda pod: str(pod["metadata"]["name"])):
            meta = pod["metadata"]
            born = msgspec.convert(meta["creationTimestamp"], datetime)
            if meta.get("deletionTimestamp") or (written is not None and born > written):
                continue
            why = health_of(pod).failure
            if not every and not waits(pod):
                continue
            await context.guard()
            with contextlib.suppress(ObjectNotFound, Conflict):  # gone, or another pod by now
                await context.cluster.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
                deleted.append(str(meta["name"]))
                context.progress(
                    msg("Deleted pod {pod}, which failed: {why}.", pod=meta["name"], why=why)
                    if why is not None
                    else msg("Deleted pod {pod}.", pod=meta["name"]),
                    pod=meta["name"],
                )
    if not deleted:
        return StepOutcome(False, msg("No pod of {ref} had to be replaced.", ref=step.params.label))
    return StepOutcome(
        True, msg("Replaced pods of {ref}: {pods}.", ref=step.params.label, pods=", ".join(deleted)), {"pods": deleted}
    )


async def ask_again(context: StepContext, step: StepOf[AskAgainParams]) -> StepOutcome:
    """Has the controller of a workload whose pods were refused look again now.

    After each refusal it waits longer, up to a quarter of an hour (workqueue.DefaultTypedControllerRateLimiter); a change of
    the workload, be it of a note alone, is looked at at once. A Deployment hands its notes on to its ReplicaSet
    (pkg/controller/deployment/util: SetNewReplicaSetAnnotations).
    """
    value, name = step.params.value, step.params.label
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        notes = obj["metadata"].get("annotations") or {}
        if notes.get(ASKED_AGAIN) == value:
            return StepOutcome(False, msg("The controller of {ref} was asked already.", ref=name))
        if value is not None and int((obj.get("status") or {}).get("replicas") or 0) >= desired(obj):
            return StepOutcome(False, msg("{ref} has all of its pods.", ref=name))
        path = f"/metadata/annotations/{ASKED_AGAIN.replace('/', '~1')}"
        change: list[dict[str, Any]] = [{"op": "remove", "path": path}]
        if value is not None:
            change = [{"op": "add", "path": path, "value": value}]
            if not notes:
                change.insert(0, {"op": "add", "path": "/metadata/annotations", "value": {}})
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), *change])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("The controller of {ref} tries again now.", ref=name))
    raise restless(step)
