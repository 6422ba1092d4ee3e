# SPDX-License-Identifier: Apache-2.0
"""A namespace or a target that does not exist is never calm: every command that looks at one says so, with exit code 4."""

from __future__ import annotations

import pytest
from backout_shell import Shell

from kubetwin.process import Twin

NOWHERE = [
    ("diagnose",),
    ("status",),
    ("changes",),
    ("plan",),
    ("run", "--yes"),
    ("run", "--yes", "--dry-run"),
    ("verify", "--soak", "0"),
    ("doctor",),
    ("snapshot", "create"),
    ("history", "helm/nope"),
]
NOTHING = [
    ("diagnose", "deployment/nope"),
    ("diagnose", "helm/nope"),
    ("status", "deployment/nope"),
    ("status", "helm/nope"),
    ("history", "deployment/nope"),
    ("history", "configmap/nope"),
    ("plan", "helm/nope"),
    ("plan", "deployment/nope"),
    ("run", "helm/nope", "--yes"),
    ("run", "helm/nope", "--yes", "--dry-run"),
    ("verify", "helm/nope", "--soak", "0"),
    ("verify", "deployment/nope", "--soak", "0"),
    ("doctor", "helm/nope"),
    ("doctor", "deployment/nope"),
    ("snapshot", "show", "nope"),
    ("show", "nope"),
    ("report", "nope"),
    ("undo", "nope", "--yes"),
    ("resume", "nope"),
    ("abort", "nope"),
]


@pytest.mark.parametrize("arguments", NOWHERE, ids=" ".join)
def test_a_namespace_that_does_not_exist(backout: Shell, arguments: tuple[str, ...]) -> None:
    answer = backout(*arguments, "-n", "nowhere")
    assert answer.code == 4, answer.out + answer.err


@pytest.mark.parametrize("arguments", NOTHING, ids=" ".join)
def test_a_target_that_does_not_exist(backout: Shell, release: str, arguments: tuple[str, ...]) -> None:
    answer = backout(*arguments, "-n", release)
    assert answer.code == 4, answer.out + answer.err


@pytest.mark.parametrize("place", [("-n", "nowhere"), ("-n", "default")])
def test_nothing_is_broken_that_is_not_there(backout: Shell, twin: Twin, place: tuple[str, ...]) -> None:
    answer = backout("twin", "break", "deployment/nope", "oom", "--directory", str(twin.kubeconfig.parent), *place)
    assert answer.code == 4, answer.out + answer.err
