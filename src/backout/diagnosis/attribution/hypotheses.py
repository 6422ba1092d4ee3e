# SPDX-License-Identifier: Apache-2.0
"""A hypothesis is one change as the cause of what one workload shows, with reasons for and against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.attribution.failures import RUNNING, Failure
from backout.diagnosis.attribution.signals import signals
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import WorkloadHistory
from backout.model.change import FieldChange
from backout.model.diagnosis import Confidence
from backout.model.message import Message

Weight = Literal["clears", "against", "weak", "for", "direct"]
"""``clears``: then it was not this change. ``against``: it may be, but no more is said. ``weak``: for it, a little.
``direct``: seen, and not inferred."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason, by the rule that found it."""

    rule: str
    weight: Weight
    message: Message


class Hypothesis(msgspec.Struct, kw_only=True):
    """One change, what of it could have brought which failures, and what speaks for and against it."""

    change: Change
    failures: list[Failure]
    fields: tuple[FieldChange, ...] = ()
    reasons: list[Reason] = []

    @property
    def cleared(self) -> bool:
        """True when something proves that it was not this change."""
        return any(reason.weight == "clears" for reason in self.reasons)

    @property
    def direct(self) -> bool:
        """True when something was seen that ties the failure to this change."""
        return any(reason.weight == "direct" for reason in self.reasons)

    @property
    def doubted(self) -> bool:
        """True when something speaks against it that nothing outweighs."""
        return any(reason.weight == "against" for reason in self.reasons)

    def confidence(self, rivals: Sequence[Hypothesis]) -> Confidence:
        """How sure it is, where ``rivals`` are not ruled out either."""
        if self.cleared:
            return "unknown"
        if self.doubted:
            return (
                "likely" if self.direct and len([r for r in self.reasons if r.weight == "against"]) < 2 else "possible"
            )
        if not self.direct and not any(reason.weight == "for" for reason in self.reasons):
            return "possible"
        equals = [r for r in rivals if r.direct >= self.direct and not r.doubted]
        known = any(reason.rule == "good-before" for reason in self.reasons)
        soon = any(reason.rule == "soon" for reason in self.reasons)
        if known and soon and not equals and self.change.at is not None:
            return "certain"
        return "likely"


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """Another workload, which nobody changed: when it began to fail, what its last words point to (names of signals), and
    those words themselves."""

    at: datetime
    words: frozenset[str] = frozenset()
    said: str = ""


class Situation(msgspec.Struct, kw_only=True):
    """What the rules look at beside the hypothesis."""

    history: WorkloadHistory
    events: Events
    failures: list[Failure]
    since: datetime | None
    others: list[Other] = []
    """Workloads that nobody changed, and whose programs fail as well."""
    now: datetime

    @property
    def running(self) -> bool:
        """True where the program itself fails, and what it needs of elsewhere may be the cause."""
        return any(failure.kinds & RUNNING for failure in self.failures)

    @property
    def words(self) -> frozenset[str]:
        """What the last words of the program point to."""
        return frozenset(signal.name for failure in self.failures for signal in signals(failure.said))

    @property
    def said(self) -> str:
        """The last words of the program, and what the cluster said."""
        return " ".join(failure.said for failure in self.failures)
