# SPDX-License-Identifier: Apache-2.0
"""Effects on pods: replace what the controller never would, and wait until all are ready. By watches, never by polling.

A pod is deleted by its uid, so that a process that starts over deletes only what is still the same stuck pod.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from backout.cluster.port import PODS, Object
from backout.errors import AccessDenied, Conflict, ObjectNotFound
from backout.kube.pod_health import health_of
from backout.kube.rollout import Rollout
from backout.kube.workloads import on_delete, ordered, ordinal
from backout.mechanisms.common.backoff import waits
from backout.mechanisms.common.live import Live, following
from backout.mechanisms.common.params import ObjectParams, ReadyParams
from backout.mechanisms.common.patience import Patience
from backout.mechanisms.common.ready import assess, outdated_pods, stuck_pods
from backout.mechanisms.common.workloads import load
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import Message, msg

PATIENCE = 30.0
"""Seconds for which pods that replace others may fail; see `ReadyParams`."""
SHOWN_WITHIN = 30.0

Choose = Callable[[Object, list[Object], str], list[Object]]


async def replace_stuck(context: StepContext, step: StepOf[ObjectParams]) -> StepOutcome:
    """Deletes the pods that an OrderedReady (or OnDelete) set would wait for in vain; highest ordinal first.

    Raises:
        NotVerifiedError: a pod of the revision in force fails itself.
        TimedOut: it was not over in time; what was done is in the message.
    """
    async with _watched(context, step) as live:
        if not ordered(live.obj) and not on_delete(live.obj):
            return StepOutcome(False, msg("{ref} replaces such pods by itself.", ref=step.params.label))
        return await _replace(context, step, live, stuck_pods)


async def delete_outdated(context: StepContext, step: StepOf[ObjectParams]) -> StepOutcome:
    """Replaces the pods of an OnDelete set that are not of the revision in force, one at a time.

    Raises:
        NotVerifiedError: a new pod fails; the pods that were left alone still run.
        TimedOut: it was not over in time; what was done is in the message.
    """
    async with _watched(context, step) as live:
        return await _replace(context, step, live, outdated_pods)


async def start_anew(context: StepContext, step: StepOf[ObjectParams]) -> StepOutcome:
    """Deletes the pods that wait in a back-off, so that they start now and not after minutes.

    A help and no condition: where it is gone by now, or may not be done, they start by themselves later.
    """
    try:
        async with _watched(context, step) as live:
            deleted = await _end_backoffs(context, live)
    except ObjectNotFound:
        return StepOutcome(False, msg("{ref} does not exist any more.", ref=step.params.label))
    except AccessDenied as error:
        return StepOutcome(False, msg("Its pods start by themselves later: {why}", why=error.message))
    if not deleted:
        return StepOutcome(False, msg("No pod of {ref} fails any more.", ref=step.params.label))
    return StepOutcome(
        True,
        msg("Started pods of {ref} anew: {pods}.", ref=step.params.label, pods=", ".join(deleted)),
        {"pods": deleted},
    )


async def _end_backoffs(context: StepContext, live: Live) -> list[str]:
    """Deletes those that wait; the names.

    Raises:
        AccessDenied: that may not be done.
    """
    deleted = []
    for pod in live.pods:
        meta = pod["metadata"]
        if waits(pod):
            await context.guard()
            with contextlib.suppress(ObjectNotFound, Conflict):
                await context.cluster.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
                deleted.append(str(meta["name"]))
    return deleted


async def _replace(context: StepContext, step: StepOf[ObjectParams], live: Live, choose: Choose) -> StepOutcome:
    deleted: list[str] = []
    patience = Patience(context, step, PATIENCE)
    while True:
        label = await live.current_label()
        waiting = None if label else msg("the controller has not made the revision yet")
        candidates = choose(live.obj, live.pods, label)
        if waiting is None and deleted and not _held_back(live, deleted[-1], candidates):
            waiting = await _unfinished(live, deleted[-1])
        if waiting is not None:
            await patience.next(live, waiting)
            continue
        if not candidates:
            break
        pod = candidates[0]
        name, why = str(pod["metadata"]["name"]), health_of(pod).failure
        await context.guard()
        with contextlib.suppress(ObjectNotFound, Conflict):  # gone, or another pod by now: look again
            await context.cluster.delete(PODS, name, pod["metadata"]["namespace"], uid=pod["metadata"]["uid"])
            deleted.append(name)
            context.progress(
                msg("Deleted pod {pod} of another revision, which failed: {why}.", pod=name, why=why)
                if why
                else msg("Deleted pod {pod}, which was of another revision.", pod=name),
                pod=name,
            )
        await _until_shown(live, str(pod["metadata"]["uid"]))
    if not deleted:
        return StepOutcome(False, msg("No pod of {ref} is stuck on another revision.", ref=step.params.label))
    return StepOutcome(
        True, msg("Replaced pods of {ref}: {pods}.", ref=step.params.label, pods=", ".join(deleted)), {"pods": deleted}
    )


def _held_back(live: Live, name: str, candidates: list[Object]) -> bool:
    """True where the pod that was deleted is not made again before another one is replaced: an OrderedReady set makes none while one
    of a lower ordinal is not ready (kubernetes pkg/controller/statefulset: processReplica returns at that)."""
    last = name.rpartition("-")[2]
    if live.kind != "StatefulSet" or not ordered(live.obj) or not last.isdecimal():
        return False
    return any(ordinal(pod) < int(last) and not health_of(pod).ready for pod in candidates)


async def _until_shown(live: Live, uid: str) -> None:
    """Until the watch shows the deletion, so that no pod is chosen twice."""
    while any(p["metadata"]["uid"] == uid and not p["metadata"].get("deletionTimestamp") for p in live.pods):
        if not await live.changed(SHOWN_WITHIN):
            return


async def _unfinished(live: Live, name: str) -> Message | None:
    """What is still missing of the pod that was replaced last; None when it is there and ready."""
    if name.rpartition("-")[2].isdecimal() and live.kind == "StatefulSet":
        current = [pod for pod in await live.current_pods() if pod["metadata"]["name"] == name]
        missing = not any(health_of(pod).ready for pod in current)
        return msg("pod {pod} is not ready yet", pod=name) if missing else None
    # A DaemonSet names the new pod anew: one at a time means that none of the revision in force is unready.
    state = assess(live.obj, live.pods, await live.current_label())
    current = await live.current_pods()
    rest = len([pod for pod in live.pods if not pod["metadata"].get("deletionTimestamp")])
    if any(not health_of(pod).ready for pod in current) or rest < state.desired or rest < len(live.pods):
        return msg("the pod in place of {pod} is not ready yet", pod=name)
    return None


async def wait_ready(context: StepContext, step: StepOf[ReadyParams]) -> StepOutcome:
    """Waits until every pod is ready at the revision in force, but for those that a partition keeps at another one.

    Who resumes a run has mended something meanwhile: what waits in a back-off since the last attempt is then started anew, or its
    failing would be taken for that of now.

    Raises:
        NotVerifiedError: pods of that revision fail for good; says why.
        TimedOut: not in time; says for what it waited.
    """
    watch = Patience(context, step, step.params.patience)
    told: tuple[int, str] | None = None
    async with _watched(context, step) as live:
        if context.again:
            with contextlib.suppress(AccessDenied):
                for name in await _end_backoffs(context, live):
                    context.progress(msg("Started pod {pod} anew, which still failed.", pod=name), pod=name)
        while True:
            state = assess(live.obj, live.pods, await live.current_label())
            if state.complete:
                return StepOutcome(
                    False, _arrived(step.params.label, state), {"ready": state.ready, "desired": state.desired}
                )
            if told != (state.ready, state.why.text):
                told = state.ready, state.why.text
                context.progress(
                    msg("{ref}: {waiting}.", ref=step.params.label, waiting=state.why),
                    ready=state.ready,
                    desired=state.desired,
                )
            await watch.next(live, state.why)


def _arrived(ref: str, state: Rollout) -> Message:
    """All that will come by itself is there: no pod goes below a partition, however long one waits."""
    if state.kept:
        return msg(
            "{ref}: {ready} of {desired} pods are ready at this revision; its partition keeps {pods} at another one.",
            ref=ref,
            ready=state.ready,
            desired=state.desired,
            pods=", ".join(state.kept),
        )
    return msg("{ref}: {ready} of {desired} pods are ready.", ref=ref, ready=state.ready, desired=state.desired)


@asynccontextmanager
async def _watched(context: StepContext, step: StepOf[ObjectParams]) -> AsyncIterator[Live]:
    params = step.params
    obj = await load(context.cluster, params.kind, params.name, params.namespace)
    async with following(context.cluster, obj) as live:
        yield live
