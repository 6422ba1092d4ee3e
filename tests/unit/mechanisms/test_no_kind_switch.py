# SPDX-License-Identifier: Apache-2.0
"""What is particular to a way back is known by it alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import backout
from backout.mechanisms import registry

HOUSE = Path(backout.__file__).parent
ROOMS = ("planning", "report", "snapshots", "verify", "workflows")
ACTION = re.compile(rf"({'|'.join(registry.ENTRIES)})\\.[a-z-]+")


def modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((HOUSE / room).rglob("*.py"))]


def switches(tree: ast.AST) -> Iterator[str]:
    """Comparisons with the names of ways back or of kinds of target, and names of actions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ACTION.fullmatch(node.value):
            yield node.value
        if not isinstance(node, ast.Compare) or not isinstance(node.left, ast.Attribute):
            continue
        subject = ast.unparse(node.left)
        if subject.endswith(("target.kind", ".mechanism")):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_room_switches_by_kind(path: Path) -> None:
    found = [text for text in switches(ast.parse(path.read_text())) if "WORKLOADS" not in text]
    assert found == []


def test_ways_back_name_their_kinds_once() -> None:
    kinds = [kind for entry in registry.ENTRIES.values() for kind in entry.kinds]
    assert len(kinds) == len(set(kinds))
    assert all(one.name == name for name, one in zip(registry.ENTRIES, registry.every(), strict=True))


def test_every_action_has_its_parameters_and_says_what_it_writes() -> None:
    for one in registry.every():
        for action, kind in one.step_kinds().items():
            assert action.startswith(f"{one.name}.") and kind.params.__struct_config__.forbid_unknown_fields
