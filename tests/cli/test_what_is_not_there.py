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


ELSEWHERE = [
    ("diagnose", "configmap/{name}"),
    ("status", "configmap/{name}"),
    ("history", "configmap/{name}"),
    ("history", "helm/{name}"),
    ("plan", "helm/{name}"),
    ("run", "helm/{name}", "--yes"),
    ("verify", "helm/{name}", "--soak", "0"),
]


@pytest.mark.parametrize("arguments", ELSEWHERE, ids=" ".join)
def test_what_is_in_another_namespace_is_said(backout: Shell, release: str, arguments: tuple[str, ...]) -> None:
    error = backout.error(*(text.format(name=release) for text in arguments), "-n", "default")
    assert f"in namespace {release}: say so with -n." in error["hint"], error


@pytest.mark.parametrize("command", [("history",), ("plan",), ("diagnose",)])
def test_what_is_another_kind_is_said(backout: Shell, release: str, command: tuple[str, ...]) -> None:
    error = backout.error(*command, f"deployment/{release}", "-n", release)
    assert f"There is helm/{release}, configmap/{release} here." in error["hint"]


def test_what_is_nowhere_is_said(backout: Shell, release: str) -> None:
    error = backout.error("history", "deployment/nope", "-n", release)
    assert "-n and --context say where to look" in error["hint"]
    # What was said before is kept.
    error = backout.error("history", "helm/nope", "-n", release)
    assert "A chart that Argo CD renders leaves no release record." in error["hint"]


def test_doctor_says_so_as_well(backout: Shell, release: str) -> None:
    answer = backout("doctor", f"helm/{release}", "-n", "default", "-o", "json")
    assert answer.code == 4
    hints = [check.get("hint", "") for check in answer.document["checks"] if not check["ok"]]
    assert any(f"in namespace {release}: say so with -n." in hint for hint in hints), hints
