# SPDX-License-Identifier: Apache-2.0
"""The way back through Helm, behind the protocol that all mechanisms speak."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from backout.cluster.port import ClusterReader
from backout.errors import ToolMissing
from backout.helm.records import Records
from backout.mechanisms.helm.analysis import Analysis, analyse
from backout.mechanisms.helm.checks import bound_claims
from backout.mechanisms.helm.effects import repair_pending, rollback
from backout.mechanisms.helm.history import History, read_history
from backout.mechanisms.helm.measure import as_captured, release_deployed
from backout.mechanisms.helm.reading import HelmReading, release_of
from backout.mechanisms.helm.record_effects import remove_record, restore_record
from backout.mechanisms.helm.restore import restore_live
from backout.mechanisms.helm.tool import find_helm
from backout.mechanisms.port import PLAIN, Effect, Measure, Options, Prepare, nothing
from backout.model.target import Target
from backout.tools.locate import Tool


class HelmMechanism:
    """Rolls releases back by the user's helm; reads their records itself."""

    name: ClassVar[str] = "helm"

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> HelmReading:
        """The records, and those that Helm pruned and a snapshot has; of each revision that is prepared, every live
        object of both manifests with what the server would make of it.

        Raises:
            ReleaseNotFound: no record of that release in the namespace.
        """
        records = Records(reader, target.namespace)
        history = await read_history(reader, records, target.name)
        revisions = tuple(history.revisions)
        numbers = list(dict.fromkeys(revision.number for revision in prepare(revisions)))
        helm = await _helm_if_any() if numbers else None
        analyses = await asyncio.gather(
            *(_analyse(reader, history, target, number, helm, hooks=options.hooks) for number in numbers)
        )
        bound = None
        if options.present:
            _, head = release_of(history, history.facts[-1].record.revision, target)
            bound = await bound_claims(reader, head, target.namespace)
        return HelmReading(
            target=target,
            history=history,
            revisions=revisions,
            driver=records.driver_name,
            helm=helm,
            analyses=dict(zip(numbers, analyses, strict=True)),
            bound=bound,
        )

    def effects(self) -> Mapping[str, Effect]:
        """The compensation of ``helm.rollback`` is itself, or ``helm.restore-live`` where no revision was live; that
        of ``helm.restore-record`` is ``helm.remove-record``."""
        return {
            "helm.repair-pending": repair_pending,
            "helm.restore-record": restore_record,
            "helm.remove-record": remove_record,
            "helm.rollback": rollback,
            "helm.restore-live": restore_live,
        }

    def measurements(self) -> Mapping[str, Measure]:
        """By code."""
        return {"release-deployed": release_deployed, "live-restored": as_captured}


async def _analyse(
    reader: ClusterReader, history: History, target: Target, number: int, helm: Tool | None, *, hooks: bool
) -> Analysis:
    wanted = release_of(history, number, target)
    head = release_of(history, history.facts[-1].record.revision, target)
    server_side = wanted[1].server_side and (helm is None or helm.major >= 4)
    return await analyse(reader, head, wanted, server_side=server_side, hooks=hooks)


async def _helm_if_any() -> Tool | None:
    """A plan can be made without helm; only running it needs one."""
    try:
        return await find_helm()
    except ToolMissing:
        return None
