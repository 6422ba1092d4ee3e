# SPDX-License-Identifier: Apache-2.0
"""What every way back has in common. One module (or folder) a mechanism; all are held to one contract suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from backout.cluster.port import Cluster, ClusterReader
from backout.model.change import Changes, ObjectChange
from backout.model.measured import Measured
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


Measure = Callable[[Check, ClusterReader], Awaitable[Measured]]
"""Measures a check once. Raises errors of the house where that can't be done: the check is unknown then."""

Prepare = Callable[[Sequence[Revision]], Sequence[Revision]]
"""The planning choice, pure: given all revisions, judged, those that drafts will be asked of."""


def nothing(revisions: Sequence[Revision]) -> Sequence[Revision]:
    """Prepares no draft: for whoever wants the revisions alone."""
    return ()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a target is read.

    ``hooks``: whether what the way back itself runs (Helm's hooks) is to run. ``present``: read as well what checks of
    the state in force now need.
    """

    hooks: bool = True
    present: bool = False


PLAIN = Options()
"""Hooks run, and nobody asks for checks of the present state."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The way back to one revision.

    ``steps`` in order, with preconditions as they were read; ``changes`` object by object; ``risks`` that the reader
    must know before saying yes; ``checks`` to measure afterwards; ``access``: every right that the steps need.
    """

    steps: tuple[Step, ...]
    changes: Changes
    risks: tuple[Risk, ...]
    checks: tuple[Check, ...]
    access: tuple[Access, ...]


class Reading(Protocol):
    """What one target was when it was read, once. Immutable, and pure: nothing here asks the cluster again, so that
    what a plan holds does not depend on when, in which order or how often it is asked."""

    @property
    def target(self) -> Target:
        """What was read."""

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """All known revisions, oldest first, each judged good, bad or unknown with reasons."""

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """What changed from ``earlier`` (None: from nothing) to ``later``, as recorded; not looking at what is live.

        Raises:
            RevisionNotFound: one of them can't be had any more.
        """

    def draft(self, revision: Revision) -> Draft:
        """The way back to a revision that was prepared.

        Raises:
            RefusedError: going back would do harm, or can't work; says why and what to do instead.
            RevisionNotFound: it can't be had any more.
            LookupError: it was not prepared, which is a mistake of the caller.
        """

    def present_checks(self) -> tuple[Check, ...]:
        """What can be measured of the state in force now.

        Raises:
            LookupError: it was not read for that (`Options.present`), which is a mistake of the caller.
        """


class Mechanism(Protocol):
    """One way back."""

    name: ClassVar[str]

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> Reading:
        """Reads everything once: the revisions, and what drafts of those need that ``prepare`` chooses of them.

        Raises:
            NotFoundError: no such target.
            BackoutError: it can't be read, or what ``prepare`` raises.
        """

    def effects(self) -> Mapping[str, Effect]:
        """The effects by the ``action`` of their steps, compensations included."""

    def measurements(self) -> Mapping[str, Measure]:
        """By code, what its checks ask for beside that which `verify` measures for every way back."""


def unprepared(target: Target, what: str) -> LookupError:
    """The error for what a reading was not made for."""
    return LookupError(f"{target} was not read for {what}")


def current_revision(revisions: Sequence[Revision]) -> Revision | None:
    """The revision that is in force now."""
    return next((revision for revision in reversed(revisions) if revision.current), None)
