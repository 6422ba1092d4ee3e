# SPDX-License-Identifier: Apache-2.0
"""The way back through Helm, behind the protocol that all mechanisms speak."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader, Object
from backout.errors import ToolMissing
from backout.helm.deployed import several
from backout.helm.records import Records
from backout.helm.unfinished import never_installed, refusal
from backout.locales import N_
from backout.mechanisms.common.measuring import ByDigest
from backout.mechanisms.common.owned import Keeper
from backout.mechanisms.common.params import OperatorParams, itself
from backout.mechanisms.common.params import nothing as looking
from backout.mechanisms.common.wait_operator import wait_operator
from backout.mechanisms.helm import checks as checking
from backout.mechanisms.helm import undoing
from backout.mechanisms.helm.analysis import Analysis, analyse
from backout.mechanisms.helm.asking import asked
from backout.mechanisms.helm.checks import bound_claims
from backout.mechanisms.helm.definitions import read_definitions
from backout.mechanisms.helm.drifting import past_it
from backout.mechanisms.helm.effects import repair_pending, rollback
from backout.mechanisms.helm.held import held_access
from backout.mechanisms.helm.history import History, read_history
from backout.mechanisms.helm.hooks import telling_of_hooks
from backout.mechanisms.helm.keeping import keep, still_there
from backout.mechanisms.helm.kept import every_record
from backout.mechanisms.helm.measure import LiveParams, as_captured, nothing_left_over, release_deployed
from backout.mechanisms.helm.params import (
    KeepParams,
    KeptParams,
    RecordParams,
    RepairParams,
    RestoreLiveParams,
    RollbackParams,
    captured,
    of_release,
    record_of,
    recreated,
)
from backout.mechanisms.helm.reading import HelmReading, failing, release_of
from backout.mechanisms.helm.record_effects import remove_record, restore_record
from backout.mechanisms.helm.restore import restore_live
from backout.mechanisms.helm.sparing import spare
from backout.mechanisms.helm.tool import find_helm
from backout.mechanisms.port import PLAIN, ChoiceRules, Measure, Options, Prepare, ReportWords, StepKind, nothing
from backout.model.message import msg
from backout.model.part import Access, Risk
from backout.model.revision import Revision
from backout.model.target import Target
from backout.ownership.owner import Ownership
from backout.ownership.state import state_of
from backout.tools.locate import Tool

PRUNED = N_(
    "Earlier revisions were pruned from Helm's history, and no snapshot that could be read has a good one. Mend it "
    "forward, or name a revision (`backout history {target}`): --to REVISION. For the next time, `backout snapshot "
    "create` keeps the revision in force, when all is well."
)


class HelmMechanism:
    """Rolls releases back by the user's helm; reads their records itself."""

    name: ClassVar[str] = "helm"
    programs: ClassVar[tuple[str, ...]] = ("helm",)
    words: ClassVar[ReportWords] = ReportWords(
        place=10,
        done={"": N_("Helm rollback")},
        covers={"workload": N_("by the Helm rollback")},
        next_time=N_(
            "Keep enough history for a way back: `helm upgrade --history-max 10`, `revisionHistoryLimit` above 0."
        ),
    )

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> HelmReading:
        """The records, and those that Helm pruned and a snapshot has; of each revision that is prepared, every live
        object of both manifests with what the server would make of it.

        Raises:
            ReleaseNotFound: no record of that release in the namespace.
        """
        records = Records(reader, target.namespace)
        history = await read_history(reader, records, target.name, options.coming)
        revisions = tuple(history.revisions)
        numbers = list(dict.fromkeys(revision.number for revision in prepare(revisions)))
        helm = await _helm_if_any() if numbers else None
        analyses, definitions = await asyncio.gather(
            asyncio.gather(*(_analyse(reader, history, target, number, helm, options) for number in numbers)),
            asyncio.gather(
                *(read_definitions(reader, records, release_of(history, number, target)[0]) for number in numbers)
            ),
        )
        bound = None
        if options.present:
            _, head = release_of(history, history.facts[-1].record.revision, target)
            bound = await bound_claims(reader, head, target.namespace)
        keeper = await _keeper(reader, target, list(analyses)) if numbers else None
        return HelmReading(
            target=target,
            history=history,
            revisions=revisions,
            driver=records.driver_name,
            helm=helm,
            analyses=dict(zip(numbers, analyses, strict=True)),
            definitions=dict(zip(numbers, definitions, strict=True)),
            bound=bound,
            keeper=keeper,
        )

    def step_kinds(self) -> Mapping[str, StepKind[Any]]:
        """The compensation of ``helm.rollback`` is itself, or ``helm.restore-live`` where no revision was live; that
        of ``helm.restore-record`` is ``helm.remove-record``."""
        return {
            "helm.repair-pending": StepKind(repair_pending, RepairParams, looking, speaks_of=of_release),
            "helm.restore-record": StepKind(restore_record, RecordParams, record_of, speaks_of=of_release),
            "helm.remove-record": StepKind(
                remove_record, RecordParams, record_of, inverse=undoing.record_gone, speaks_of=of_release
            ),
            "helm.wait-operator": StepKind(wait_operator, OperatorParams, looking, waits=True),
            "helm.keep": StepKind(keep, KeepParams, itself),
            "helm.rollback": StepKind(
                telling_of_hooks(rollback),
                RollbackParams,
                recreated,
                speaks_of=of_release,
                asks=asked,
                conditions=("head", "digest"),
                restores=lambda params: params.digest,
            ),
            "helm.restore-live": StepKind(
                restore_live,
                RestoreLiveParams,
                captured,
                inverse=undoing.as_captured,
                speaks_of=of_release,
                restores=lambda params: params.rollback.digest if params.rollback else "",
            ),
        }

    def measurements(self) -> Mapping[str, Measure[Any]]:
        """By code."""
        return {
            "release-deployed": Measure(release_deployed, ByDigest),
            "live-restored": Measure(as_captured, LiveParams),
            "left-out": Measure(still_there, KeptParams),
            "left-over": Measure(nothing_left_over, LiveParams),
        }

    def rules(self, target: Target, revisions: Sequence[Revision]) -> ChoiceRules:
        """An install that never ended; a history that Helm pruned (its numbers begin at 1)."""
        if never_installed(revisions):
            return ChoiceRules(refusal=refusal(target))
        return ChoiceRules(hint=PRUNED if revisions and revisions[0].number > 1 else "")

    def usual_access(self, namespace: str) -> Iterable[Access]:
        """The records, and what charts ordinarily hold."""
        return checking.usual_access(namespace)

    async def held_access(self, reader: ClusterReader, namespace: str) -> Iterable[Access]:
        """To write every kind that the newest revisions of the namespace's releases hold, and to watch what operators carry out."""
        return await held_access(reader, namespace)

    def again_access(self, target: Target, granted: Collection[Access]) -> Iterable[Access]:
        """The records, wherever they are."""
        records = (SECRETS.plural, CONFIGMAPS.plural)
        if any(access.verb == "list" and access.resource in records for access in granted):
            return ()
        return (Access("list", "", SECRETS.plural, target.namespace),)

    async def keep(self, reader: ClusterReader, target: Target) -> Sequence[Object]:
        """All of its records, of either storage driver."""
        return await every_record(reader, target.name, target.namespace)

    async def instead(self, reader: ClusterReader, target: Target) -> Sequence[Target]:
        """Single objects of the release that are not as the revision in force says."""
        return await past_it(reader, target)

    def undo_risks(self, before: Revision) -> Iterable[Risk]:
        """A status that would block the next helm is not put back."""
        if before.status in ("", "deployed", "superseded"):
            return ()
        return (
            Risk(
                code="not-undone",
                message=msg(
                    "Helm's record said {status}. That is not put back, for it would block the next helm: the release "
                    "will be called deployed.",
                    status=before.status,
                ),
            ),
        )


