# SPDX-License-Identifier: Apache-2.0
"""One rollback at a time for each target: a Lease in the target's namespace.

- Every change of the Lease carries the resourceVersion that was read, so that of two writers one loses.
- Whether a holder is alive is judged by watching the Lease for its whole duration with our own monotonic clock, never
  by comparing clocks: a renewal seen means alive, none means dead (as client-go's leader election does it).
- A run that was killed leaves its Lease behind; the same run takes it back at once, and ``leaseTransitions`` rises, so
  that a process of that run which was only paused finds out and writes nothing more.
- The token is the resourceVersion with which the Lease was taken. It rises over the life of the whole cluster, even
  though the Lease is deleted at the end of each run.
- Read again and again rather than watched: a lock asks for the rights get, create, update and delete only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from backout.cluster.clock import passed
from backout.cluster.port import LEASES, Cluster, Object
from backout.errors import (
    AccessDenied,
    AlreadyExists,
    BackoutError,
    ClusterUnreachable,
    Conflict,
    LeaseLost,
    LockedError,
    ObjectNotFound,
    ServerError,
)

DURATION = 15
RENEW = 5.0
LOOK = 0.5
RENEWALS = 3
AGAIN = (0.2, 1.0, 3.0)
"""Seconds between the attempts to delete a lease, or to find out whether it was taken."""
PATIENCE = 10.0
"""Seconds after which nothing is attempted any more: the server does not answer at all."""
UNHEARD = (ClusterUnreachable, ServerError)
"""After these it is not known whether a write was done."""
LONGEST_DURATION = 60
PREFIX = "backout.dev/"


def lease_name(target: str) -> str:
    """The Lease that stands for a target: ``helm/thanos`` → ``backout-helm-thanos`` and a short hash."""
    readable = re.sub(r"[^a-z0-9-]+", "-", target.lower()).strip("-")[:180].rstrip("-")
    return f"backout-{readable}-{hashlib.sha256(target.encode()).hexdigest()[:8]}"


class Lease:
    """A lease that this run holds."""

    def __init__(self, cluster: Cluster, obj: Object, target: str, duration: float) -> None:
        self._cluster = cluster
        self._target = target
        self._duration = duration
        self._seen_at = 0.0
        self._lost = ""
        self._lost_to = ""
        self.left: BackoutError | None = None
        self._lock = asyncio.Lock()
        self._take(obj, passed())
        version = obj["metadata"].get("resourceVersion", "")
        self.token = int(version) if version.isdigit() else int(obj["spec"].get("leaseTransitions") or 0)
        self._mark = _mark(obj)

    def _take(self, obj: Object, asked: float) -> None:
        """``asked``: when the write that ``obj`` answers was sent; others may count from then."""
        self._object = obj
        self._seen_at = asked

    async def confirm(self) -> None:
        """Reads the lease again right before a write.

        Raises:
            LeaseLost: another holder has it, or it ran out and could not be renewed.
        """
        async with self._lock:
            self._raise_if_lost()
            if passed() - self._seen_at > self._duration / 2:
                await self._renew()
            else:
                await self._read()
            self._raise_if_lost()

    async def keep(self, every: float) -> None:
        """Renews until it is cancelled, or the lease is lost."""
        while not self._lost:
            await asyncio.sleep(every * random.uniform(0.8, 1.0))
            async with self._lock:
                with contextlib.suppress(BackoutError):  # tried again in a moment; `confirm` decides
                    await self._renew()

    async def release(self) -> None:
        """Deletes the lease if it is still ours, tried again for a moment; ``left`` says why that was in vain. It runs out by
        itself then."""
        began = passed()
        for pause in (*AGAIN, None):
            self.left = None
            try:
                await _delete(self._cluster, self._object)
                return
            except ObjectNotFound:
                return
            except BackoutError as error:
                self.left = error
            with contextlib.suppress(BackoutError):  # a renewal whose answer was lost, or somebody else's by now
                await self._read()
            if self._lost:
                self.left = None
                return
            if pause is None or passed() - began > PATIENCE:
                return
            await asyncio.sleep(pause)

    async def _read(self) -> None:
        meta = self._object["metadata"]
        try:
            found = await self._cluster.get(LEASES, meta["name"], meta["namespace"])
        except ObjectNotFound:
            self._lost = "it was deleted"
            return
        if _mark(found) != self._mark:
            self._lost = f"{_holder(found)} holds it now"
            self._lost_to = (found.get("spec") or {}).get("holderIdentity") or ""
        else:
            self._object = found

    async def _renew(self) -> None:
        for _ in range(RENEWALS):
            wanted = {**self._object, "spec": {**self._object["spec"], "renewTime": _now()}}
            asked = passed()
            try:
                self._take(await self._cluster.replace(wanted), asked)
                return
            except Conflict:  # somebody wrote to it: still ours, or not?
                await self._read()
            except ObjectNotFound:
                self._lost = "it was deleted"
            if self._lost:
                return
        self._lost = "somebody else keeps writing to it"

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise LeaseLost(
                "The lock on {target} is lost: {why}. Nothing more is written.",
                target=self._target,
                why=self._lost,
                holder=self._lost_to,
                hint="`backout runs` shows who works on it.",
            )


@asynccontextmanager
async def hold(
    cluster: Cluster,
    target: str,
    namespace: str,
    *,
    holder: str,
    about: Mapping[str, str],
    duration: int = DURATION,
    renew: float = RENEW,
) -> AsyncIterator[Lease]:
    """Takes the lease, renews it in the background, deletes it at the end.

    ``about`` is for people: ``actor`` (who), ``about`` (what for), and ``work`` where it is not a run.

    Raises:
        LockedError: somebody else holds it and is alive.
        AccessDenied: the user may not work with Leases in that namespace.
    """
    name = lease_name(target)
    spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "leaseTransitions": 0}
    annotations = {f"{PREFIX}{key}": value for key, value in about.items()} | {f"{PREFIX}target": target}
    wanted: Object = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "spec": spec,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": annotations,
            "labels": {"app.kubernetes.io/managed-by": "backout"},
        },
    }
    lease = Lease(cluster, await _acquire(cluster, wanted, target), target, duration)
    keeper = asyncio.create_task(lease.keep(renew))
    try:
        yield lease
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        await lease.release()


async def give_back(cluster: Cluster, target: str, namespace: str, *, holder: str) -> BackoutError | None:
    """Deletes the lease on ``target`` if ``holder`` has it: a former process of it left it behind, or nothing was heard of
    whether it was taken. Tried again for a moment; returns why that was in vain."""
    began = passed()
    for pause in (*AGAIN, None):
        try:
            found = await cluster.get(LEASES, lease_name(target), namespace)
            if (found.get("spec") or {}).get("holderIdentity") == holder:
                await _delete(cluster, found)
            return None
        except ObjectNotFound:
            return None
        except BackoutError as error:
            left = error
        if pause is None or passed() - began > PATIENCE:
            break
        await asyncio.sleep(pause)
    return left


async def _delete(cluster: Cluster, found: Object) -> None:
    meta = found["metadata"]
    await cluster.delete(
        LEASES, meta["name"], meta["namespace"], uid=meta["uid"], resource_version=meta["resourceVersion"]
    )


async def _acquire(cluster: Cluster, wanted: Object, target: str) -> Object:
    """
    Raises:
        ClusterUnreachable, ServerError: after a write, see `UNHEARD`, the lease may be there all the same.
    """
    taking = _Taking(cluster, wanted, target)
    pauses = iter(AGAIN)
    while True:
        try:
            if (taken := await taking.attempt()) is not None:
                return taken
        except UNHEARD:
            # A write of which nothing was heard may be done: the next look finds the lease ours then.
            if not taking.wrote or (pause := next(pauses, None)) is None:
                raise
            await asyncio.sleep(pause)


class _Taking:
    """Takes a lease, look by look."""

    def __init__(self, cluster: Cluster, wanted: Object, target: str) -> None:
        self._cluster = cluster
        self._wanted = wanted
        self._target = target
        self._watched: tuple[tuple[Any, ...], float] | None = None
        self.wrote = False

    async def attempt(self) -> Object | None:
        """The lease as it is ours; None when it has to be looked at again."""
        wanted, meta, now = self._wanted, self._wanted["metadata"], _now()
        fresh = {**wanted, "spec": {**wanted["spec"], "acquireTime": now, "renewTime": now}}
        try:
            found = await self._cluster.get(LEASES, meta["name"], meta["namespace"])
        except ObjectNotFound:
            self.wrote = True
            try:
                return await self._cluster.create(fresh)
            except AlreadyExists:
                return None
        except AccessDenied as error:
            raise _no_rights(error, meta["namespace"]) from None
        if wait := self._until_free(found):
            await asyncio.sleep(wait)
            return None
        spec = found.get("spec") or {}
        taken: Object = {
            **found,
            "metadata": {**found["metadata"], "annotations": meta["annotations"]},
            "spec": {**fresh["spec"], "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1},
        }
        self.wrote = True
        try:
            return await self._cluster.replace(taken)
        except (Conflict, ObjectNotFound):
            return None

    def _until_free(self, found: Object) -> float:
        """Seconds until the next look at a lease that somebody else has; 0 when it may be taken.

        Raises:
            LockedError: its holder is alive.
        """
        spec = found.get("spec") or {}
        if not spec.get("holderIdentity") or spec["holderIdentity"] == self._wanted["spec"]["holderIdentity"]:
            return 0.0
        mark = (*_mark(found), spec.get("renewTime"))
        duration = int(spec.get("leaseDurationSeconds") or DURATION)
        if self._watched is None and duration <= LONGEST_DURATION:
            self._watched = mark, time.monotonic()
        if self._watched is None or self._watched[0] != mark:
            raise _locked(found, self._target)
        return min(LOOK, duration / 4) if time.monotonic() - self._watched[1] <= duration else 0.0


def _mark(obj: Object) -> tuple[Any, ...]:
    """What stays equal as long as one process holds the lease."""
    spec = obj.get("spec") or {}
    return obj["metadata"].get("uid"), spec.get("holderIdentity"), int(spec.get("leaseTransitions") or 0)


def _holder(obj: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    actor = annotations.get(f"{PREFIX}actor", "")
    holder = (obj.get("spec") or {}).get("holderIdentity") or "nobody"
    work = annotations.get(f"{PREFIX}work") or f"run {holder}"
    return f"{actor} ({work})" if actor else work


def _locked(obj: Object, target: str) -> LockedError:
    annotations = obj["metadata"].get("annotations") or {}
    spec = obj["spec"]
    return LockedError(
        "{target} is being worked on by {who} since {since}: {about}.",
        target=target,
        who=_holder(obj),
        since=spec.get("acquireTime") or "an unknown time",
        about=annotations.get(f"{PREFIX}about", "") or "it did not say what for",
        hint="Wait until it ends."
        if f"{PREFIX}work" in annotations
        else "Wait until it ends, or see `backout show {run}` where it was started.",
        run=spec.get("holderIdentity", ""),
    )


def _no_rights(error: AccessDenied, namespace: str) -> AccessDenied:
    return AccessDenied(
        "You may not work with Leases in namespace {namespace}, so the target can't be locked: {words}",
        namespace=namespace,
        words=error.message,
        hint="Ask for get, create, update and delete on leases of coordination.k8s.io.",
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
