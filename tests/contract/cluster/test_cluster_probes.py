# SPDX-License-Identifier: Apache-2.0
"""Probes that run commands, on simulated nodes: a known end decides, an unknown one is said."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.objects import container, pod


def ready(found: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", ()))


def started(cluster: Cluster, ns: str, command: list[str], kind: str = "readinessProbe", image: str = "app:1") -> str:
    probe = {kind: {"exec": {"command": command}, "periodSeconds": 1, "failureThreshold": 1}}
    cluster.post(f"/api/v1/namespaces/{ns}/pods", pod("p", containers=[container(image=image, **probe)])).ok()
    return f"/api/v1/namespaces/{ns}/pods/p"


def told(cluster: Cluster, ns: str, reason: str) -> str:
    """The message of the first event of a reason."""
    path = f"/api/v1/namespaces/{ns}/events"
    found = cluster.wait(path, lambda events: any(e["reason"] == reason for e in events["items"]))
    return next(str(e["message"]) for e in found["items"] if e["reason"] == reason)


def test_a_failing_command_is_a_failing_probe(running: Cluster, ns: str) -> None:
    path = started(running, ns, ["sh", "-c", "exit 1"])
    assert told(running, ns, "Unhealthy").startswith("Readiness probe failed: ")
    found = running.get(path).ok()
    assert found["status"]["phase"] == "Running"
    assert not ready(found)


def test_a_failing_command_restarts_its_container(running: Cluster, ns: str) -> None:
    path = started(running, ns, ["false"], "livenessProbe")
    running.wait(path, lambda p: any(c["restartCount"] for c in p["status"].get("containerStatuses", ())))
    assert told(running, ns, "Killing") == "Container app failed liveness probe, will be restarted"


def test_a_succeeding_command_needs_no_word(running: Cluster, ns: str) -> None:
    running.wait(started(running, ns, ["/bin/true"]), ready)
    events = running.get(f"/api/v1/namespaces/{ns}/events").ok()["items"]
    assert "ProbeNotRun" not in {e["reason"] for e in events}


def test_a_command_that_nobody_runs_is_told_of(running: Cluster, ns: str) -> None:
    running.wait(started(running, ns, ["cat", "/tmp/healthy"]), ready)
    assert "its command is taken as successful" in told(running, ns, "ProbeNotRun")


def test_fault_words_decide_over_commands(running: Cluster, ns: str) -> None:
    path = started(running, ns, ["cat", "/tmp/healthy"], image="app:1-unready")
    told(running, ns, "Unhealthy")
    assert not ready(running.get(path).ok())


@pytest.mark.parametrize("kind", ["readinessProbe", "startupProbe"])
def test_a_probe_of_a_port_that_the_container_does_not_have_never_succeeds(
    running: Cluster, ns: str, kind: str
) -> None:
    ports = [{"name": "web", "containerPort": 8080}]
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    made = container(image="app:1", ports=ports, **{kind: probe})
    running.post(f"/api/v1/namespaces/{ns}/pods", pod("p", containers=[made])).ok()
    text = told(running, ns, "Unhealthy")
    assert text.startswith(f"{kind.removesuffix('Probe').capitalize()} probe errored")
    assert text.endswith('strconv.Atoi: parsing "http": invalid syntax')

    def runs(found: dict[str, Any]) -> bool:
        return any("running" in c["state"] for c in found["status"].get("containerStatuses", ()))

    found = running.wait(f"/api/v1/namespaces/{ns}/pods/p", runs)
    assert not ready(found) and found["status"]["containerStatuses"][0]["restartCount"] == 0
