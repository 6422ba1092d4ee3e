# SPDX-License-Identifier: Apache-2.0
"""What every way back has in common. One module (or folder) a mechanism; all are held to one contract suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Protocol

import msgspec

from backout.cluster.port import Cluster, ClusterReader
from backout.model.change import Changes, ObjectChange
from backout.model.message import Message
from backout.model.plan import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target


class StepContext(Protocol):
    """What an effect gets beside its step."""

    cluster: Cluster
    run: str

    async def guard(self) -> None:
        """Call right before each write: confirms the lease.

        Raises:
            LeaseLost: write nothing more.
        """

    def progress(self, message: Message, **data: Any) -> None:
        """Tells the front ends what is going on."""


class StepOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step did. ``changed`` is False when the effect was there already. JSON only, nothing secret."""

    changed: bool
    message: Message
    data: dict[str, Any] = {}


Effect = Callable[[StepContext, Step], Awaitable[StepOutcome]]
"""Look, act only if the effect is absent, confirm. Can be killed at any instant and called again."""


class Mechanism(Protocol):
    """One way back. Reading methods write nothing."""

    name: ClassVar[str]

    async def history(self, cluster: ClusterReader, target: Target) -> list[Revision]:
        """All known revisions, oldest first, each judged good, bad or unknown with reasons.

        Raises:
            NotFoundError: no such target.
        """

    async def between(
        self, cluster: ClusterReader, target: Target, earlier: Revision | None, later: Revision
    ) -> tuple[ObjectChange, ...]:
        """What changed from ``earlier`` (None: from nothing) to ``later``, as recorded; not looking at what is live."""

    async def preview(self, cluster: ClusterReader, target: Target, revision: Revision) -> Changes:
        """What going back to ``revision`` would change, object by object."""

    async def steps(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Step]:
        """The effects in order, with preconditions as observed now.

        Raises:
            RefusedError: going back would do harm, or can't work; says why and what to do instead.
        """

    async def risks(self, cluster: ClusterReader, target: Target, revision: Revision, changes: Changes) -> list[Risk]:
        """What the reader must know before saying yes."""

    async def checks(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Check]:
        """What has to be measured afterwards."""

    async def access(self, cluster: ClusterReader, target: Target, changes: Changes) -> list[Access]:
        """Every right that the steps need."""

    def effects(self) -> Mapping[str, Effect]:
        """The effects by the ``action`` of their steps, compensations included."""


def current_revision(revisions: list[Revision]) -> Revision | None:
    """The revision that is in force now."""
    return next((revision for revision in reversed(revisions) if revision.current), None)
