# SPDX-License-Identifier: Apache-2.0
"""How long is waited and watched: the configuration and the options reach the plan that is carried out."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from kubetwin.process import Twin


@pytest.fixture(scope="module")
def web(twin: Twin, tools: dict[str, Path]) -> str:
    """A Deployment of two revisions; the name of its namespace."""

    def kubectl(*words: str) -> None:
        subprocess.run(
            [str(tools["kubectl"]), "--kubeconfig", str(twin.kubeconfig), *words],
            check=True,
            capture_output=True,
            timeout=60,
        )

    kubectl("create", "namespace", "timing")
    kubectl("create", "deployment", "web", "--image", "web:1.0", "-n", "timing")
    kubectl("set", "image", "deployment/web", "*=web:1.1", "-n", "timing")
    kubectl("rollout", "status", "deployment/web", "-n", "timing", "--timeout", "50s")
    return "timing"


def times(shell: Shell, release: str, *more: str) -> tuple[float, set[float]]:
    """The soak, and what steps that wait may take."""
    answer = shell("plan", "deployment/web", "--to", "1", "-n", release, "-o", "json", *more)
    assert answer.code == 0, answer.err
    part: dict[str, Any] = answer.document["items"][0]["parts"][0]
    waiting = {step["timeout"] for step in part["steps"] if step["action"] == "workload.wait-ready"}
    return part["soak"], waiting


def test_what_was_asked_for_is_in_the_plan(backout: Shell, web: str) -> None:
    assert times(backout, web) == (10.0, {300.0})
    config = backout.home / "backout.yaml"
    config.write_text("apiVersion: backout.dev/v1\nverify: {soak: 3, timeout: 70}\n")
    assert times(backout, web) == (3.0, {70.0})
    assert times(backout, web, "--soak", "0", "--timeout", "45") == (0.0, {45.0})
    config.write_text("apiVersion: backout.dev/v1\nverify: {timeout: -1}\n")
    assert backout.error("plan", "deployment/web", "-n", web)["code"] == "config"


@pytest.mark.parametrize("option", [("--soak", "1"), ("--timeout", "5"), ("--to", "1"), ("--no-hooks",)])
def test_a_plan_file_says_itself(backout: Shell, release: str, option: tuple[str, ...]) -> None:
    file = backout.home / "plan.yaml"
    assert backout("plan", f"helm/{release}", "--to", "3", "-n", release, "--out", str(file)).code == 0
    error = backout.error("run", str(file), "--yes", *option)
    assert error["exitCode"] == 2 and option[0] in error["message"]
