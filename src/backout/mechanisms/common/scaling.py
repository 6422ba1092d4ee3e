# SPDX-License-Identifier: Apache-2.0
"""The effect that scales a workload, for every way back that has to have its pods gone, or there."""

from __future__ import annotations

import asyncio

from backout.errors import Conflict, Invalid, TimedOut
from backout.kube.workloads import desired
from backout.mechanisms.common.live import Live, following
from backout.mechanisms.common.params import ScaleParams
from backout.mechanisms.common.patching import ATTEMPTS, moved, patched, restless, same, subject
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import Message, msg


async def scale(context: StepContext, step: StepOf[ScaleParams]) -> StepOutcome:
    """Sets ``spec.replicas``, and waits until the pods are gone, or run, where the step says so.

    Raises:
        TimedOut: the pods are still there, or still not there.
    """
    wanted, name = step.params.replicas, step.params.label
    changed = False
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        if desired(obj) == wanted:
            break
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), {"op": "add", "path": "/spec/replicas", "value": wanted}])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        changed = True
        break
    else:
        raise restless(step)
    until = step.params.until
    if until:
        await _until(context, step, wanted, until)
    if not changed:
        return StepOutcome(False, msg("{ref} has {count} pods already.", ref=name, count=wanted))
    return StepOutcome(True, msg("{ref} was scaled to {count} pods.", ref=name, count=wanted))


async def _until(context: StepContext, step: StepOf[ScaleParams], wanted: int, until: str) -> None:
    end = asyncio.get_running_loop().time() + step.timeout
    told = ""
    async with following(context.cluster, await subject(context.cluster, step)) as live:
        while (waiting := _missing(live, wanted, until)) is not None:
            if waiting.text != told:
                told = waiting.text
                context.progress(msg("{ref}: {waiting}.", ref=step.params.label, waiting=waiting))
            if not await live.changed(max(0.01, end - asyncio.get_running_loop().time())):
                raise TimedOut(
                    "{ref} was scaled to {count}, but after {seconds} s {waiting}.",
                    ref=step.params.label,
                    count=wanted,
                    seconds=round(step.timeout),
                    waiting=waiting,
                )


def _missing(live: Live, wanted: int, until: str) -> Message | None:
    if until == "gone":
        left = len(live.pods)
        return msg("{count} pods are still there", count=left) if left else None
    running = sum(
        1
        for pod in live.pods
        if (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    )
    return msg("{count} of {wanted} pods run", count=running, wanted=wanted) if running < wanted else None
