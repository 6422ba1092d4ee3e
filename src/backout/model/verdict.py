# SPDX-License-Identifier: Apache-2.0
"""What the checks measured. "Running" is not ready, "no error" is not proof, and unknown is an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.model.message import Message
from backout.model.target import Target

CheckStatus = Literal["pass", "fail", "unknown"]
Outcome = Literal["recovered", "not-recovered", "unknown"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check with its measured value; ``part``: of an operation of several."""

    code: str
    target: Target
    title: Message
    status: CheckStatus
    measured: Message
    expected: Message | None = None
    at: datetime
    data: dict[str, Any] = {}
    part: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All checks of one run: recovered only when every one passed."""

    outcome: Outcome
    checks: tuple[CheckResult, ...]
    at: datetime
    soak: float = 0.0


def judge(checks: tuple[CheckResult, ...], at: datetime, soak: float = 0.0) -> Verdict:
    """Recovered when there is at least one check and all passed; one failure decides; otherwise unknown."""
    states = {check.status for check in checks}
    outcome: Outcome = "unknown"
    if "fail" in states:
        outcome = "not-recovered"
    elif states == {"pass"}:
        outcome = "recovered"
    return Verdict(outcome=outcome, checks=checks, at=at, soak=soak)
