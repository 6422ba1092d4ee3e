# SPDX-License-Identifier: Apache-2.0
"""What a release has and the cluster lacks: in one go where something of it comes back by the release alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from a_namespace import Scene, reading
from a_release import MARKS, release

from backout.model.diagnosis import Problem

TEXT = """
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: "a:1"}]}}}
"""


@pytest.mark.parametrize(
    ("deleted", "targets"),
    [
        ((("Service", "api"),), {"service/api": "objects"}),
        ((("Deployment", "api"),), {"helm/stack": "helm"}),
        # Alone, the Service would wait in vain for what is behind it.
        ((("Service", "api"), ("Deployment", "api")), {"helm/stack": "helm"}),
    ],
)
def test_what_was_deleted_of_a_release(
    tmp_path: Path, deleted: tuple[tuple[str, str], ...], targets: dict[str, str]
) -> None:
    scene = Scene(tmp_path)
    release(scene, TEXT)
    scene.workload("api", reading("env", "settings"))
    made = scene.objects["Deployment", "api"]
    scene.put("Deployment", "api", meta=MARKS, spec=made["spec"], status=made["status"])
    scene.config("settings")
    scene.put("Service", "api", meta=MARKS, spec={"selector": {"app": "api"}, "ports": [{"port": 80}]})
    scene.snapshot(kinds=("Service", "Deployment"))
    for kind, name in deleted:
        scene.drop(kind, name)
    found: dict[str, Problem] = scene.problems()
    assert {name: problem.mechanism for name, problem in found.items()} == targets
    for problem in found.values():
        assert all(f"{kind.lower()}/{name}" in problem.cause.text for kind, name in deleted)
