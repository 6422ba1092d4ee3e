# SPDX-License-Identifier: Apache-2.0
"""Deletes what Helm is to make anew: objects whose fields can't be changed in place. Only what was approved, by its uid."""

from __future__ import annotations

import asyncio

from backout.cluster.port import STATEFULSETS, ClusterReader, Object, Propagation, Resource
from backout.errors import ObjectNotFound, PreconditionFailed, TimedOut
from backout.helm.manifest import entries
from backout.helm.payload import Release
from backout.kube.workloads import job_ended
from backout.mechanisms.helm.analysis import SEALED
from backout.mechanisms.helm.holders import end_the_rest, send_away
from backout.mechanisms.helm.immutables import anew_needed, recreate_needed
from backout.mechanisms.helm.params import RollbackParams
from backout.mechanisms.port import StepContext, StepOf
from backout.model.message import msg

_GOING = 60.0
"""Seconds for the garbage collector to let the pods of a deleted set go."""


async def make_room(context: StepContext, step: StepOf[RollbackParams], wanted: Release) -> None:
    """StatefulSets go without their pods and claims, all else with what it made. What is as the target says stays.

    Raises:
        PreconditionFailed: a Job runs (again).
        TimedOut: an object was not gone in time, or pods that read it were not.
    """
    said = {(entry.kind, entry.name): entry.object for entry in entries(wanted.manifest)}
    for name in step.params.recreate:
        live = await _live(context.cluster, STATEFULSETS, name, step.target.namespace)
        target = said.get(("StatefulSet", name))
        if live is not None and target is not None and recreate_needed(live, target):
            await _delete(context, STATEFULSETS, name, live, "Orphan")
            context.progress(msg("Deleted statefulset/{name} without its pods.", name=name))
    for entry in step.params.anew:
        resource = await context.cluster.resource(entry.api_version, entry.kind)
        live = await _live(context.cluster, resource, entry.name, entry.namespace if resource.namespaced else "")
        target = said.get((entry.kind, entry.name))
        if target is None:
            continue
        sealed = entry.kind in SEALED
        if live is None:
            if sealed:  # deleted before this process began
                await send_away(context, step)
                await end_the_rest(context, step)
            continue
        if not anew_needed({**live, "kind": entry.kind}, target):
            continue
        if entry.kind == "Job" and not job_ended(live):
            raise PreconditionFailed(
                "{object} runs, and would be deleted for the rollback.",
                object=entry.label,
                expected="a Job that has ended, as when the plan was made",
                hint="Wait until it has ended, then plan anew.",
            )
        if sealed:
            await send_away(context, step)
        # a set's pods have the names that the next one's are to have
        await _delete(
            context, resource, entry.name, live, "Foreground" if entry.kind == "StatefulSet" else "Background"
        )
        if sealed:
            await end_the_rest(context, step)
        context.progress(msg("Deleted {object}; Helm makes it anew.", object=entry.label))


async def _live(cluster: ClusterReader, resource: Resource, name: str, namespace: str) -> Object | None:
    try:
        return await cluster.get(resource, name, namespace)
    except ObjectNotFound:
        return None


async def _delete(context: StepContext, resource: Resource, name: str, live: Object, propagation: Propagation) -> None:
    namespace, uid = str(live["metadata"].get("namespace") or ""), str(live["metadata"]["uid"])
    await context.guard()
    await context.cluster.delete(resource, name, namespace, uid=uid, propagation=propagation)
    await _gone(context.cluster, resource, name, namespace, uid)


async def _gone(cluster: ClusterReader, resource: Resource, name: str, namespace: str, uid: str) -> None:
    """Waits until its finalizers (of a set: the one that orphans its pods) are done and the object is gone."""
    try:
        async with asyncio.timeout(_GOING):
            async for event in cluster.watch(resource, namespace, fields=f"metadata.name={name}"):
                if event.type == "DELETED" and event.object.get("metadata", {}).get("uid") == uid:
                    return
                if event.type == "SYNCED" and not await _is_there(cluster, resource, name, namespace, uid):
                    return
    except TimeoutError:
        raise TimedOut(
            "{object} was not gone within {seconds} s after it was deleted.",
            object=f"{resource.kind.lower()}/{name}",
            seconds=round(_GOING),
            hint="Look at its finalizers and at the garbage collector, then resume.",
        ) from None


async def _is_there(cluster: ClusterReader, resource: Resource, name: str, namespace: str, uid: str) -> bool:
    try:
        return bool((await cluster.get(resource, name, namespace))["metadata"]["uid"] == uid)
    except ObjectNotFound:
        return False
