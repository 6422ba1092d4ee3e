# SPDX-License-Identifier: Apache-2.0
"""What must hold of a release right before helm is started: a table of what is there, and whether it is what was approved."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from helm_drafts import TARGET
from helm_histories import fact

from backout.errors import PreconditionFailed
from backout.helm.manifest import digest
from backout.mechanisms.helm.effects import _same_target, _still_as_planned
from backout.mechanisms.helm.params import RollbackParams
from backout.mechanisms.port import StepOf
from backout.model.message import msg
from backout.model.part import Step

OLD, NEW, OTHER = fact(1, "web:1"), fact(2, "web:2"), fact(2, "web:9")
assert OLD.release and NEW.release and OTHER.release
WANTED, PRESENT = digest(OLD.release.manifest), digest(NEW.release.manifest)


def step(**precondition: Any) -> StepOf[RollbackParams]:
    params = RollbackParams(release="web", revision=1, digest=WANTED, apply="csa")
    held = {"head": 2, "status": "deployed", "digest": PRESENT, **precondition}
    plain = Step(id="rollback", action="helm.rollback", target=TARGET, title=msg("Back"), precondition=held)
    return StepOf(plain, params)


@pytest.mark.parametrize(
    ("revision", "status", "found", "holds"),
    [
        (2, "deployed", NEW, True),
        (2, "deployed", OTHER, False),
        (2, "failed", NEW, False),
        (3, "deployed", NEW, False),
        (3, "deployed", OLD, False),
        # what a helm of ours left that was killed, or failed
        (3, "pending-rollback", OLD, True),
        (3, "failed", OLD, True),
        (3, "pending-rollback", OTHER, False),
        (3, "pending-upgrade", OLD, False),
    ],
)
def test_what_was_changed_since_the_plan_is_left_alone(revision: int, status: str, found: Any, holds: bool) -> None:
    head = msgspec.structs.replace(NEW.record, revision=revision, status=status)
    if holds:
        _still_as_planned(step(), head, found.release)
    else:
        with pytest.raises(PreconditionFailed):
            _still_as_planned(step(), head, found.release)


@pytest.mark.parametrize(
    ("history", "kept", "said"),
    [
        ([OLD.record, NEW.record], OLD.release, ""),
        ([OLD.record, NEW.record], OTHER.release, "does not say what it said"),
        ([NEW.record], OLD.release, "is not in its history any more"),
    ],
)
def test_the_revision_that_was_approved_is_there_and_says_the_same(history: list[Any], kept: Any, said: str) -> None:
    class Records:
        async def history(self, release: str) -> list[Any]:
            return history

        async def load(self, record: Any) -> Any:
            return kept

    records: Any = Records()
    if not said:
        assert asyncio.run(_same_target(records, step())) == OLD.release
        return
    with pytest.raises(PreconditionFailed) as raised:
        asyncio.run(_same_target(records, step()))
    assert said in str(raised.value)
