# SPDX-License-Identifier: Apache-2.0
"""What a run does with a scope, whatever kind it is: make sure that it is the right one, lock it, reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from backout.cluster.port import AccessAnswer, Cluster
from backout.errors import BackoutError
from backout.model.part import Access
from backout.model.scope import ClusterScope, Scope


class HeldLock(Protocol):
    """A lock that this run holds. ``token`` rises with every change of holder."""

    token: int
    left: BackoutError | None
    """Why it could not be let go at the end; None where it was, or is not over."""

    async def confirm(self) -> None:
        """Looks again right before a write.

        Raises:
            LeaseLost: another holder has it, or it ran out: write nothing more.
        """


class ScopeHandle(Protocol):
    """One scope, open."""

    @property
    def scope(self) -> Scope:
        """What was opened."""

    async def identify(self) -> None:
        """Holds the scope to its identity.

        Raises:
            WrongCluster: the name leads somewhere else by now.
        """

    async def clock(self) -> datetime:
        """The time there."""

    async def may(self, access: Sequence[Access]) -> list[AccessAnswer]:
        """Whether we may do each of these there."""

    def lock(self, target: str, *, holder: str, about: Mapping[str, str]) -> AbstractAsyncContextManager[HeldLock]:
        """Keeps others off ``target`` for the length of the context.

        Raises:
            LockedError: somebody else holds it: the message says who, since when, and what.
            ClusterUnreachable, ServerError: it may be locked all the same; `unlock` lets it go then.
        """

    async def unlock(self, target: str, *, holder: str) -> BackoutError | None:
        """Lets the lock on ``target`` go if ``holder`` has it, whichever process took it. Returns why that was in vain."""


class ClusterHandle(ScopeHandle, Protocol):
    """A namespace of a cluster, with the connection that steps, captures and checks work with."""

    @property
    def scope(self) -> ClusterScope:
        """What was opened."""

    @property
    def cluster(self) -> Cluster:
        """To read and, after the lock was confirmed, to write."""


class Scopes(Protocol):
    """Opens scopes."""

    def open(self, scope: Scope) -> ClusterHandle:
        """The handle; connects when it is first used, and closes nothing that it was given."""
