# SPDX-License-Identifier: Apache-2.0
"""The exit code of a command that began several runs: a refusal only where nothing was written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backout.app.running import exit_code_of_all
from backout.errors import ClusterUnreachable, RefusedError, RunNotFound
from backout.model.message import msg
from backout.model.run import Failure


def run(state: str, code: int = 0) -> Any:
    return SimpleNamespace(state=state, failure=Failure("x", code, msg("why")) if code else None)


DONE, UNHEALTHY, REFUSED, PARTLY = run("recovered"), run("not-recovered", 7), run("failed", 5), run("failed", 8)
UNEXPECTED = run("failed", 1)
NO_ANSWER = SimpleNamespace(error=ClusterUnreachable("no"))
NOT_BEGUN = SimpleNamespace(error=RefusedError("no"))
NOT_THERE = SimpleNamespace(error=RunNotFound("no"))


@pytest.mark.parametrize(
    ("runs", "failures", "code"),
    [
        ([DONE, DONE], [], 0),
        ([DONE, REFUSED], [], 8),
        ([REFUSED, REFUSED], [], 5),
        ([REFUSED], [NOT_BEGUN], 5),
        ([DONE], [NOT_BEGUN], 8),
        ([DONE], [NOT_THERE], 8),
        ([DONE], [NO_ANSWER], 8),
        ([], [NO_ANSWER], 1),
        ([UNEXPECTED], [], 1),
        ([], [NOT_BEGUN, NOT_THERE], 5),
        ([UNHEALTHY, REFUSED], [], 7),
        ([PARTLY], [NOT_BEGUN], 8),
    ],
)
def test_what_was_written_decides(runs: list[Any], failures: list[Any], code: int) -> None:
    assert exit_code_of_all(runs, failures) == code
