# SPDX-License-Identifier: Apache-2.0
"""`Clusters`: the verbs for programs, on one namespace of several clusters."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backout.app import reading, runs
from backout.app.library import Backout, texts_of
from backout.app.workspace import Where, Workspace

if TYPE_CHECKING:
    from backout.app.events import Front
    from backout.model.diagnosis import Diagnosis
    from backout.model.operation import Operation
    from backout.model.outcomes import PartOutcome
    from backout.model.run import Run
    from backout.model.settings import Settings
    from backout.model.target import Target


class Clusters(Backout):
    """One namespace of several clusters, and the runs on them. What is of one cluster alone is asked of a `Backout`.

    Args:
        names: contexts of the kubeconfig, or clusters of the configuration, in the order of their waves.

    The others are those of `Backout`.

    Raises:
        ConfigError: the configuration is malformed.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        namespace: str = "",
        kubeconfig: str | Path = "",
        config: str | Path | Settings | None = None,
        front: Front | None = None,
    ) -> None:
        from backout.app.choosing import chosen_clusters

        super().__init__(namespace=namespace, kubeconfig=kubeconfig, config=config, front=front)
        settings = self._workspace.settings
        contexts = chosen_clusters(settings, names, kubeconfig=str(kubeconfig))
        where = Where(kubeconfig=str(kubeconfig), contexts=contexts, namespace=namespace, fleet=True)
        self._workspace = Workspace(settings, where, front)

    async def diagnose_all(self, *targets: str | Target) -> tuple[Diagnosis, ...]:
        """What broke on each cluster.

        Raises:
            BackoutError: one of them can't be read.
        """
        return tuple(await reading.diagnose(self._workspace, texts_of(targets)))

    async def plan_all(
        self, *targets: str | Target, to: str = "", hooks: bool = True, skip: Sequence[str] = ()
    ) -> Operation:
        """The sealed plan with a part for each cluster, each with its own last good revision, in the waves of the settings; of
        everything that is broken unless ``targets`` are named. Who has no part is in it too, and why.

        Raises:
            NothingToDo: of none of them anything is to be done.
            BackoutError: of none of them a plan could be made.
        """
        from backout.app.planning import plans_for

        planned = await plans_for(self._workspace, texts_of(targets), to, hooks=hooks, skip=skip)
        if not planned.plans:
            raise planned.failures[0].error
        return planned.plans[0]

    async def undo(self, run: str, *, approve: Sequence[str] = (), clusters: Sequence[str] = ()) -> Run:
        """As `Backout.undo`, of these ``clusters`` alone where some are named; the others can still be taken back later.

        Raises:
            BackoutError: as `Backout.undo`; a run is not about one of the ``clusters``.
        """
        return await Backout.undo(self._about(clusters), run, approve=approve)

    async def abort(self, run: str, *, clusters: Sequence[str] = ()) -> Run:
        """As `Backout.abort`; where some ``clusters`` are named, the parts there stop, and the others go on.

        Raises:
            BackoutError: as `Backout.abort`; a run is not about one of the ``clusters``.
        """
        return await Backout.abort(self._about(clusters), run)

    def _about(self, clusters: Sequence[str]) -> Clusters:
        """This one, for what is done to a run: that is about its own clusters, or about those of them that are named."""
        other = copy(self)
        other._workspace = self._workspace.for_front(self._workspace.front)
        other._workspace.where = replace(self._workspace.where, contexts=tuple(clusters))
        return other

    def outcomes(self, run: str = "latest") -> tuple[PartOutcome, ...]:
        """What became of each part of a run.

        Raises:
            RunNotFound: no such run.
        """
        return runs.parts(self._workspace, run)
