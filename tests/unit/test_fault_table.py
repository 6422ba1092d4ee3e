# SPDX-License-Identifier: Apache-2.0
"""The table of faults names tests that exist, and no fault is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
FAULTS = 66


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 50
    for file, test in named:
        path = ROOT / file
        assert path.is_file(), file
        assert not test or re.search(rf"^(?:async )?def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE), (
            f"{file}::{test}"
        )


def test_no_fault_is_forgotten() -> None:
    seen: set[int] = set()
    rows = re.findall(r"^\| ([\d–, ]+) \|", PAGE, re.MULTILINE)
    for row in rows:
        for part in row.split(","):
            first, _, last = part.strip().partition("–")
            seen |= set(range(int(first), int(last or first) + 1))
    left = PAGE[PAGE.index("## Not played") :]
    seen |= {int(number) for number in re.findall(r"\b(\d+)\b", left)}
    assert set(range(1, FAULTS + 1)) - seen == set()
