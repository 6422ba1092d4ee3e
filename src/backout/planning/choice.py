# SPDX-License-Identifier: Apache-2.0
"""Which revision to go back to. Pure. Never "the one before": the last one that is proven to have worked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from backout.errors import NoGoodRevision, NothingToDo, RefusedError, RevisionNotFound, UsageError
from backout.mechanisms import registry
from backout.model.diagnosis import Diagnosis
from backout.model.message import Message, joined, msg
from backout.model.revision import Revision
from backout.model.target import WORKLOADS, Target, goes_back

SURE = ("certain", "likely")
"""How sure a diagnosis must be of a cause to go back from it unasked."""
_SHORTEST = 4
_HEX = frozenset("0123456789abcdef")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The revision to go back to, and why it is believed good."""

    revision: Revision
    current: Revision | None
    why: tuple[Message, ...]
    proven: bool


def current_of(revisions: Sequence[Revision]) -> Revision | None:
    """The revision that is in force now."""
    return next((revision for revision in reversed(revisions) if revision.current), None)


def targets_of(diagnosis: Diagnosis) -> list[Target]:
    """What to act on for each problem whose cause is a change that can be taken back, and is likely the cause at least.

    Raises:
        RefusedError: things are broken, but no change did it as far as one knows, or nobody here can take it back.
    """
    problems = diagnosis.problems
    found = list(dict.fromkeys(p.target for p in problems if p.mechanism and p.confidence in SURE))
    if found or not problems:
        return found
    first = next((p for p in problems if p.mechanism), problems[0])
    notes = joined(first.notes)
    if first.mechanism:
        reasons = joined((*first.against, *first.why) or first.notes)
        raise RefusedError(
            "What broke {target} is not sure enough to go back from it: {cause}",
            target=str(first.target),
            cause=first.cause,
            expected="a change that is likely the cause",
            found="one that is {confidence}: {why}",
            confidence=msg(first.confidence),
            why=reasons if reasons.text else "nothing speaks for it",
            hint="Look at `backout diagnose`; if you know that it is the cause, name it: backout run {target}",
        )
    if first.suspect is None:
        raise RefusedError(
            "Something is broken, and no change that can be taken back did it: {cause}",
            cause=first.cause,
            target=str(first.target),
            why=notes if first.notes else "nothing that was changed here explains it",
            found="{why}",
            hint="{advice}",
            advice=msg(
                "To go back all the same, name what and where to: backout run {target} --to REVISION",
                target=str(first.target),
            )
            if goes_back(first.target.kind)
            else msg("Look at {target}: it is of no kind that goes back.", target=str(first.target)),
        )
    raise RefusedError(
        "{target} is broken, but Backout can't take it back.",
        target=str(first.target),
        cause=first.cause,
        why=notes if first.notes else "its owner is not one that Backout can act on",
        found="{cause}",
        hint="{why}",
    )


