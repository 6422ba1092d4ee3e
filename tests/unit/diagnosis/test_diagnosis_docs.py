# SPDX-License-Identifier: Apache-2.0
"""Every symptom that a diagnosis gives a name of its own is documented."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_symptom_is_documented() -> None:
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "src" / "backout" / "diagnosis").rglob("*.py"))
    codes = set(re.findall(r'\b(?:code|CODE) ?= ?"([A-Z]\w+)"', sources))
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
