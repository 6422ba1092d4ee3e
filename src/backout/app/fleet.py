# SPDX-License-Identifier: Apache-2.0
"""Several clusters as one: which are meant, one plan for all of them, and connections that last as long as a part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from backout.app.events import Failed
from backout.errors import (
    BackoutError,
    ClusterUnreachable,
    NothingToDo,
    RefusedError,
    RunNotFound,
    ServerError,
    TimedOut,
    TokenExpired,
)
from backout.model.fleet import NotPlanned
from backout.model.message import Message, few, msg, of_error

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore
    from backout.model.operation import Operation
    from backout.model.part import Part
    from backout.model.run import Run, RunEvent
    from backout.model.scope import Scope
    from backout.scopes.port import ClusterHandle

T = TypeVar("T")
U = TypeVar("U")
AWAY = (ClusterUnreachable, ServerError, TokenExpired, TimedOut)
"""Of one cluster of several, these say that it can't be asked now, and nothing of what was asked."""
NAMED = 5
"""So many clusters are named in a sentence."""
AT_ONCE = 16
"""Clusters that are read at a time."""


async def each(items: Iterable[U], work: Callable[[U], Awaitable[T]]) -> list[T]:
    """Does ``work`` on each, some at a time; the answers are in the order of the items."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: U) -> T:
        async with slots:
            return await work(item)

    return list(await asyncio.gather(*(one(item) for item in items)))


def as_one(
    workspace: Workspace, plans: Sequence[Operation], failures: Sequence[Failed], healthy: Sequence[str]
) -> Operation:
    """The plans of several clusters as one operation, with those that have none, and why. ``healthy``: of whom nothing is broken.

    Raises:
        UsageError: its waves don't fit.
    """
    from backout.planning.fleet import over_clusters

    settings, clusters = workspace.settings, _labelled(workspace)
    nothing = msg("Nothing is broken there.")
    not_planned = [
        *(
            NotPlanned(
                cluster=failed.cluster,
                target=str(failed.target or ""),
                code=failed.error.code,
                why=of_error(failed.error),
                needed=not isinstance(failed.error, NothingToDo),
            )
            for failed in failures
        ),
        *(NotPlanned(cluster=name, code=NothingToDo.code, why=nothing, needed=False) for name in healthy),
    ]
    return over_clusters(
        plans, clusters, settings.fleet, not_planned, exact=workspace.where.exact, after=workspace.where.after
    )


def require_waves(workspace: Workspace) -> None:
    """Before any cluster is read: waves that do not even fit all that are meant fit no plan of some of them.

    Raises:
        UsageError: one is written wrong or matches none of them, or one of them is in no wave.
    """
    if not workspace.where.exact:
        return
    from backout.planning.waves import split

    split(tuple(map(str, workspace.settings.fleet.waves)), _labelled(workspace))


def _labelled(workspace: Workspace) -> dict[str, Mapping[str, str]]:
    """The clusters that are meant, in their order, with their labels."""
    known = workspace.settings.clusters
    return {name: known[name].labels if name in known else {} for name in workspace.contexts}


def joined_since(workspace: Workspace, plan: Operation) -> Message | None:
    """What has to be said of clusters of the configuration that a plan knows nothing of, though they are as its own are."""
    from backout.planning.fleet import newcomers

    clusters = {name: entry.labels for name, entry in workspace.settings.clusters.items()}
    if not (found := newcomers(plan, clusters)):
        return None
    return msg(
        "Not part of this run, whose plan does not know them: {names}. Nobody is added to a run; plan for them anew.",
        names=few(found, NAMED),
    )


def left_out(plan: Operation) -> list[Failed]:
    """What a plan says of whoever has no part in it and should."""
    if plan.fleet is None:
        return []
    return [
        Failed(RefusedError("It has no part in the plan: {why}", why=one.why), one.cluster)
        for one in plan.fleet.missing
    ]


class Apart:
    """The scopes of an operation over many clusters: each is opened by `Reaching`, when its part begins."""

    def open(self, scope: Scope) -> ClusterHandle:
        """
        Raises:
            RefusedError: nothing is connected here.
        """
        raise RefusedError("{cluster} is not connected yet.", cluster=scope.cluster)


class Reaching:
    """Connects to the cluster of one part for the time that it is worked on."""

    def __init__(self, workspace: Workspace, plan: Operation) -> None:
        self._workspace = workspace
        self._plan = plan

    @asynccontextmanager
    async def __call__(self, part: Part) -> AsyncIterator[ClusterHandle]:
        """The scope of the part, open.

        Raises:
            UnknownContext: the kubeconfig does not know the cluster any more.
        """
        from backout.scopes.clusters import NamespaceHandle

        workspace = self._workspace
        async with workspace.cluster(workspace.reached_by(self._plan, part.scope.cluster)) as cluster:
            await workspace.learned(cluster.name)
            yield NamespaceHandle(part.scope, cluster)


def follows(events: Iterable[RunEvent]) -> str:
    """The id of the run that takes another back by its own policy; empty where there is none."""
    return next((str(event.data["run"]) for event in events if event.type == "undo-follows"), "")


def taking_back(store: RunStore, run: Run) -> Run | None:
    """The run that takes this one back by its own policy. None where there is none, or none yet: it is told of before it is made,
    and who dies in between makes it when this one goes on."""
    if run.operation.fleet is None or not (other := follows(store.events(run.id))):
        return None
    try:
        return store.get(other)
    except RunNotFound:
        return None


def nothing_at_all(failures: Sequence[Failed]) -> BackoutError | None:
    """The answer where of no cluster anything is to be done."""
    if not failures or not all(isinstance(failed.error, NothingToDo) for failed in failures):
        return None
    return failures[0].error
