# SPDX-License-Identifier: Apache-2.0
"""The mechanism for single objects of a namespace (`kinds`): from its snapshots, or from the release that has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from backout.cluster.port import ClusterReader, Object
from backout.errors import RefusedError
from backout.locales import N_
from backout.mechanisms.common.params import ScaleParams, itself
from backout.mechanisms.common.params import nothing as looking
from backout.mechanisms.common.scaling import scale
from backout.mechanisms.objects import (
    advice,
    dependents,
    history,
    measure,
    planning,
    pods,
    readers,
    reload,
    undoing,
    write,
)
from backout.mechanisms.objects.params import (
    AskAgainParams,
    PutBackParams,
    ReloadParams,
    RemoveParams,
    ReplacePodsParams,
    RestoreParams,
)
from backout.mechanisms.objects.planning import Planned
from backout.mechanisms.objects.reading import ObjectReading
from backout.mechanisms.port import PLAIN, ChoiceRules, Measure, Options, Prepare, ReportWords, StepKind, nothing, yes
from backout.model.message import msg
from backout.model.part import Access, Risk
from backout.model.revision import Revision
from backout.model.target import OBJECTS, Target


class ObjectsMechanism:
    """Goes back by snapshots, and to what a release says. Reading writes nothing, and nothing that a reading answers holds
    a secret."""

    name: ClassVar[str] = "objects"
    programs: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[ReportWords] = ReportWords(
        place=30,
        done={
            **dict.fromkeys(OBJECTS, N_("Other object restored on its own")),
            **dict.fromkeys(("", "configmap", "secret"), N_("ConfigMap and Secret restored on their own")),
            **dict.fromkeys(("service", "ingress"), N_("Service or Ingress restored on its own")),
        },
        next_time=N_("Take a snapshot before, while everything is healthy: `backout snapshot create`."),
    )

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> ObjectReading:
        """The object and its past; of each revision that is prepared, what the server says to it and who reads it.

        Raises:
            ObjectNotFound: it does not exist, and no snapshot holds it.
            KeyMissing, WrongKey, RepositoryDamaged, StorageError: there is a repository, and it can't be read.
        """
        seen = await history.read(reader, target)
        stale = await dependents.stale(reader, target, seen) if seen.good else ()
        more = () if seen.good else await planning.alternatives(reader, seen)
        revisions = tuple(history.revisions(seen, more, stale=", ".join(str(need.ref) for need in stale)))
        planned: dict[str, Planned | RefusedError] = {}
        for revision in prepare(revisions):
            if (past := seen.find(revision)) is None or past.key in planned:
                continue
            try:
                planned[past.key] = await planning.work_out(reader, target, seen, past, stale)
            except RefusedError as error:
                planned[past.key] = error
        present = await readers.present_readers(reader, target, seen) if options.present else None
        return ObjectReading(target=target, seen=seen, revisions=revisions, planned=planned, present=present)

    def step_kinds(self) -> Mapping[str, StepKind[Any]]:
        """By action."""
        return {
            "objects.restore": StepKind(
                write.restore,
                RestoreParams,
                itself,
                asks=lambda step: ("recreate",) if step.params.how == "recreate" else (),
            ),
            "objects.remove": StepKind(write.remove, RemoveParams, itself, asks=lambda step: ("deletes",)),
            "objects.put-back": StepKind(write.put_back, PutBackParams, itself, inverse=undoing.from_capture),
            "objects.scale": StepKind(scale, ScaleParams, itself, replaces=yes),
            "objects.replace-pods": StepKind(
                pods.replace_pods,
                ReplacePodsParams,
                itself,
                waits=True,
                remains=msg("Pods that the run made anew keep what they have read until they are made anew again."),
                replaces=lambda params: params.every,
            ),
            "objects.ask-again": StepKind(pods.ask_again, AskAgainParams, itself),
            "objects.await-reload": StepKind(reload.await_reload, ReloadParams, looking, waits=True),
        }

    def measurements(self) -> Mapping[str, Measure[Any]]:
        """By code."""
        return {
            "object-restored": Measure(measure.object_restored, measure.RestoredParams),
            "config-reloaded": Measure(measure.config_reloaded, measure.ReloadedParams),
            "object-storage": Measure(measure.object_storage, measure.ReadersParams),
            "requests-forwarded": Measure(measure.requests_forwarded, measure.ReadersParams),
        }

    def rules(self, target: Target, revisions: Sequence[Revision]) -> ChoiceRules:
        """There must be a good snapshot, or a release that says what the object is."""
        if any(revision.goodness == "good" for revision in revisions):
            return ChoiceRules(alone=True)
        return ChoiceRules(refusal=history.no_good_snapshot(target, revisions), alone=True)

    def usual_access(self, namespace: str) -> Iterable[Access]:
        """To write objects that every namespace has, and to restart or scale what reads them."""
        return advice.usual_access(namespace)

    async def held_access(self, reader: ClusterReader, namespace: str) -> Iterable[Access]:
        """To write objects of the other kinds, where there are such."""
        return await advice.held_access(reader, namespace)

    def again_access(self, target: Target, granted: Collection[Access]) -> Iterable[Access]:
        """The plan names it already: what changes is read."""
        return ()

    async def keep(self, reader: ClusterReader, target: Target) -> Sequence[Object]:
        """Nothing more."""
        return ()

    async def instead(self, reader: ClusterReader, target: Target) -> Sequence[Target]:
        """Nothing: it is one object."""
        return ()

    def undo_risks(self, before: Revision) -> Iterable[Risk]:
        """None beyond those of the steps."""
        return ()
