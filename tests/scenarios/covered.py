# SPDX-License-Identifier: Apache-2.0
"""`backout`, each plan of which is held against the rights that `doctor` asks for when no target is named."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.app.doctor import held, usual
from backout.cli.main import main
from backout.model.operation import Operation
from backout.model.part import Access
from backout.workflows import prepare

made = prepare.make_operation


async def uncovered(cluster: Any, plan: Operation) -> list[Access]:
    """A right on all objects of a kind covers that on one of them."""
    found = []
    for part in plan.parts:
        asked = usual(part.scope.namespace) | await held(cluster, part.scope.namespace)
        found += [r for r in part.access if not {r, msgspec.structs.replace(r, name="")} & asked]
    return found


async def make_operation(*arguments: Any, **options: Any) -> Operation:
    plan = await made(*arguments, **options)
    missing = await uncovered(arguments[0], plan)
    assert not missing, f"doctor does not ask for {missing}"
    return plan


prepare.make_operation = make_operation
main()
