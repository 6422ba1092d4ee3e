# SPDX-License-Identifier: Apache-2.0
"""Namespaces of clusters as scopes: pinned to the cluster's identity, locked by a Lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from backout.cluster.port import AccessAnswer, Cluster, HeldLease
from backout.errors import BackoutError, WrongCluster
from backout.model.part import Access
from backout.model.scope import ClusterScope


class NamespaceHandle:
    """One namespace of one cluster."""

    def __init__(self, scope: ClusterScope, cluster: Cluster) -> None:
        self.scope = scope
        self.cluster = cluster

    async def identify(self) -> None:
        """Compares the uid of kube-system and, where one was noted, the CA."""
        found, wanted = await self.cluster.identity(), self.scope.identity
        if found.uid != wanted.uid or (wanted.ca and found.ca != wanted.ca):
            raise WrongCluster(
                "{context} now leads to another cluster than the one that the plan was made for.",
                context=self.scope.cluster,
                expected="kube-system with uid {wanted}",
                found="uid {actual} at {server}" if found.uid != wanted.uid else "the same uid with another CA",
                wanted=wanted.uid,
                actual=found.uid,
                server=found.server,
                hint="choose the right context, or make a new plan",
            )

    async def clock(self) -> datetime:
        """The API server's."""
        return await self.cluster.server_time()

    async def may(self, access: Sequence[Access]) -> list[AccessAnswer]:
        """By access reviews."""
        return await self.cluster.may(access)

    def lock(self, target: str, *, holder: str, about: Mapping[str, str]) -> AbstractAsyncContextManager[HeldLease]:
        """A Lease in the namespace."""
        return self.cluster.lease(target, self.scope.namespace, holder=holder, about=about)

    async def unlock(self, target: str, *, holder: str) -> BackoutError | None:
        """The same Lease."""
        return await self.cluster.give_back(target, self.scope.namespace, holder=holder)


class ClusterScopes:
    """Opens scopes over connections that ``connected`` gives."""

    def __init__(self, connected: Callable[[ClusterScope], Cluster]) -> None:
        self._connected = connected

    def open(self, scope: ClusterScope) -> NamespaceHandle:
        """The handle of one namespace."""
        return NamespaceHandle(scope, self._connected(scope))
