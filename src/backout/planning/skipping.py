# SPDX-License-Identifier: Apache-2.0
"""What is to be left out of plans: what was named has to be met, and nothing of it may be written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backout.errors import RefusedError
from backout.mechanisms.port import Draft
from backout.model.message import Message, msg
from backout.model.part import Spared
from backout.model.skip import Skip, parse_skip
from backout.model.target import ObjectRef, Target
from backout.planning.reach import written


class Skips:
    """All that is to be left out of a command's plans, and what of it was met."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._all = tuple(dict.fromkeys(parse_skip(text) for text in texts))
        self._met: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._all)

    def __iter__(self) -> Iterator[Skip]:
        return iter(self._all)

    def target(self, target: Target) -> bool:
        """Whether a target is to be left out, which is noted."""
        return self._noted([skip for skip in self._all if skip.means_target(target)])

    def object(self, ref: ObjectRef) -> bool:
        """Whether an object is to be left out, which is noted."""
        return self._noted([skip for skip in self._all if skip.means(ref)])

    def _noted(self, found: Sequence[Skip]) -> bool:
        self._met.update(skip.text for skip in found)
        return bool(found)

    def require_met(self) -> None:
        """To be called when everything is planned.

        Raises:
            RefusedError: something that was named is in no plan: a word that says nothing must not pass for a wish that was met.
        """
        missing = [skip.text for skip in self._all if skip.text not in self._met]
        if missing:
            raise RefusedError(
                "Nothing that would be done touches {names}, so that can't be left out.",
                names=", ".join(missing),
                expected="a target, or an object that a plan changes or deletes",
                hint="Look at the plan without --skip; it names what it touches.",
            )


def spared_target(target: Target) -> Spared:
    """What a plan says of a target that was left out."""
    return Spared(
        what=str(target), namespace=target.namespace, how=msg("It would go back as well, and is left as it is.")
    )


def spared_objects(target: Target, draft: Draft, skips: Skips) -> tuple[Spared, ...]:
    """The objects that a draft leaves as they are.

    Raises:
        RefusedError: it would write, or need, one that is to be left out.
    """
    if not skips:
        return ()
    for ref, why in draft.unskippable:
        if skips.object(ref):
            raise _not_without(target, ref, why)
    left = {_plain(ref) for ref, _ in draft.skipped}
    for ref, why in _touched(draft):
        if _plain(ref) not in left and skips.object(ref):
            raise _not_without(target, ref, why)
    found = [(ref, how) for ref, how in draft.skipped if skips.object(ref)]
    return tuple(Spared(what=str(ref), namespace=ref.namespace, how=how) for ref, how in found)


def _touched(draft: Draft) -> Iterable[tuple[ObjectRef, Message]]:
    """What the draft writes, and by which of its steps."""
    for step in draft.steps:
        for ref in written(step):
            yield ref, msg("It is needed for this: {step}.", step=step.title)
    for change in draft.changes.effective:
        yield change.ref, msg("Going back means to change it.")


def _not_without(target: Target, ref: ObjectRef, why: Message) -> RefusedError:
    return RefusedError(
        "{target} can't go back without {object}: {why}",
        target=str(target),
        object=str(ref),
        why=why,
        expected="something that can be left out on its own",
        found="{object}",
        hint="Leave the whole target out (--skip {target}), or go back with {object}.",
    )


def _plain(ref: ObjectRef) -> tuple[str, str, str]:
    return ref.kind, ref.namespace, ref.name
