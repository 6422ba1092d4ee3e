# SPDX-License-Identifier: Apache-2.0
"""`backout`, each plan of which is held against the rights that `doctor` asks for when no target is named."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.app.doctor import usual
from backout.cli.main import main
from backout.model.plan import Access, Plan
from backout.workflows import prepare

made = prepare.make_plan


def uncovered(plan: Plan) -> list[Access]:
    """A right on all objects of a kind covers that on one of them."""
    granted = usual(plan.namespace)
    return [right for right in plan.access if not {right, msgspec.structs.replace(right, name="")} & granted]


async def make_plan(*arguments: Any, **options: Any) -> Plan:
    plan = await made(*arguments, **options)
    assert not uncovered(plan), f"doctor does not ask for {uncovered(plan)}"
    return plan


prepare.make_plan = make_plan
main()