async def _analyse(
    reader: ClusterReader, history: History, target: Target, number: int, helm: Tool | None, options: Options
) -> Analysis:
    wanted = release_of(history, number, target)
    head = release_of(history, history.facts[-1].record.revision, target)
    server_side = wanted[1].server_side and (helm is None or helm.major >= 4)
    blamed = {(ref.kind, ref.namespace, ref.name) for ref in options.blamed}
    found = await analyse(
        reader,
        head,
        wanted,
        server_side=server_side,
        hooks=options.hooks,
        customs=history.customs,
        mute=history.mute,
        concerned=blamed | failing(history),
    )
    doubled = several((one.record.revision, one.record.status) for one in history.facts if one.record.kept is None)
    return spare(msgspec.structs.replace(found, doubled=doubled), options.skip)


async def _keeper(reader: ClusterReader, target: Target, analyses: list[Analysis]) -> Keeper | None:
    """What deploys the release, from the marks on its live objects and from the cluster's custom resources."""
    lives = tuple(item.live for analysis in analyses for item in analysis.items if item.live is not None)
    manager = await Ownership(reader).of_release(target.name, target.namespace, lives)
    return Keeper(manager=manager, state=await state_of(reader, manager)) if manager is not None else None


async def _helm_if_any() -> Tool | None:
    """A plan can be made without helm; only running it needs one."""
    try:
        return await find_helm()
    except ToolMissing:
        return None
