# SPDX-License-Identifier: Apache-2.0
"""One reading of an object, and the way back to each of its contents that it was prepared for."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from backout.errors import RefusedError, RevisionNotFound
from backout.mechanisms.common.owned import owner_checks, owner_risks
from backout.mechanisms.objects import advice
from backout.mechanisms.objects import checks as checking
from backout.mechanisms.objects import preview as previews
from backout.mechanisms.objects.history import ObjectHistory
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.planning import Planned
from backout.mechanisms.port import Draft, unprepared
from backout.model.change import ObjectChange
from backout.model.part import Check
from backout.model.revision import Revision
from backout.model.target import Target


class ObjectReading(msgspec.Struct, frozen=True, kw_only=True):
    """See `mechanisms.port.Reading`. Holds secrets: never print it; what it answers holds none.

    ``planned``: by the key of a content, the way back to it, or why there is none. ``present``: who reads the object,
    where that was read.
    """

    target: Target
    seen: ObjectHistory
    revisions: tuple[Revision, ...]
    planned: dict[str, Planned | RefusedError]
    present: tuple[Need, ...] | None

    def between(self, earlier: Revision | None, later: Revision) -> tuple[ObjectChange, ...]:
        """How the content changed from one revision to another."""
        after = self.seen.find(later) or _gone(self.target, later)
        before = self.seen.find(earlier) if earlier else None
        return (previews.between(self.seen, before, after),)

    def draft(self, revision: Revision) -> Draft:
        """The content of a revision, and what those who read it need.

        Raises:
            NothingToDo: the object holds that content already.
            RefusedError: somebody else owns it, the server would not take it, or it would do harm.
        """
        past = self.seen.find(revision) or _gone(self.target, revision)
        planned = self.planned.get(past.key)
        if planned is None:
            raise unprepared(self.target, f"revision {revision.number}")
        if isinstance(planned, RefusedError):
            raise planned
        return Draft(
            steps=planned.steps,
            changes=previews.preview(planned),
            risks=(*owner_risks(self.target, planned.keeper), *advice.risks(planned)),
            checks=(*checking.after(planned, self.target), *owner_checks(self.target, planned.keeper)),
            access=tuple(advice.access(planned)),
        )

    def present_checks(self) -> tuple[Check, ...]:
        """The content in force, and those who read it."""
        if self.present is None:
            raise unprepared(self.target, "checks of the present state")
        return tuple(checking.present(self.seen, self.present, self.target))


def _gone(target: Target, revision: Revision) -> NoReturn:
    raise RevisionNotFound(
        "Revision {n} of {target} is in no snapshot.",
        n=revision.number,
        target=str(target),
        hint="`backout history {target}` names those that are.",
    )
