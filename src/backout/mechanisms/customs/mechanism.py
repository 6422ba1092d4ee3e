# SPDX-License-Identifier: Apache-2.0
"""The mechanism for custom resources: whatever their operators make of them, what is taken back is what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError, NoGoodRevision
from backout.kube.definitions import answers
from backout.kube.find_customs import find_customs
from backout.locales import N_
from backout.mechanisms.common.owned import refuse_owned
from backout.mechanisms.common.params import OperatorParams, itself
from backout.mechanisms.common.params import nothing as looking
from backout.mechanisms.common.wait_operator import wait_operator
from backout.mechanisms.customs import change, history
from backout.mechanisms.customs.params import FromCapture, PutBackParams
from backout.mechanisms.customs.reading import PUT_BACK, WAIT, CustomReading, look_around
from backout.mechanisms.port import (
    PLAIN,
    ChoiceRules,
    Measure,
    Options,
    Prepare,
    ReportWords,
    StepKind,
    Undoing,
    nothing,
)
from backout.model.part import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target
from backout.ownership.owner import owner_of
from backout.snapshots.capture import captured_object


def _from_capture(undoing: Undoing, step: Step, params: PutBackParams) -> tuple[PutBackParams, tuple[Check, ...]]:
    """Names the capture that the step reads.

    Raises:
        CaptureError: it does not hold the resource.
    """
    captured_object(undoing.captured(), params.ref)
    return msgspec.structs.replace(params, origin=FromCapture(undoing.source)), ()


class CustomsMechanism:
    """Goes back by the templates that the resource's pods were made from, and by snapshots."""

    name: ClassVar[str] = "customs"
    programs: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[ReportWords] = ReportWords(
        place=45,
        done={"": N_("Custom resource put back")},
        next_time=N_("Take a snapshot before, while everything is healthy: `backout snapshot create`."),
    )

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> CustomReading:
        """The resource and what it said before; what the API server says to each revision that is prepared.

        Raises:
            ObjectNotFound: there is no such resource, or no such kind.
            RefusedError: none was chosen, and somebody owns it who would undo any change.
        """
        seen = await history.read(reader, target)
        revisions = tuple(history.revisions(seen))
        try:
            chosen = prepare(revisions)
        except NoGoodRevision:
            # Whose it is matters more than what it would say.
            refuse_owned(target, await owner_of(reader, seen.live))
            raise
        wanted = [past for one in chosen if (past := seen.find(one)) is not None]
        ground = await look_around(reader, seen, wanted) if wanted else None
        told = await answers(reader, seen.resource) is not False if wanted or options.present else True
        return CustomReading(target=target, seen=seen, revisions=revisions, ground=ground, answers=told)

    def step_kinds(self) -> Mapping[str, StepKind[Any]]:
        """By action."""
        return {
            PUT_BACK: StepKind(change.put_back, PutBackParams, itself, inverse=_from_capture),
            WAIT: StepKind(wait_operator, OperatorParams, looking),
        }

    def measurements(self) -> Mapping[str, Measure[Any]]:
        """None of its own."""
        return {}

    def rules(self, target: Target, revisions: Sequence[Revision]) -> ChoiceRules:
        """There must be a good one."""
        if any(revision.goodness == "good" for revision in revisions):
            return ChoiceRules(alone=True)
        return ChoiceRules(refusal=history.no_good_revision(target, revisions), alone=True)

    def usual_access(self, namespace: str) -> Iterable[Access]:
        """None: of which kinds there are, each cluster alone knows."""
        return ()

    async def held_access(self, reader: ClusterReader, namespace: str) -> Iterable[Access]:
        """To change the custom resources that are there and that nobody else manages, and to find their former templates."""
        found: set[Access] = set()
        try:
            kinds = await find_customs(reader, namespace)
        except BackoutError:
            return ()
        for one in kinds:
            owners = await asyncio.gather(*(owner_of(reader, obj) for obj in one.objects))
            if any(owner.kind == "none" for owner in owners):
                group, plural = one.resource.group, one.resource.plural
                found |= {Access(verb, group, plural, namespace) for verb in ("get", "list", "watch", "patch")}
        return sorted(found)

    def again_access(self, target: Target, granted: Collection[Access]) -> Iterable[Access]:
        """The plan names it already: what changes is read."""
        return ()

    async def keep(self, reader: ClusterReader, target: Target) -> Sequence[Object]:
        """Nothing more: the resource is what the plan changes."""
        return ()

    async def instead(self, reader: ClusterReader, target: Target) -> Sequence[Target]:
        """None."""
        return ()

    def undo_risks(self, before: Revision) -> Iterable[Risk]:
        """None beyond those of the steps."""
        return ()