def choose(
    target: Target,
    revisions: Sequence[Revision],
    to: str = "",
    blamed: Collection[int] = (),
    broken_since: int | None = None,
) -> Choice:
    """The last revision proven good whose content differs from what is in force; or the one that ``to`` names.

    A current revision that the cluster is not at (see `Revision.settled`) is not in force: it may be the one to go to.
    A good one is never left, unless a diagnosis blames it (``blamed`` are such revisions). From ``broken_since`` on, where that
    is known to be likely, all have what broke it, however well their pods are.

    Raises:
        RevisionNotFound: ``to`` is not in the history.
        NoGoodRevision: nothing in the history is proven good; the message says what is known of each.
        NothingToDo: the revision in force is good.
        UsageError: ``to`` is not a revision number.
    """
    current = current_of(revisions)
    if to:
        return _named(target, revisions, current, to)
    rules = registry.of_kind(target.kind).rules(target, revisions)
    if rules.refusal is not None:
        raise rules.refusal
    settled = current is None or current.settled
    if len(revisions) < 2 and settled and not rules.alone:
        raise NoGoodRevision(
            "{target} has no earlier revision to go back to.",
            target=str(target),
            found="a history of {count}",
            count=len(revisions),
            hint=rules.hint or "Mend it forward, or restore it from a snapshot.",
        )
    accused = current is not None and (
        current.number in blamed or (broken_since is not None and broken_since <= current.number)
    )
    if current is not None and current.settled and current.goodness == "good" and not accused:
        raise NothingToDo(
            "The revision of {target} that is in force ({number}) is good: nothing of it broke what is broken.",
            target=str(target),
            number=current.number,
            hint="An older one would not mend it. If you know better, name where to go with --to "
            "(see `backout history {target}`).",
        )
    in_force = current.digest if current else ""
    good = [
        revision
        for revision in revisions
        if revision.goodness == "good" and (broken_since is None or revision.number < broken_since)
    ]
    for revision in reversed(good):
        if not settled or (not revision.current and revision.digest != in_force):
            return Choice(revision=revision, current=current, why=revision.reasons, proven=True)
    if good:
        raise NothingToDo(
            "{target} is at its last good revision already ({number}).",
            target=str(target),
            number=good[-1].number,
            hint="If something is wrong all the same, name where to go with --to (see `backout history {target}`).",
        )
    raise NoGoodRevision(
        "No revision of {target} is proven good, so none was chosen.",
        target=str(target),
        history=joined(_line(revision) for revision in revisions),
        expected="a revision that is known to have been healthy",
        found="{history}",
        hint=rules.hint or "Look at `backout history {target}` and name one: --to REVISION.",
    )


def _named(target: Target, revisions: Sequence[Revision], current: Revision | None, to: str) -> Choice:
    chosen = _meant(revisions, to)
    if chosen is None and not to.isdecimal():
        if any(revision.names for revision in revisions):
            raise RevisionNotFound(
                "No revision of {target} is called {to}.",
                target=str(target),
                to=to,
                expected="a revision number, or the id or tag of a snapshot",
                hint="`backout history {target}` names them.",
            )
        raise UsageError("{to} is not a revision of {target}.", to=to, target=str(target), expected="a revision number")
    if chosen is None:
        numbers = ", ".join(str(revision.number) for revision in revisions) or "none"
        raise RevisionNotFound(
            _why_missing(target, int(to), [revision.number for revision in revisions]),
            to=to,
            target=str(target),
            found="revisions {numbers}",
            numbers=numbers,
            hint="Choose one of those: `backout history {target}` says which are good.",
        )
    if current and chosen.current and current.settled and chosen.goodness != "unknown":
        raise NothingToDo(
            "{target} is at revision {to} already.",
            target=str(target),
            to=to,
            hint="Choose another: `backout history {target}`.",
        )
    why = (msg("Named with --to."), *chosen.reasons)
    return Choice(revision=chosen, current=current, why=why, proven=chosen.goodness == "good")


def _why_missing(target: Target, number: int, there: Sequence[int]) -> str:
    """A number that rises is never given twice: below the newest one it was there once."""
    if not 0 < number < max(there, default=0):
        return "{target} has no revision {to}."
    if target.kind in WORKLOADS:
        return "Revision {to} of {target} is no longer in its history: it was pruned, or it came back under another number."
    return "Revision {to} of {target} was pruned from its history."


def _meant(revisions: Sequence[Revision], to: str) -> Revision | None:
    """By number, by one that it had before, by the whole name, or by the start of an id (four characters or more)."""
    number = int(to) if to.isdecimal() else 0
    numbered = [revision for revision in revisions if number and revision.number == number]
    numbered += [revision for revision in reversed(revisions) if number in revision.former]
    named = [revision for revision in reversed(revisions) if to in revision.names]
    begun = [revision for revision in reversed(revisions) if any(_begins(name, to) for name in revision.names)]
    return next(iter([*numbered, *named, *begun]), None)


def _begins(name: str, to: str) -> bool:
    return len(to) >= _SHORTEST and len(name) > len(to) and name.startswith(to) and set(name) <= _HEX


def _line(revision: Revision) -> Message:
    return msg(
        "{number} {goodness} ({reason})",
        number=revision.number,
        goodness=msg(revision.goodness),
        reason=revision.reasons[0] if revision.reasons else "nothing is known of it",
    )
