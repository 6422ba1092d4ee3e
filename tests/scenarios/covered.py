# SPDX-License-Identifier: Apache-2.0
"""`backout`, each plan of which is held against the rights that `doctor` asks for when no target is named."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.app.doctor import usual
from backout.cli.main import main
from backout.model.operation import Operation
from backout.model.part import Access
from backout.workflows import prepare

made = prepare.make_operation


def uncovered(plan: Operation) -> list[Access]:
    """A right on all objects of a kind covers that on one of them."""
    return [
        right
        for part in plan.parts
        for right in part.access
        if not {right, msgspec.structs.replace(right, name="")} & usual(part.scope.namespace)
    ]


async def make_operation(*arguments: Any, **options: Any) -> Operation:
    plan = await made(*arguments, **options)
    assert not uncovered(plan), f"doctor does not ask for {uncovered(plan)}"
    return plan


prepare.make_operation = make_operation
main()
