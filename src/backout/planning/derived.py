# SPDX-License-Identifier: Apache-2.0
"""What the steps of a plan file say by themselves, whatever its texts say. Pure.

Titles, risks and checks of a file are words of whoever wrote it: its hash says that it is whole, and nothing of who made it. What a step
does is in its action and parameters. So each is told as those have it, and a question that steps like these always ask must be asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backout.errors import PlanChanged
from backout.mechanisms import registry
from backout.mechanisms.port import StepOf
from backout.model.message import Message, few, msg
from backout.model.part import Part, Step
from backout.planning.reach import written


def told(step: Step) -> Message:
    """A step as its action and parameters have it."""
    words = few([step.action, *_scalars(step.params)], shown=8)
    refs = dict.fromkeys(f"{ref} ({ref.namespace})" if ref.namespace else str(ref) for ref in written(step))
    if not refs:
        return msg("By itself: {words}", words=words)
    return msg("By itself: {words}; it writes or deletes {objects}", words=words, objects=few(list(refs)))


def _scalars(params: dict[str, Any]) -> Iterable[str]:
    for name, value in params.items():
        if (
            isinstance(value, str | int | float | bool)
            and value not in ("", False)
            and name not in ("digest", "expect")
        ):
            yield f"{name}={value}"


def require_questions(part: Part) -> None:
    """
    Raises:
        PlanChanged: its steps need an explicit yes, or hold only under a condition, that the plan leaves out.
    """
    asked = {risk.code for risk in part.risks if risk.needs_approval}
    for step in part.steps:
        kind = registry.step_kind(step.action)
        for code in kind.asks(StepOf(step, kind.read(step.action, step.params))):
            if code not in asked:
                raise _left_out(part, step, msg("the question {code}, which such a step asks", code=code))
        for name in kind.conditions:
            if not step.precondition.get(name):
                raise _left_out(part, step, msg("the condition {name}, which such a step holds to", name=name))


def _left_out(part: Part, step: Step, what: Message) -> PlanChanged:
    return PlanChanged(
        "The plan for {target} leaves out, of its step {step}: {what}.",
        target=str(part.target),
        step=step.id,
        what=what,
        hint="The plan was edited, it seems. Make it again.",
    )
