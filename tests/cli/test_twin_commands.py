# SPDX-License-Identifier: Apache-2.0
"""Embedded clusters from the command line: up, use, down, kept or gone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from backout_shell import Shell


def kubectl(tools: dict[str, Path], kubeconfig: str, *arguments: str) -> str:
    return subprocess.run(
        [str(tools["kubectl"]), "--kubeconfig", kubeconfig, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    ).stdout


def test_state_is_kept_on_request_and_else_gone(backout: Shell, tools: dict[str, Path], tmp_path: Path) -> None:
    where = str(tmp_path / "clusters")
    up = backout("twin", "up", "--keep", "--directory", where, "-o", "json").document
    kubectl(tools, up["kubeconfig"], "create", "configmap", "kept", "--from-literal=a=1")
    uid = kubectl(tools, up["kubeconfig"], "get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}")
    assert backout("twin", "down", "--directory", where).code == 0
    again = backout("twin", "up", "--directory", where, "-o", "json").document
    assert kubectl(tools, again["kubeconfig"], "get", "cm", "kept", "-o", "jsonpath={.data.a}") == "1"
    assert kubectl(tools, again["kubeconfig"], "get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}") == uid
    assert backout("twin", "down", "--directory", where).code == 0
    assert not Path(where).exists()


def test_files_are_private_and_a_second_up_is_refused(backout: Shell, tmp_path: Path) -> None:
    where = tmp_path / "clusters"
    up = backout("twin", "up", "--clusters", "2", "--directory", str(where), "-o", "json").document
    try:
        assert up["clusters"] == ["cluster-01", "cluster-02"]
        assert where.stat().st_mode & 0o777 == 0o700
        for name in ("kubeconfig", "cluster-01.token"):
            assert (where / name).stat().st_mode & 0o777 == 0o600
        assert backout.error("twin", "up", "--directory", str(where))["code"] == "refused"
        assert backout("twin", "status", "--directory", str(where), "-o", "json").document["pid"] == up["pid"]
    finally:
        backout("twin", "down", "--directory", str(where))
    assert backout.error("twin", "status", "--directory", str(where))["code"] == "twin-not-found"


def test_break_and_mend(backout: Shell, tools: dict[str, Path], tmp_path: Path) -> None:
    where = str(tmp_path / "clusters")
    kubeconfig = backout("twin", "up", "--directory", where, "-o", "json").document["kubeconfig"]
    try:
        kubectl(tools, kubeconfig, "create", "deployment", "web", "--image=web:1")
        kubectl(tools, kubeconfig, "rollout", "status", "deployment/web", "--timeout=240s")
        assert backout("twin", "break", "deployment/web", "crash-exit3", "--directory", where).code == 0
        kubectl(
            tools,
            kubeconfig,
            "wait",
            "pods",
            "-l",
            "app=web",
            "--timeout=240s",
            "--for=jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=3",
        )
        assert backout("twin", "break", "deployment/web", "--mend", "--directory", where).code == 0
        # The pod that crashed waits out its back-off, which may be long by now; a new one shows that all is well.
        kubectl(tools, kubeconfig, "delete", "pods", "-l", "app=web")
        kubectl(tools, kubeconfig, "rollout", "status", "deployment/web", "--timeout=240s")
        assert backout.error("twin", "break", "deployment/web", "--mend", "--directory", where)["code"] == "not-found"
    finally:
        backout("twin", "down", "--directory", where)
