# SPDX-License-Identifier: Apache-2.0
"""Pods that keep nodes from forgetting an immutable object: they end before it is made anew, and come back afterwards.

A kubelet that has read an immutable ConfigMap or Secret does not look at it again for as long as one pod of its node refers to it, so
that one of the same name that was deleted and made anew is not seen, not even by new pods (kubernetes
pkg/kubelet/util/manager/watch_based_manager.go).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from backout.cluster.port import PODS, ClusterReader
from backout.errors import Conflict, ObjectNotFound, TimedOut
from backout.kube.find_consumers import find_consumers
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import controller_uid, desired
from backout.mechanisms.common.live import following
from backout.mechanisms.common.params import ScaleParams
from backout.mechanisms.common.scaling import scale
from backout.mechanisms.common.steps import params_of
from backout.mechanisms.common.workloads import load
from backout.mechanisms.helm.params import Holder, RollbackParams
from backout.mechanisms.port import StepContext, StepOf
from backout.model.message import msg

if TYPE_CHECKING:
    from backout.mechanisms.helm.analysis import Analysis, Item

_PATIENCE = 120.0
"""Seconds for pods to end: their grace period, 30 s unless they say otherwise, and what nodes need."""


async def with_holders(cluster: ClusterReader, items: Sequence[Item]) -> list[Item]:
    """The items; those that must be made anew and are immutable with the workloads and pods that read them."""
    if not any(item.sealed for item in items):
        return list(items)
    spaces = {item.ref.namespace for item in items if item.sealed}
    consumers = {space: await find_consumers(cluster, space, custom=False) for space in sorted(spaces)}
    found = []
    for item in items:
        if item.sealed:
            readers = [one for one in consumers[item.ref.namespace].of(item.ref.kind, item.ref.name) if one.pods]
            refs = sorted({one.workload for one in readers if one.workload.kind in WORKLOAD_RESOURCES})
            pods = {pod for one in readers if one.workload.kind not in WORKLOAD_RESOURCES for pod in one.pods}
            holders = []
            for ref in refs:
                with contextlib.suppress(ObjectNotFound):
                    obj = await load(cluster, ref.kind, ref.name, ref.namespace)
                    # what runs on every node, or is written back by an operator, can't be scaled
                    scales = ref.kind != "DaemonSet" and not controller_uid(obj)
                    holders.append(Holder(**params_of(ref), replicas=desired(obj) if scales else None))
            item = msgspec.structs.replace(item, holders=tuple(holders), others=tuple(sorted(pods)))
        found.append(item)
    return found


def away(analysis: Analysis, to: Literal["base", "target"]) -> tuple[Holder, ...]:
    """The workloads whose pods end for a while, each with as many as the manifest that Helm goes to asks for."""
    said = {
        (item.ref.kind, item.ref.namespace, item.ref.name): (getattr(item, to) or {}).get("spec") or {}
        for item in analysis.items
        if item.ref.kind in WORKLOAD_RESOURCES
    }
    found: dict[Holder, None] = {}
    for holder in (one for item in analysis.items if item.sealed for one in item.holders):
        wanted = said.get((holder.kind, holder.namespace, holder.name), {}).get("replicas")
        if holder.replicas is not None and wanted is not None:
            holder = msgspec.structs.replace(holder, replicas=int(wanted))
        found[holder] = None
    return tuple(found)


async def send_away(context: StepContext, step: StepOf[RollbackParams]) -> None:
    """Ends the pods that can be kept from coming back.

    Raises:
        TimedOut: some are still there.
    """
    going = [holder for holder in step.params.away if holder.replicas is not None]
    for until in ("", "gone"):
        for holder in going:
            with contextlib.suppress(ObjectNotFound):
                await scale(context, _scaled(step, holder, 0, "gone" if until else ""))


async def end_the_rest(context: StepContext, step: StepOf[RollbackParams]) -> None:
    """Ends pods that come back at once, while the object is not there: they start with what it holds then.

    Raises:
        TimedOut: some are still there.
    """
    for holder in (one for one in step.params.away if one.replicas is None):
        try:
            obj = await load(context.cluster, holder.kind, holder.name, holder.namespace)
        except ObjectNotFound:
            continue
        async with following(context.cluster, obj) as live:
            going = {str(pod["metadata"]["uid"]): pod["metadata"] for pod in live.pods}
            for uid, meta in going.items():
                await context.guard()
                with contextlib.suppress(ObjectNotFound, Conflict):
                    await context.cluster.delete(PODS, meta["name"], meta["namespace"], uid=uid)
            end = asyncio.get_running_loop().time() + _PATIENCE
            while left := going.keys() & {str(pod["metadata"]["uid"]) for pod in live.pods}:
                if not await live.changed(max(0.01, end - asyncio.get_running_loop().time())):
                    raise TimedOut(
                        "{count} pods of {ref} were not gone within {seconds} s after they were deleted.",
                        count=len(left),
                        ref=holder.label,
                        seconds=round(_PATIENCE),
                    )
            context.progress(msg("Ended the pods of {ref}.", ref=holder.label))


async def bring_back(context: StepContext, step: StepOf[RollbackParams]) -> None:
    """Scales what is still away, where Helm's manifest says nothing of how many there are to be."""
    for holder in step.params.away:
        if not holder.replicas:
            continue
        try:
            obj = await load(context.cluster, holder.kind, holder.name, holder.namespace)
        except ObjectNotFound:
            continue
        if desired(obj) == 0:
            await scale(context, _scaled(step, holder, holder.replicas, ""))


def _scaled(
    step: StepOf[RollbackParams], holder: Holder, replicas: int, until: Literal["gone", ""]
) -> StepOf[ScaleParams]:
    params = ScaleParams(**params_of(holder.ref), replicas=replicas, until=until)
    return StepOf(msgspec.structs.replace(step.step, precondition={}, timeout=_PATIENCE), params)
