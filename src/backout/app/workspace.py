# SPDX-License-Identifier: Apache-2.0
"""What every verb works with: the configuration, the clusters and namespace that are meant, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from backout.app.events import Front, Silent
from backout.errors import BackoutError, UsageError
from backout.model.settings import ClusterSettings, Settings
from backout.snapshots import source

if TYPE_CHECKING:
    from backout.app.events import Event
    from backout.cluster.client import KubernetesCluster
    from backout.cluster.port import Cluster
    from backout.model.operation import Operation

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The clusters and the namespace that a verb is for.

    Without ``contexts`` the current one of the kubeconfig is meant. An empty ``kubeconfig`` stands for the usual files,
    an empty ``namespace`` for the only stack's, else the context's own. ``fleet``: what is planned is one operation in waves,
    be it for one cluster; so it is of several in any case. ``exact``: each of its waves must have a cluster. ``after``: which target goes
    after which, as `planning.needs` takes it.
    """

    kubeconfig: str = ""
    contexts: tuple[str, ...] = ()
    namespace: str = ""
    all_namespaces: bool = False
    fleet: bool = False
    exact: bool = False
    after: tuple[str, ...] = ()


class Workspace:
    """The outside of one call: connections to clusters are opened here and nowhere else."""

    def __init__(self, settings: Settings, where: Where | None = None, front: Front | None = None) -> None:
        self.settings = settings
        self.where = where or Where()
        self.front: Front = front or Silent()
        self._kept: dict[str, KubernetesCluster] | None = None
        self._learning: dict[str, asyncio.Task[None]] = {}

    @property
    def contexts(self) -> tuple[str, ...]:
        """The names of the clusters to work on; an empty name stands for the kubeconfig's current context."""
        return self.where.contexts or ("",)

    @property
    def alone(self) -> bool:
        """Whether one cluster is meant: then an error of it is the answer, and hides nothing of others."""
        return len(self.contexts) == 1

    @property
    def fleet(self) -> bool:
        """Whether what is planned is one operation in waves."""
        return self.where.fleet or not self.alone

    def tell(self, event: Event) -> None:
        """Tells the front."""
        self.front.tell(event)

    def for_front(self, front: Front) -> Workspace:
        """This one, told to somebody else; kept connections are shared."""
        other = Workspace(self.settings, self.where, front)
        other._kept = self._kept
        return other

    def use(self, settings: Settings) -> None:
        """Works with other settings from now on."""
        self.settings = settings

    @asynccontextmanager
    async def cluster(self, name: str | None = None) -> AsyncIterator[Cluster]:
        """Connects to one cluster (the only one of the call unless ``name`` says which).

        Raises:
            UsageError: several are meant, and none is named.
        """
        if name is None and not self.alone:
            raise UsageError(
                "This looks at one cluster at a time.",
                found="{names}",
                names=", ".join(self.contexts),
                hint="Name one of them with --context.",
            )
        chosen = name if name is not None else self.contexts[0]
        with source.using(self.settings.snapshots):
            kept = self._kept
            cluster = self._connect(chosen) if kept is None else self._keep(kept, chosen)
            learning = self._learning[cluster.name] = self._learn(cluster)
            try:
                yield cluster
                await learning
            finally:
                learning.cancel()
                await asyncio.gather(learning, return_exceptions=True)
                if kept is None:
                    await cluster.close()

    async def learned(self, cluster: str = "") -> None:
        """Waits until it is known what the Secrets hold: nothing is sealed or kept before. Of one cluster, where it is named."""
        learning = [task for name, task in self._learning.items() if cluster in ("", name)]
        await asyncio.gather(*learning, return_exceptions=True)

    def _learn(self, cluster: KubernetesCluster) -> asyncio.Task[None]:
        from backout.kube.known_secrets import learn_from

        return asyncio.ensure_future(learn_from(cluster, self.namespace_of(cluster)))

    def _connect(self, name: str) -> KubernetesCluster:
        from backout.cluster.client import connect

        entry = self.settings.clusters.get(name, ClusterSettings())
        return connect(self.where.kubeconfig or entry.kubeconfig, entry.context or name, name=name)

    def _keep(self, kept: dict[str, KubernetesCluster], name: str) -> KubernetesCluster:
        if name in kept:
            kept[name].forget()
            return kept[name]
        cluster = kept[name] = self._connect(name)
        # The current context, by the name that a plan says; unless the configuration means another cluster by it.
        if cluster.name not in self.settings.clusters:
            kept.setdefault(cluster.name, cluster)
        return cluster

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Within it, a cluster that was connected to stays so: its connections and credentials serve again.

        What was learnt about it is asked anew.
        """
        kept: dict[str, KubernetesCluster] = {}
        self._kept = kept
        try:
            yield
        finally:
            self._kept = None
            for cluster in {id(cluster): cluster for cluster in kept.values()}.values():
                await cluster.close()

    async def reached(self) -> tuple[str, str]:
        """The kubeconfig and the context of the cluster, as other programs need them."""
        async with self.cluster() as cluster:
            return str(getattr(cluster, "kubeconfig", "")), str(getattr(cluster, "context", ""))

    def namespace_of(self, cluster: Cluster) -> str:
        """The namespace to work in: the given one, else the only stack's, else the context's own, else ``default``."""
        if self.where.all_namespaces:
            return ""
        if self.where.namespace:
            return self.where.namespace
        stacks = {stack.namespace for stack in self.settings.stacks.values()}
        if len(stacks) == 1:
            return stacks.pop()
        return getattr(cluster, "namespace", "") or "default"

    def reached_by(self, plan: Operation, cluster: str) -> str:
        """The context of a plan's cluster. A plan names its own; of a plan for one cluster, one given context says which
        it is from here."""
        return self.where.contexts[0] if len(self.where.contexts) == 1 == len(plan.clusters) else cluster

    async def each_cluster(
        self, work: Callable[[Cluster], Awaitable[T]], away: Callable[[str, BackoutError], T] | None = None
    ) -> list[T]:
        """Does ``work`` on every chosen cluster, many at a time; the order of the answers is that of the names.

        ``away`` is the answer for one of several that can't be asked: it hides nothing of the others.
        """
        from backout.app.fleet import AWAY, each

        async def one(name: str) -> T:
            try:
                async with self.cluster(name) as cluster:
                    return await work(cluster)
            except AWAY as error:
                if away is None or self.alone:
                    raise
                return away(name, error)

        return await each(self.contexts, one)
