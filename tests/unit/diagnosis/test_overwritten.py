# SPDX-License-Identifier: Apache-2.0
"""An upgrade that took away what somebody had set past Helm, and with which all was well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import NS, Scene
from a_release import MARKS, release


def text(image: str, note: str) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api, labels: {{note: {note}}}}}
spec:
  selector: {{matchLabels: {{app: api}}}}
  template: {{metadata: {{labels: {{app: api}}}}, spec: {{containers: [{{name: app, image: "{image}"}}]}}}}
"""


def spec(image: str) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": image}]}


def kept(scene: Scene, name: str, image: str, number: int, born: float) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "Deployment-api", "controller": True}
    notes = {"deployment.kubernetes.io/revision": str(number)}
    body = {"metadata": {"labels": {"app": "api"}}, "spec": spec(image)}
    meta = {"ownerReferences": [owner], "annotations": notes}
    scene.put("ReplicaSet", name, born=born, meta=meta, spec={"replicas": 0, "template": body}, status={})


@pytest.mark.parametrize(
    ("first", "between", "named"),
    [
        ("api:1", "api:1-hotfix", True),
        ("api:1", "api:1", False),  # nobody had set anything
        ("api:0", "api:0", False),  # it is what the revision before says: the step between these is the change
    ],
)
def test_what_had_been_set_past_helm_and_an_upgrade_took_away(
    tmp_path: Path, first: str, between: str, named: bool
) -> None:
    scene = Scene(tmp_path)
    release(scene, text(first, "a"), text("api:1", "b"))
    scene.workload("api", spec("api:1"), ready=0, logs="fatal: too old", template=92)
    made = scene.objects["Deployment", "api"]
    scene.put("Deployment", "api", meta=MARKS, spec=made["spec"], status=made["status"])
    scene.drop("Pod", "api-0")
    scene.drop("ReplicaSet", "api-5f")
    kept(scene, "api-5f", "api:1", 3, 7200)
    if between != "api:1":
        kept(scene, "api-6a", between, 2, 3600)
    scene.pod("api-5f-0", ("ReplicaSet", "api-5f"), spec("api:1"), {"app": "api"}, well=False, logs="fatal: too old")
    problem = scene.problems()["helm/stack"]
    said = problem.suspect is not None and "had been set past it" in problem.suspect.summary.text
    assert said is named
    if named:
        assert problem.suspect is not None
        assert (problem.mechanism, problem.confidence in ("likely", "certain")) == ("", True)
        assert [(f.before, f.after) for f in problem.suspect.fields] == [("api:1-hotfix", "api:1")]
        assert "put it into the chart" in problem.notes[0].text and problem.target.namespace == NS
