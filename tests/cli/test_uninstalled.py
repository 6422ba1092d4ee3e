# SPDX-License-Identifier: Apache-2.0
"""A release that was uninstalled, or whose newest record can't be read, is not healthy by any command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

CHART = Path(__file__).parent / "tiny"


def state(shell: Shell, name: str, *target: str) -> Any:
    document = shell("status", *target, "-n", name, "-o", "json").document
    return document["items"][0]["targets"][0]


def test_an_uninstalled_release(backout: Shell, helm: Any) -> None:
    name = "gone-by-helm"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    helm("uninstall", name, "-n", name, "--keep-history")
    found = state(backout, name)
    assert found["healthy"] is False and "uninstalled" in str(found["problem"])
    for command in ("diagnose", "status", "doctor"):
        answer = backout(command, f"helm/{name}", "-n", name)
        assert answer.code == 4 and "uninstalled" in answer.out + answer.err, answer.out + answer.err
    assert backout("verify", f"helm/{name}", "-n", name, "--soak", "0").code == 7
    assert backout("plan", f"helm/{name}", "-n", name).code == 5


@pytest.mark.parametrize("payload", ["bm90IGEgcmVsZWFzZQ=="])
def test_a_release_that_can_not_be_read(backout: Shell, helm: Any, tools: dict[str, Path], payload: str) -> None:
    name = "not-readable"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    secret = f"sh.helm.release.v1.{name}.v1"
    patch = json.dumps({"data": {"release": payload}})
    words = ["patch", "secret", secret, "-n", name, "-p", patch]
    subprocess.run(
        [str(tools["kubectl"]), "--kubeconfig", str(backout.kubeconfig), *words],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert state(backout, name)["healthy"] is None
    assert backout("verify", f"helm/{name}", "-n", name, "--soak", "0").code != 0
