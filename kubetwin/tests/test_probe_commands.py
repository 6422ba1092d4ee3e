# SPDX-License-Identifier: Apache-2.0
"""Which commands of exec probes a simulated kubelet knows the end of."""

from __future__ import annotations

import pytest

from kubetwin.kubelet.commands import exit_code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["/bin/false"], 1),
        (["sh", "-c", "exit 3"], 3),
        (["/bin/bash", "-ec", "exit 0"], 0),
        (["sh", "-c", "false"], 1),
        (["sh", "-c", "exit 300"], 44),
        (["sh", "-c", ":"], 0),
    ],
)
def test_known(command: list[str], code: int) -> None:
    assert exit_code(command) == code


@pytest.mark.parametrize(
    "command",
    [[], ["cat", "/tmp/healthy"], ["sh", "-c", "exit"], ["sh", "-c", "true && x"], ["sh", "-c", "'"], ["sh", "true"]],
)
def test_unknown(command: list[str]) -> None:
    assert exit_code(command) is None
