# SPDX-License-Identifier: Apache-2.0
"""One reading of a release, and the way back to each of its revisions that it was prepared for."""

from __future__ import annotations

import msgspec

from backout.helm.compare import compare
from backout.helm.payload import Release
from backout.helm.records import Record
from backout.mechanisms.common import operated
from backout.mechanisms.common.evidence import WorkloadId
from backout.mechanisms.common.owned import Keeper, owner_checks, owner_risks
from backout.mechanisms.helm import checks as checking
from backout.mechanisms.helm import definitions as defining
from backout.mechanisms.helm import operators, sparing
from backout.mechanisms.helm import risks as risking
from backout.mechanisms.helm import steps as stepping
from backout.mechanisms.helm.analysis import Analysis
from backout.mechanisms.helm.consumers import waiting_pods
from backout.mechanisms.helm.definitions import Definitions
from backout.mechanisms.helm.history import History
from backout.mechanisms.helm.kept import record_change
from backout.mechanisms.helm.preview import changes
from backout.mechanisms.port import Draft, unprepared
from backout.model.change import ObjectChange
from backout.model.part import Check
from backout.model.revision import Revision
from backout.model.target import Target
from backout.tools.locate import Tool


class HelmReading(msgspec.Struct, frozen=True, kw_only=True):
    """See `mechanisms.port.Reading`.

    ``driver``: where the records are, as ``HELM_DRIVER`` says it; ``helm``: the program that would run, where there is
    one; ``analyses`` and ``definitions`` by the number of the revision; ``bound``: names of the claims of the newest revision that are
    Bound, where that was read; ``keeper``: the controller that deploys the release, where one does.
    """

    target: Target
    history: History
    revisions: tuple[Revision, ...]
    driver: str
    helm: Tool | None
    analyses: dict[int, Analysis]
    bound: frozenset[str] | None
    keeper: Keeper | None = None
    definitions: dict[int, Definitions] = {}

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """What the manifests of two revisions differ in.

        Raises:
            RevisionNotFound: one of them was pruned.
            TooLarge, Invalid: the record of one of them can't be read.
        """
        _, after = release_of(self.history, later.number, self.target)
        before = release_of(self.history, earlier.number, self.target)[1].manifest if earlier else ""
        return compare(before, after.manifest, self.target.namespace)

    def draft(self, revision: Revision) -> Draft:
        """Repair of a pending release, the rollback, and what plain Helm leaves undone after it.

        Raises:
            RefusedError: it would do harm or can't work (immutable fields, foreign owners, first install).
        """
        analysis = self.analyses.get(revision.number)
        if analysis is None:
            release_of(self.history, revision.number, self.target)
            raise unprepared(self.target, f"revision {revision.number}")
        now, driver = self.history.now, self.driver
        shown = changes(analysis)
        found = self.definitions.get(revision.number, Definitions())
        shown = msgspec.structs.replace(
            shown,
            objects=(*record_change(analysis.target, driver), *shown.objects),
            notes=(*shown.notes, *defining.notes(found, analysis)),
        )
        return Draft(
            steps=tuple(stepping.steps(analysis, self.target, driver, now, self.helm, self._failing)),
            changes=shown,
            risks=(
                *owner_risks(self.target, self.keeper),
                *risking.risks(analysis, self.helm, now, failing=self._failing, starting=self._starting),
                *defining.risks(found, analysis),
            ),
            checks=(*checking.checks(analysis, self.target), *owner_checks(self.target, self.keeper)),
            access=tuple(checking.access(analysis, driver)),
            skipped=sparing.skipped(analysis),
            unskippable=sparing.unskippable(analysis),
            waiting=tuple(waiting_pods(analysis, self._failing)),
        )

    @property
    def _failing(self) -> frozenset[WorkloadId]:
        return failing(self.history)

    @property
    def _starting(self) -> bool:
        """Whether pods are on their way, and may get ready."""
        lives = self.history.evidence.workloads.values()
        return any(pod.ready_since is None and not pod.failing for live in lives for pod in live.pods)

    def present_checks(self) -> tuple[Check, ...]:
        """The newest revision, its workloads, endpoints and claims."""
        if self.bound is None:
            raise unprepared(self.target, "checks of the present state")
        record, release = release_of(self.history, self.history.facts[-1].record.revision, self.target)
        kept = (custom.id for custom in self.history.facts[-1].customs)
        made = operators.present(self.history.customs.values(), kept, self.target.namespace)
        makers = operators.makers(self.history.customs.values())
        return (
            *checking.of_release(release, record, self.bound, self.target, makers),
            *operated.checks(made, self.target),
        )


def failing(history: History) -> frozenset[WorkloadId]:
    """The workloads of which pods fail now."""
    lives = history.evidence.workloads
    return frozenset(identity for identity, live in lives.items() if any(pod.failing for pod in live.pods))


def release_of(history: History, number: int, target: Target) -> tuple[Record, Release]:
    """A revision's record with its content.

    Raises:
        RevisionNotFound: there is none of that number.
        TooLarge, Invalid: it can't be read.
    """
    facts = history.facts_of(number, target)
    assert facts.release is not None
    return facts.record, facts.release
