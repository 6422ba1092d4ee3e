# SPDX-License-Identifier: Apache-2.0
"""The workload mechanism: pod templates of Deployments, StatefulSets and DaemonSets that nobody else owns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from backout.cluster.port import PODS, ClusterReader, Object
from backout.errors import NoGoodRevision
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.locales import N_
from backout.mechanisms.common import patching, pods, restart
from backout.mechanisms.common.measuring import Named
from backout.mechanisms.common.owned import refuse_owned
from backout.mechanisms.common.params import (
    AccountParams,
    ObjectParams,
    PartitionParams,
    PausedParams,
    ReadyParams,
    RestartParams,
    itself,
)
from backout.mechanisms.common.params import nothing as looking
from backout.mechanisms.common.reading_objects import read_objects_exist
from backout.mechanisms.common.steps import writing
from backout.mechanisms.port import PLAIN, ChoiceRules, Measure, Options, Prepare, ReportWords, StepKind, nothing, yes
from backout.mechanisms.workload import change, history
from backout.mechanisms.workload.params import SpecParams, TemplateParams
from backout.mechanisms.workload.reading import Ground, WorkloadReading, look_around
from backout.model.part import Access, Risk
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import owner_of


class WorkloadMechanism:
    """Goes back by ReplicaSets and ControllerRevisions, or to what a release or a good snapshot declares, where somebody
    edited the workload by hand. Only the pod template changes, and what was edited beside it; replicas stay else."""

    name: ClassVar[str] = "workload"
    programs: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[ReportWords] = ReportWords(
        place=40,
        done={"": N_("Workload rolled back")},
        next_time=N_(
            "Keep enough history for a way back: `helm upgrade --history-max 10`, `revisionHistoryLimit` above 0."
        ),
    )

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> WorkloadReading:
        """The workload with its templates and pods; what the API server says to each that is prepared.

        Raises:
            ObjectNotFound: there is no such workload.
            AccessDenied: its revisions can't be read.
            RefusedError: none was chosen, and somebody owns it who would undo any change.
        """
        snapshot = await history.read(reader, target, options.coming)
        revisions = tuple(history.revisions(snapshot))
        try:
            chosen = prepare(revisions)
        except NoGoodRevision:
            # Whose it is matters more than which template would do.
            refuse_owned(target, await owner_of(reader, snapshot.obj))
            raise
        wanted = [past for one in chosen if (past := snapshot.find(one.digest)) is not None]
        ground = Ground()
        if wanted or options.present:
            ground = await look_around(reader, target, snapshot, wanted, options.coming)
        return WorkloadReading(target=target, snapshot=snapshot, revisions=revisions, ground=ground)

    def step_kinds(self) -> Mapping[str, StepKind[Any]]:
        """By action; other ways back draft those on pods as well."""
        return {
            "workload.undo": StepKind(change.undo, TemplateParams, itself, replaces=yes),
            "workload.set-spec": StepKind(change.set_spec, SpecParams, itself),
            "workload.set-partition": StepKind(patching.set_partition, PartitionParams, itself),
            # What only reads an object is restarted when that is what it was.
            "workload.restart": StepKind(restart.restart, RestartParams, itself, undone_last=True, replaces=yes),
            "workload.set-paused": StepKind(patching.set_paused, PausedParams, itself),
            "workload.set-account": StepKind(patching.set_account, AccountParams, itself),
            "workload.replace-stuck-pods": StepKind(
                pods.replace_stuck, ObjectParams, itself, told=N_("Stuck pods replaced"), waits=True
            ),
            "workload.start-anew": StepKind(pods.start_anew, ObjectParams, itself),
            "workload.delete-outdated-pods": StepKind(
                pods.delete_outdated, ObjectParams, itself, waits=True, replaces=yes
            ),
            "workload.wait-ready": StepKind(pods.wait_ready, ReadyParams, looking, waits=True),
        }

    def measurements(self) -> Mapping[str, Measure[Any]]:
        """By code; other ways back that bring templates ask for it as well."""
        return {"read-objects": Measure(read_objects_exist, Named)}

    def rules(self, target: Target, revisions: Sequence[Revision]) -> ChoiceRules:
        """None beyond the general ones."""
        return ChoiceRules()

    def usual_access(self, namespace: str) -> Iterable[Access]:
        """To change any workload, and to delete pods of it that are stuck."""
        found = {access for kind in WORKLOAD_RESOURCES for access in writing(ObjectRef("apps/v1", kind, "", namespace))}
        return sorted(found | {Access("delete", "", PODS.plural, namespace)})

    async def held_access(self, reader: ClusterReader, namespace: str) -> Iterable[Access]:
        """None: these kinds are everywhere."""
        return ()

    def again_access(self, target: Target, granted: Collection[Access]) -> Iterable[Access]:
        """Its steps read the same."""
        return ()

    async def keep(self, reader: ClusterReader, target: Target) -> Sequence[Object]:
        """Nothing more: the workload is what the plan changes."""
        return ()

    async def instead(self, reader: ClusterReader, target: Target) -> Sequence[Target]:
        """Nothing: it is one object."""
        return ()

    def undo_risks(self, before: Revision) -> Iterable[Risk]:
        """None beyond those of the steps."""
        return ()
