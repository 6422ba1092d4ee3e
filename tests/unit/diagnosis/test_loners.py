# SPDX-License-Identifier: Apache-2.0
"""Pods that no Deployment, StatefulSet or DaemonSet made: what runs them was changed, or they never ran since they were created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import NS, Scene, ago, writer

GOOD, BAD = "registry.example/export:1", "registry.example/export:2"
WRITTEN = "spec/jobTemplate/spec/template/spec/containers"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def pods(image: str, **container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": image, **container}]}


def cron(scene: Scene, image: str, *writers: dict[str, Any]) -> None:
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": pods(image)}}}}
    scene.put("CronJob", "nightly", *writers, spec=spec)


def owned(scene: Scene, kind: str, name: str, owner: tuple[str, str, str], spec: Any = None, **more: Any) -> None:
    api, of, called = owner
    ref = {"apiVersion": api, "kind": of, "name": called, "uid": f"{of}-{called}", "controller": True}
    scene.put(kind, name, meta={"ownerReferences": [ref]}, spec=spec or {}, **more)


def a_pod(scene: Scene, name: str, owner: tuple[str, str, str] | None, *, made: float, said: str = "") -> None:
    """One whose container ends again and again."""
    refs = []
    if owner is not None:
        api, of, called = owner
        refs = [{"apiVersion": api, "kind": of, "name": called, "uid": f"{of}-{called}", "controller": True}]
    waiting = {
        "name": "app",
        "ready": False,
        "restartCount": 3,
        "image": BAD,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "startedAt": ago(made - 2), "finishedAt": ago(made - 3)}},
    }
    scene.put(
        "Pod",
        name,
        writer("kubectl-create", made, "spec/containers"),
        born=made,
        meta={"ownerReferences": refs, "labels": {"app": name}},
        spec=pods(BAD),
        status={
            "phase": "Running",
            "startTime": ago(made),
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(made)}],
            "containerStatuses": [waiting],
        },
    )
    scene.cluster.logged[name, "app"] = said


JOB = ("batch/v1", "Job", "nightly-1")


@pytest.mark.parametrize(
    ("made", "said", "confidence"),
    [
        (50, "bad flag", "likely"),
        (50, "dial tcp db:5432: connection refused", "possible"),  # its image may have nothing to do with that
        (50, f"{BAD}: dial tcp: connection refused", "likely"),  # it says so itself
        (600, "bad flag", None),  # older than the change
    ],
)
def test_pods_of_a_cron_job_whose_template_was_changed(
    scene: Scene, made: float, said: str, confidence: str | None
) -> None:
    cron(scene, GOOD)
    scene.snapshot(kinds=("CronJob",))
    cron(scene, BAD, writer("gitlab-runner", 60, WRITTEN))
    owned(scene, "Job", "nightly-1", ("batch/v1", "CronJob", "nightly"))
    a_pod(scene, "nightly-1-x", JOB, made=made, said=said)
    found = scene.problems()
    if confidence is None:
        assert found["pod/nightly-1-x"].suspect is None
        return
    problem = found["cronjob/nightly"]
    assert (problem.confidence, problem.mechanism, len(found)) == (confidence, "objects", 1)
    assert problem.suspect is not None and problem.suspect.actor == "gitlab-runner"
    assert any(field.path.endswith(".image") and field.after == BAD for field in problem.suspect.fields)


@pytest.mark.parametrize("changed", [True, False])
def test_a_replica_set_of_nobodys(scene: Scene, changed: bool) -> None:
    writers = [writer("kubectl-create", 7200, "spec/replicas")]
    writers += [writer("kubectl-set", 60, 'spec/template/spec/containers/k:{"name":"app"}/image')] if changed else []
    if changed:
        writers[1]["fieldsV1"] = {
            "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:image": {}}}}}}
        }
    scene.put("ReplicaSet", "legacy", *writers, spec={"replicas": 1, "template": {"spec": pods(BAD)}}, status={})
    a_pod(scene, "legacy-x", ("apps/v1", "ReplicaSet", "legacy"), made=30)
    found = scene.problems()
    if not changed:
        assert found["pod/legacy-x"].suspect is None
        return
    problem = found["replicaset/legacy"]
    assert (problem.confidence, problem.mechanism) == ("likely", "")
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-set"


@pytest.mark.parametrize(
    ("said", "confidence"), [("bad flag", "likely"), ("dial tcp db:5432: connection refused", "possible")]
)
def test_a_pod_of_nobodys_that_never_ran(scene: Scene, said: str, confidence: str) -> None:
    a_pod(scene, "tool", None, made=60, said=said)
    problem = scene.problems()["pod/tool"]
    assert (problem.confidence, problem.mechanism) == (confidence, "")
    assert "was created: it never ran" in problem.cause.text
    assert problem.suspect is not None and BAD in problem.suspect.summary.text
    assert problem.suspect.target.namespace == NS


def test_a_pod_of_nobodys_that_ran_well_was_not_broken_by_its_creation(scene: Scene) -> None:
    a_pod(scene, "tool", None, made=7200)
    pod = scene.objects["Pod", "tool"]
    status = pod["status"]
    status["conditions"][0]["lastTransitionTime"] = ago(60)
    status["containerStatuses"][0]["lastState"]["terminated"] = {
        "exitCode": 1,
        "startedAt": ago(50),
        "finishedAt": ago(49),
    }
    scene.put("Pod", "tool", born=7200, spec=pod["spec"], status=status)
    assert scene.problems()["pod/tool"].suspect is None


def test_a_pod_of_nobodys_that_no_node_takes(scene: Scene) -> None:
    text = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    scene.put(
        "Pod",
        "gpu-task",
        writer("kubectl-create", 60, "spec/containers"),
        born=60,
        spec={**pods(GOOD), "nodeSelector": {"accelerator": "a100"}},
        status={"phase": "Pending", "conditions": [{**waits, "lastTransitionTime": ago(60)}]},
    )
    problem = scene.problems()["pod/gpu-task"]
    assert problem.confidence == "likely" and problem.suspect is not None
    assert next((f.path, f.after) for f in problem.suspect.fields) == ("spec.nodeSelector.accelerator", "a100")
