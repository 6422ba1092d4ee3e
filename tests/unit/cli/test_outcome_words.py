# SPDX-License-Identifier: Apache-2.0
"""An undo puts back what was broken: it is never called a recovery."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backout.cli.render.run import show_verdict
from backout.cli.render.screen import Screen
from backout.model.verdict import Verdict


@pytest.mark.parametrize(("undo", "word"), [(False, "recovered"), (True, "taken back")])
def test_an_undo_is_taken_back_not_recovered(undo: bool, word: str) -> None:
    screen = Screen("en")
    show_verdict(screen, Verdict(outcome="recovered", checks=(), at=datetime(2026, 11, 1, tzinfo=UTC)), undo=undo)
    assert screen.lines[-1] == word
