# SPDX-License-Identifier: Apache-2.0
"""What somebody else keeps as they want it: refused where there is a better way, else a risk and a check. Pure."""

from __future__ import annotations

import msgspec

from backout.errors import RefusedError
from backout.model.message import Message, msg
from backout.model.part import Check, Risk
from backout.model.target import Target
from backout.ownership.owner import Owner
from backout.ownership.signs import Manager
from backout.ownership.state import ManagerState

CODE = "owner"
"""What is approved with ``--approve``."""
QUIET = "owner-quiet"
MARGIN = 1.1
"""A controller adds some jitter to its interval."""


class Keeper(msgspec.Struct, frozen=True, kw_only=True):
    """A controller that keeps a target, and what it is about to do."""

    manager: Manager
    state: ManagerState = ManagerState()


def refuse_owned(target: Target, owner: Owner) -> None:
    """What a release or an operator owns is changed there.

    Raises:
        RefusedError: a release has it, or something else made it.
    """
    if owner.kind not in ("helm", "operator", "controller"):
        return
    release = owner.kind == "helm" or (owner.target is not None and owner.target.kind == "helm")
    name = str(owner.target) if owner.target is not None else str(owner.ref) if owner.ref is not None else "its owner"
    hint = (
        "Go back by the release: `backout plan {owner}`."
        if release
        else "Change {owner}, from which it is made."
        if owner.kind == "operator"
        else "Act on {owner}, from which it is made."
    )
    raise RefusedError(
        "{target} is owned by {owner}, which would undo a change of it. {why}",
        target=str(target),
        owner=name,
        why=owner.message,
        kind=owner.kind,
        expected="something that nobody else manages",
        found="one that belongs to {owner}",
        hint=hint,
    )


def owner_risks(target: Target, keeper: Keeper | None, owner: Owner | None = None) -> tuple[Risk, ...]:
    """What the reader must know of who would write another state back; it needs a yes unless that one is suspended."""
    if keeper is None:
        if owner is not None and owner.kind == "none" and not owner.sure:
            return (Risk(code="owner-unsure", message=owner.message),)
        return ()
    name, hold = keeper.manager.name, keeper.manager.hold
    if keeper.state.active is False:
        return (
            Risk(
                code=CODE,
                message=msg(
                    "{owner} keeps {target} as its source says. It is suspended now; once it is resumed it writes that back: mend the "
                    "source before.",
                    owner=name,
                    target=str(target),
                ),
            ),
        )
    return (Risk(code=CODE, needs_approval=True, message=_undoes(target, name, hold, keeper.state)),)


def _undoes(target: Target, name: str, hold: Message, state: ManagerState) -> Message:
    if state.interval is None:
        return msg(
            "{owner} keeps {target} as its source says, and would write that back. Better: {hold}.",
            owner=name,
            target=str(target),
            hold=hold,
        )
    return msg(
        "{owner} keeps {target} as its source says, and would write that back within {seconds} s. Better: {hold}.",
        owner=name,
        target=str(target),
        seconds=round(state.interval),
        hold=hold,
    )


def owner_checks(target: Target, keeper: Keeper | None) -> tuple[Check, ...]:
    """That the way back outlasts the owner's next look: known only once that is over."""
    if keeper is None or keeper.state.active is False:
        return ()
    interval = keeper.state.interval
    return (
        Check(
            code=QUIET,
            target=target,
            title=msg("{owner} leaves {target} as it is", owner=keeper.manager.name, target=str(target)),
            params={"owner": keeper.manager.name, "seconds": round(interval * MARGIN, 1) if interval else 0.0},
        ),
    )
