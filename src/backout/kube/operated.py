# SPDX-License-Identifier: Apache-2.0
"""How a custom resource is, by its own status and by the workloads that its operator makes of it. Pure.

That its operator has taken up the newest spec is told by ``observedGeneration``, or by a workload of it that changed since; where
neither tells, nobody knows, and it is not called ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from backout.kube.custom_status import CustomHealth, CustomState, custom_health
from backout.kube.rollout import Rollout
from backout.model.message import Message, msg

SILENT = msg("its operator has not said anything of it yet: does it run?")


class OperatedState(StrEnum):
    """``WAITING``: it may become ready; ``FAILED``: its operator says that it will not as it is."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A workload that an operator had made when somebody looked, and which state of it that was."""

    kind: str
    name: str
    namespace: str
    uid: str = ""
    generation: int = 0


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that is there now, with how far its rollout is."""

    kind: str
    name: str
    uid: str
    generation: int
    rollout: Rollout


class Operated(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, with the reason. ``taken_up``: the operator is known to have seen the newest spec."""

    state: OperatedState
    why: Message
    taken_up: bool = False


def operated(
    obj: Mapping[str, Any] | None,
    children: Sequence[Child],
    known: Sequence[Known] = (),
    *,
    changed: bool = False,
    answers: bool = True,
) -> Operated:
    """How ``obj`` (as the API gives it) is.

    ``children``: the workloads that are made of it now; ``known``: those there were before its spec was changed, where it was
    (``changed``). ``answers``: somebody is to say in its status how it is; of a kind that only configures something nobody
    does, and what is written is all that there is to see.
    """
    if obj is None:
        return Operated(state=OperatedState.FAILED, why=msg("it does not exist"))
    health = custom_health(obj)
    taken_up = not changed or health.observed or _moved(children, known)

    def answer(state: OperatedState, why: Message) -> Operated:
        return Operated(state=state, why=why, taken_up=taken_up)

    if not answers and not children and health.state is CustomState.UNKNOWN:
        return Operated(
            state=OperatedState.READY,
            why=msg("it is there, and was accepted; its kind has no status, so that nobody says who has taken it up"),
            taken_up=False,
        )
    unfinished = next((child for child in children if not child.rollout.complete), None)
    if health.state is CustomState.FAILED:
        return answer(OperatedState.FAILED, _said(health))
    if health.state is CustomState.UNDER_WAY:
        return answer(OperatedState.WAITING, _said(health))
    if unfinished is not None:
        name = f"{unfinished.kind.lower()}/{unfinished.name}"
        return answer(OperatedState.WAITING, msg("{workload}: {why}", workload=name, why=unfinished.rollout.why))
    if known and not children:
        names = ", ".join(f"{one.kind.lower()}/{one.name}" for one in known)
        return answer(OperatedState.WAITING, msg("nothing is made of it any more ({names})", names=names))
    if not taken_up and not (health.reason == "NoStatus" and not children):
        paused = health.state is CustomState.PAUSED
        return answer(
            OperatedState.UNKNOWN,
            msg("its operator leaves it alone, since it is paused: what it says now has no effect")
            if paused
            else msg("nothing tells whether its operator has taken up what it says now"),
        )
    if health.reason == "NoStatus" and not children:
        return answer(OperatedState.UNKNOWN, SILENT)
    if health.state is CustomState.PAUSED and not children:
        return answer(OperatedState.READY, msg("it is paused, as it says, and nothing is made of it"))
    if health.state is CustomState.UNKNOWN and not children:
        return answer(OperatedState.UNKNOWN, msg("neither its status nor anything made of it tells how it is"))
    names = ", ".join(f"{child.kind.lower()}/{child.name}" for child in children)
    if health.state is CustomState.READY and not children:
        return answer(OperatedState.READY, msg("its operator says that it is ready"))
    if health.state is CustomState.READY:
        return answer(OperatedState.READY, msg("its operator says that it is ready, and so is {names}", names=names))
    return answer(OperatedState.READY, msg("what is made of it is ready: {names}", names=names))


def _moved(children: Sequence[Child], known: Sequence[Known]) -> bool:
    """True when a workload was made, made anew or changed since."""
    before = {(one.kind, one.name): one for one in known}
    for child in children:
        one = before.get((child.kind, child.name))
        if one is None or one.uid != child.uid or child.generation > one.generation:
            return True
    return False


def _said(health: CustomHealth) -> Message:
    if health.reason == "Deleting":
        return msg("it is being deleted, and finalizers hold it: {why}", why=health.message or "-")
    if health.reason == "NotObserved":
        return msg("its operator has not taken up its newest generation yet")
    return msg("its operator says: {why}", why=health.message or health.reason)
