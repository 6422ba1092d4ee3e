# SPDX-License-Identifier: Apache-2.0
"""The mechanism for applications of Argo CD that follow a branch of Git: what goes back is the commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import RefusedError
from backout.locales import N_
from backout.mechanisms.common.params import itself
from backout.mechanisms.git import effects, history
from backout.mechanisms.git.params import PushParams, SyncParams, of_itself
from backout.mechanisms.git.planning import Planned, work_out
from backout.mechanisms.git.reading import PUSH, SYNC, SYNCED, GitReading
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
    wire,
)
from backout.model.message import msg
from backout.model.part import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target


def _push_again(undoing: Undoing, step: Step, params: PushParams) -> tuple[PushParams, tuple[Check, ...]]:
    """The commit of that run is taken back; it is known by its trailer."""
    title = msg("{target} is synced to the repository as it was before the run", target=str(step.target))
    wanted = SyncParams(
        api_version=params.api_version,
        kind=params.kind,
        name=params.name,
        namespace=params.namespace,
        url=params.url,
        branch=params.branch,
        wanted=params.leaves,
        since=params.planned,
    )
    check = Check(code=SYNCED, target=step.target, title=title, params=wire(wanted))
    return msgspec.structs.replace(params, undoes=f"{undoing.run}/{step.id}"), (check,)


class GitMechanism:
    """Goes back by a commit; reading writes nothing to any cluster or repository."""

    name: ClassVar[str] = "git"
    programs: ClassVar[tuple[str, ...]] = ("git",)
    words: ClassVar[ReportWords] = ReportWords(
        place=20,
        done={"": N_("Git revert, Argo CD sync")},
        next_time=N_("Mend the change on a branch, and look at what it renders before it is merged again."),
    )

    async def read(
        self, reader: ClusterReader, target: Target, prepare: Prepare = nothing, options: Options = PLAIN
    ) -> GitReading:
        """The application, its repository, and what each revision that is prepared takes.

        Raises:
            ObjectNotFound: no such application, or no Argo CD.
            RefusedError: a commit would not reach it.
            BackoutError: the repository can't be read.
        """
        mirror, seen = await history.read(reader, target)
        revisions = tuple(history.revisions(seen))
        planned: dict[str, Planned | RefusedError] = {}
        for revision in prepare(revisions):
            at = seen.find(revision)
            if at is None or revision.names[0] in planned:
                continue
            try:
                planned[revision.names[0]] = await work_out(mirror, seen, at)
            except RefusedError as error:
                planned[revision.names[0]] = error
        return GitReading(target=target, seen=seen, revisions=revisions, planned=planned)

    def step_kinds(self) -> Mapping[str, StepKind[Any]]:
        """By action."""
        return {
            PUSH: StepKind(
                effects.push_back, PushParams, itself, inverse=_push_again, speaks_of=of_itself, conditions=("head",)
            ),
            SYNC: StepKind(effects.await_sync, SyncParams, itself, speaks_of=of_itself, undone_last=True, waits=True),
        }

    def measurements(self) -> Mapping[str, Measure[Any]]:
        """By code."""
        return {SYNCED: Measure(effects.git_synced, SyncParams)}

    def rules(self, target: Target, revisions: Sequence[Revision]) -> ChoiceRules:
        """A commit must be proven good, or be named."""
        if any(revision.goodness == "good" for revision in revisions):
            return ChoiceRules(alone=True)
        return ChoiceRules(refusal=history.no_good_revision(target, revisions), alone=True)

    def usual_access(self, namespace: str) -> Iterable[Access]:
        """None: applications are in few clusters and namespaces."""
        return ()

    async def held_access(self, reader: ClusterReader, namespace: str) -> Iterable[Access]:
        """None beyond those that a plan names."""
        return ()

    def again_access(self, target: Target, granted: Collection[Access]) -> Iterable[Access]:
        """The plan names it already."""
        return ()

    async def keep(self, reader: ClusterReader, target: Target) -> Sequence[Object]:
        """Nothing more: what goes back is in Git, where nothing is lost."""
        return ()

    async def instead(self, reader: ClusterReader, target: Target) -> Sequence[Target]:
        """None."""
        return ()

    def undo_risks(self, before: Revision) -> Iterable[Risk]:
        """None beyond those of the steps."""
        return ()
