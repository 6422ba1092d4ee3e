# SPDX-License-Identifier: Apache-2.0
"""The mechanism for single objects: ConfigMaps, Secrets, Services, Ingresses, from the snapshots of their namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from backout.cluster.port import ClusterReader
from backout.errors import RefusedError
from backout.mechanisms.objects import history, measure, planning, pods, reload, write
from backout.mechanisms.objects.planning import Planned
from backout.mechanisms.objects.reading import ObjectReading
from backout.mechanisms.port import PLAIN, Effect, Measure, Options, Prepare, nothing
from backout.model.target import Target


class ObjectsMechanism:
    """Goes back by snapshots. Reading writes nothing, and nothing that a reading answers holds a secret."""

    name: ClassVar[str] = "objects"

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> ObjectReading:
        """The object and its past; of each revision that is prepared, what the server says to it and who reads it.

        Raises:
            ObjectNotFound: it does not exist, and no snapshot holds it.
            KeyMissing, WrongKey, RepositoryDamaged, StorageError: there is a repository, and it can't be read.
        """
        seen = await history.read(reader, target)
        stale = await planning.stale_readers(reader, target, seen) if seen.good else ()
        more = () if seen.good else await planning.alternatives(reader, seen)
        revisions = tuple(history.revisions(seen, more, stale=", ".join(str(care.ref) for care in stale)))
        planned: dict[str, Planned | RefusedError] = {}
        for revision in prepare(revisions):
            if (past := seen.past_of(revision)) is None or past.key in planned:
                continue
            try:
                planned[past.key] = await planning.work_out(reader, target, seen, past, stale)
            except RefusedError as error:
                planned[past.key] = error
        present = await planning.present_readers(reader, target, seen) if options.present else None
        return ObjectReading(target=target, seen=seen, revisions=revisions, planned=planned, present=present)

    def effects(self) -> Mapping[str, Effect]:
        """The effects by action."""
        return {
            "objects.restore": write.restore,
            "objects.put-back": write.put_back,
            "objects.scale": pods.scale,
            "objects.restart": pods.restart,
            "objects.replace-pods": pods.replace_pods,
            "objects.await-reload": reload.await_reload,
        }

    def measurements(self) -> Mapping[str, Measure]:
        """By code."""
        return {
            "object-restored": measure.object_restored,
            "config-reloaded": measure.config_reloaded,
            "object-storage": measure.object_storage,
            "requests-forwarded": measure.requests_forwarded,
        }
