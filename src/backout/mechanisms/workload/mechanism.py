# SPDX-License-Identifier: Apache-2.0
"""The workload mechanism: pod templates of Deployments, StatefulSets and DaemonSets that nobody else owns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from backout.cluster.port import ClusterReader
from backout.mechanisms.common import patching, pods
from backout.mechanisms.port import PLAIN, Effect, Measure, Options, Prepare, nothing
from backout.mechanisms.workload import change, history
from backout.mechanisms.workload.reading import Ground, WorkloadReading, look_around
from backout.model.target import Target


class WorkloadMechanism:
    """Goes back by ReplicaSets and ControllerRevisions. Only the pod template changes; replicas stay."""

    name: ClassVar[str] = "workload"

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> WorkloadReading:
        """The workload with its templates and pods; what the API server says to each that is prepared.

        Raises:
            ObjectNotFound: there is no such workload.
            AccessDenied: its revisions can't be read.
        """
        snapshot = await history.read(reader, target)
        revisions = tuple(history.revisions(snapshot))
        wanted = [past for one in prepare(revisions) if (past := snapshot.past_of(one.digest)) is not None]
        ground = Ground()
        if wanted or options.present:
            ground = await look_around(reader, target, snapshot, wanted)
        return WorkloadReading(target=target, snapshot=snapshot, revisions=revisions, ground=ground)

    def effects(self) -> Mapping[str, Effect]:
        """The effects by action."""
        return {
            "workload.undo": change.undo,
            "workload.set-partition": patching.set_partition,
            "workload.set-paused": patching.set_paused,
            "workload.replace-stuck-pods": pods.replace_stuck,
            "workload.delete-outdated-pods": pods.delete_outdated,
            "workload.wait-ready": pods.wait_ready,
        }

    def measurements(self) -> Mapping[str, Measure]:
        """None of its own."""
        return {}
