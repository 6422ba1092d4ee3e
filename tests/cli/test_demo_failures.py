# SPDX-License-Identifier: Apache-2.0
"""A rehearsal whose own work on the cluster fails ends as "failed", with the answer of the API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from backout_shell import Shell

from kubetwin.process import Twin

NAMESPACE = "no-room"


@pytest.fixture
def no_room(twin: Twin, tools: dict[str, Path]) -> Iterator[list[str]]:
    """A namespace in which no Deployment may be made."""
    kubectl = [str(tools["kubectl"]), "--kubeconfig", str(twin.kubeconfig)]
    quota = ["create", "quota", "none", "--hard=count/deployments.apps=0,count/secrets=0", "-n", NAMESPACE]
    for arguments in (["create", "namespace", NAMESPACE], quota):
        subprocess.run([*kubectl, *arguments], check=True, capture_output=True, timeout=600)
    yield kubectl
    subprocess.run(
        [*kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found"],
        check=False,
        timeout=600,
        capture_output=True,
    )


@pytest.mark.parametrize(("scenario", "code"), [("A7", "lab-failed"), ("A1", "tool-failed")])
def test_what_the_cluster_refuses_is_the_outcome(backout: Shell, no_room: list[str], scenario: str, code: str) -> None:
    arguments = ("demo", scenario, "--context", "cluster-01", "-n", NAMESPACE)
    answer = backout(*arguments, "-o", "json")
    assert answer.code == 1
    document = json.loads(answer.out)
    assert (document["outcome"], document["code"]) == ("failed", code)
    assert "quota" in document["why"] and answer.err == ""
