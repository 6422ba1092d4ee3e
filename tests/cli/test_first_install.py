# SPDX-License-Identifier: Apache-2.0
"""A first install that Helm never ended: the diagnosis and the plan say what to do instead of going back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

NAMESPACE = "half"


@pytest.fixture(scope="module")
def half_installed(helm: Any, tools: dict[str, Path], twin: Any) -> str:
    """A release whose only record says pending-install, as a helm that was killed leaves it."""
    helm("install", "half", str(Path(__file__).parent / "tiny"), "-n", NAMESPACE, "--create-namespace")
    subprocess.run(
        [
            str(tools["kubectl"]),
            "--kubeconfig",
            str(twin.kubeconfig),
            "-n",
            NAMESPACE,
            "label",
            "--overwrite",
            "secret",
            "sh.helm.release.v1.half.v1",
            "status=pending-install",
        ],
        check=True,
        timeout=600,
        capture_output=True,
    )
    return NAMESPACE


def test_it_is_found_and_nobody_is_sent_to_run(backout: Shell, half_installed: str) -> None:
    answer = backout("diagnose", "-n", half_installed)
    assert answer.code == 10
    assert "ReleasePending" in answer.out and "helm uninstall half -n half" in answer.out
    assert "→ backout run" not in answer.out


@pytest.mark.parametrize("arguments", [(), ("helm/half",), ("helm/half", "--to", "1")])
def test_a_plan_is_refused_with_the_way_out(backout: Shell, half_installed: str, arguments: tuple[str, ...]) -> None:
    error = backout.error("plan", *arguments, "-n", half_installed)
    assert error["exitCode"] == 5
    assert "helm uninstall half -n half" in error["hint"]
