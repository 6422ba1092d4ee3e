# SPDX-License-Identifier: Apache-2.0
"""The table of faults: one row for each, with the command that plays it again, which names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
MOST = 107
"""Faults that are known; each has a number."""
ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| \d+ \|.*$", PAGE, re.MULTILINE)
]
TEST = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?")


def test_each_fault_has_one_row() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, MOST + 1))
    assert len({row[1] for row in ROWS}) == MOST


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_says_what_is_expected_how_it_ended_and_how_to_play_it_again(row: list[str]) -> None:
    number, fault, expected, result, command = row
    assert fault and expected and result == "holds"
    assert re.fullmatch(r"`pytest tests/[\w/]+\.py(?:::\w+)?`", command), number


def test_every_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE)
    assert len(named) > MOST
    for file, test in named:
        path = ROOT / file
        assert path.is_file(), file
        assert not test or re.search(rf"^(?:async )?def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE), (
            f"{file}::{test}"
        )
