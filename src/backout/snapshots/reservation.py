# SPDX-License-Identifier: Apache-2.0
"""A restore reserves what it writes, as runs do: one restore of a namespace at a time, and none beside a run.

Runs reserve their target. So a restore reserves the namespace, the Helm releases that own what it writes, and the
objects themselves; of more than `MANY` objects only the first two, since every Lease is renewed and confirmed. The
writes are conditional on what was read in any case.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from backout.cluster.lease import UNHEARD
from backout.cluster.port import Cluster, HeldLease
from backout.errors import BackoutError
from backout.model.target import OBJECTS, WORKLOADS
from backout.snapshots.restore_plan import RestorePlan

MANY = 24
_KINDS = {kind: name for name, (_, kind) in OBJECTS.items()} | {kind: name for name, kind in WORKLOADS.items()}


class Guard:
    """To be called right before each write. Those that ask at the same time share one look at the Leases.

    ``left`` says at the end why some could not be let go.
    """

    def __init__(self, leases: Sequence[HeldLease]) -> None:
        self._leases = leases
        self.left: BackoutError | None = None
        self._lock = asyncio.Lock()
        self._begun = 0
        self._done = 0

    async def __call__(self) -> None:
        """
        Raises:
            LeaseLost: somebody else has one of them; nothing more may be written.
        """
        asked = self._begun
        async with self._lock:
            # A look that began after this call is as good as one's own.
            if self._done > asked:
                return
            self._begun += 1
            await asyncio.gather(*(lease.confirm() for lease in self._leases))
            self._done = self._begun


@asynccontextmanager
async def reserved(cluster: Cluster, plan: RestorePlan, *, actor: str) -> AsyncIterator[Guard]:
    """Takes the Leases, renews them, and lets them go at the end, whatever ends it.

    Raises:
        LockedError: a run or another restore has one of them and is alive.
        AccessDenied: the user may not work with Leases in that namespace.
    """
    holder = f"restore-{secrets.token_hex(4)}"
    count = sum(1 for item in plan.items if item.writes)
    about = {
        "actor": actor,
        "work": f"restore of snapshot {plan.snapshot.short}",
        "about": f"objects to write: {count}",
    }
    leases: list[HeldLease] = []
    guard = Guard(leases)
    async with AsyncExitStack() as stack:
        for target in targets(plan):
            lease = cluster.lease(target, plan.snapshot.namespace, holder=holder, about=about)
            try:
                leases.append(await stack.enter_async_context(lease))
            except UNHEARD:
                await cluster.give_back(target, plan.snapshot.namespace, holder=holder)
                raise
        yield guard
    guard.left = next((lease.left for lease in leases if lease.left is not None), None)


def targets(plan: RestorePlan) -> list[str]:
    """What is to be reserved, in the one order that all restores keep to."""
    written = [item for item in plan.items if item.writes]
    owners = {item.owner for item in written if item.owner.startswith("helm/")}
    objects = {f"{_KINDS[item.ref.kind]}/{item.ref.name}" for item in written if item.ref.kind in _KINDS}
    if len(objects) > MANY:
        objects = set()
    return [f"namespace/{plan.snapshot.namespace}", *sorted(owners | objects)]
