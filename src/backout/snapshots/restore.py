# SPDX-License-Identifier: Apache-2.0
"""Carries a restore out: kind by kind, conditional on what was read, and with the state of each object at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby

import msgspec

from backout.cluster.gone import until_gone
from backout.cluster.port import Cluster, Object
from backout.errors import AlreadyExists, BackoutError, ClusterUnreachable, ObjectNotFound, RefusedError, ServerError
from backout.kube.sanitise import sanitise
from backout.model.message import Message, joined, msg, of_error
from backout.snapshots.desired import equal, rank, without_addresses
from backout.snapshots.restore_plan import RestoreItem, RestorePlan, RestoreState, Work, put

AT_ONCE = 8
RECREATE = "recreate"
"""The approval code for objects that must be deleted and created anew."""


def require_possible(plan: RestorePlan, approved: tuple[str, ...], *, partial: bool) -> None:
    """Holds the plan against what was approved, before anything is written.

    Raises:
        RefusedError: an object can't be put back, or would have to be deleted first and nobody said yes to that.
    """
    blocked = [item for item in plan.items if item.action == "blocked"]
    if blocked and not partial:
        words = joined(
            msg("{object}: {why}", object=str(item.ref), why=item.reason or "it is left alone") for item in blocked[:5]
        )
        raise RefusedError(
            "{count} objects can't be put back, so nothing was written: {words}",
            count=len(blocked),
            words=words,
            hint="name the objects to restore, or add --partial to restore the others",
        )
    anew = [item for item in plan.items if item.action == "recreate"]
    if anew and RECREATE not in approved:
        raise RefusedError(
            "{names} can't be changed, only deleted and created anew; that needs an explicit yes.",
            names=", ".join(str(item.ref) for item in anew[:5]) + (", …" if len(anew) > 5 else ""),
            hint="If that is what you want, add: --approve {code}",
            code=RECREATE,
        )


async def _unguarded() -> None:
    pass


async def carry_out(
    cluster: Cluster,
    plan: RestorePlan,
    progress: Callable[[RestoreItem], None] = lambda item: None,
    guard: Callable[[], Awaitable[None]] = _unguarded,
) -> tuple[RestoreItem, ...]:
    """Writes; after the first failure no further object is begun. Every item of the answer says what became of it.

    ``guard`` is asked right before each write, and raises when nothing more may be written. When this is cancelled, the
    items of ``plan`` say how far it came.
    """
    failed = False
    works = [work for work in plan.works if work.item.writes]
    for work in works:
        _ended(work, "not-reached")
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(work: Work) -> None:
        nonlocal failed
        async with gate:
            if failed:
                return
            try:
                await guard()
            except BackoutError as error:
                failed = True
                work.item = msgspec.structs.replace(work.item, reason=of_error(error))
                progress(work.item)
                return
            if failed:
                return
            try:
                # What is written when this is cut off may have happened, or not.
                _ended(work, "unknown")
                await _write(cluster, work)
                _ended(work, "done")
            except BackoutError as error:
                failed = True
                state, reason = await _looked_again(cluster, work, error)
                _ended(work, state)
                if state != "done":
                    work.item = msgspec.structs.replace(work.item, reason=reason)
            progress(work.item)

    for _, group in groupby(works, key=lambda work: rank(work.item.ref.kind)):
        await asyncio.gather(*(one(work) for work in group))
    return plan.items


def _ended(work: Work, state: RestoreState) -> None:
    work.item = msgspec.structs.replace(work.item, state=state)


async def _write(cluster: Cluster, work: Work) -> None:
    assert work.body is not None
    if work.item.action == "update":
        await put(cluster, work, cluster.replace)
    elif work.item.action == "create":
        await cluster.create(work.body)
    else:
        await _anew(cluster, work)


async def _anew(cluster: Cluster, work: Work) -> None:
    assert work.body is not None and work.live is not None and work.resource is not None
    now = work.live["metadata"]
    await cluster.delete(
        work.resource,
        work.item.ref.name,
        work.item.ref.namespace,
        uid=now["uid"],
        resource_version=now["resourceVersion"],
        propagation="Orphan",
    )
    await until_gone(cluster, work.resource, work.item.ref, now["uid"])
    try:
        await _created(cluster, work.body)
    except BackoutError as error:
        try:
            await _created(cluster, sanitise(work.live))
        except BackoutError:
            raise RefusedError(
                "{object} was deleted, and could be created neither as it was in the snapshot nor as it was before: "
                "{why}",
                object=str(work.item.ref),
                why=of_error(error),
            ) from error
        raise RefusedError(
            "{object} could not be created as it was in the snapshot, and is again as it was before: {why}",
            object=str(work.item.ref),
            why=of_error(error),
        ) from error


async def _created(cluster: Cluster, body: Object) -> None:
    try:
        await cluster.create(body)
    except AlreadyExists:
        raise
    except BackoutError as error:
        if body["kind"] != "Service" or error.retryable:
            raise
        await cluster.create(without_addresses(body))


async def _looked_again(cluster: Cluster, work: Work, error: BackoutError) -> tuple[RestoreState, Message | None]:
    """A write whose answer was lost may have happened all the same."""
    if not isinstance(error, ClusterUnreachable | ServerError):
        return "failed", of_error(error)
    assert work.body is not None and work.resource is not None
    ref = work.item.ref
    try:
        found = await cluster.get(work.resource, ref.name, ref.namespace)
    except ObjectNotFound:
        return "failed", of_error(error)
    except BackoutError:
        return "unknown", msg("The answer was lost, and it can't be read: {why}", why=error.message)
    there = {"apiVersion": ref.api_version, "kind": ref.kind, **found}
    return ("done", None) if equal(work.body, there) else ("failed", of_error(error))
