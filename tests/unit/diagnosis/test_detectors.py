# SPDX-License-Identifier: Apache-2.0
"""Detectors of what no pod shows: autoscalers, CronJobs, and sets whose pods are refused; and how often events are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from a_namespace import NOW, NS, Scene, ago, reading, writer

from backout.cluster.port import EVENTS, Cluster
from backout.diagnosis.detectors import autoscaling, cronjobs, old_references
from backout.diagnosis.detectors.creation import refused
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State, read_state
from backout.diagnosis.evidence.events import Events, read_events
from backout.diagnosis.evidence.namespace import Namespace
from backout.errors import AccessDenied
from backout.snapshots import source


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def seen(scene: Scene, detect: Callable[[Namespace, State, Events], Awaitable[list[Seen]]]) -> list[Seen]:
    async def look() -> list[Seen]:
        namespace = Namespace(cast(Cluster, scene.cluster), NS)
        try:
            state = await read_state(cast(Cluster, scene.cluster), NS, NOW)
            return await detect(namespace, state, Events())
        finally:
            await namespace.close()

    with source.using(scene.settings):
        return asyncio.run(look())


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Deployment", "web", []),
        ("Deployment", "web-old", ["deployment/web-old"]),
        ("StatefulSet", "web", ["statefulset/web"]),
        ("Rollout", "web", []),  # of a kind that is not known here
    ],
)
def test_autoscalers_whose_target_does_not_exist(scene: Scene, kind: str, name: str, expected: list[str]) -> None:
    scene.workload("web", reading("env", "settings"))
    target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    scene.put("HorizontalPodAutoscaler", "web", spec={"scaleTargetRef": target, "maxReplicas": 3})
    found = seen(scene, autoscaling.detect)
    assert [str(one.symptom.message.args["target"]) for one in found] == expected
    assert all(one.symptom.code == "NoScaleTarget" and one.only_changed for one in found)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("failed to get cpu utilization: missing request for cpu in container app of Pod web-1", ["NoScaleMetric"]),
        ("no metrics returned from resource metrics API", []),  # late, or not served at all: no change of its own
    ],
)
def test_autoscalers_that_lost_what_they_compute_with(scene: Scene, message: str, expected: list[str]) -> None:
    scene.workload("web", reading("env", "settings"))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    inactive = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": message}
    status = {"conditions": [inactive]}
    scene.put("HorizontalPodAutoscaler", "web", spec={"scaleTargetRef": target, "maxReplicas": 3}, status=status)
    found = seen(scene, autoscaling.detect)
    assert [one.symptom.code for one in found] == expected
    assert all(one.only_changed and one.fields == "resources" for one in found)


def test_an_autoscaler_says_nothing_where_workloads_may_not_be_listed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, denied={"Deployment": AccessDenied("No.")})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}
    scene.put("HorizontalPodAutoscaler", "web", spec={"scaleTargetRef": target, "maxReplicas": 3})
    assert seen(scene, autoscaling.detect) == []


def test_an_autoscaler_that_somebody_pointed_elsewhere_is_a_problem_and_one_that_was_always_so_is_none(
    scene: Scene,
) -> None:
    def scaler(name: str, target: str, *writers: dict[str, Any]) -> None:
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "maxReplicas": 3}
        scene.put("HorizontalPodAutoscaler", name, *writers, spec=spec)

    made = writer("kubectl-create", 7200, "spec/scaleTargetRef")
    scene.workload("web", reading("env", "settings"))
    scene.config("settings")
    scaler("always", "nothing", made)
    scaler("web", "web", made)
    scene.snapshot(kinds=("HorizontalPodAutoscaler", "Deployment", "ConfigMap"))
    scaler("web", "web-old", writer("kubectl-edit", 90, "spec/scaleTargetRef"))
    (problem,) = scene.problems().values()
    assert str(problem.target) == "horizontalpodautoscaler/web"
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"


def job(scene: Scene, name: str, born: float, *conditions: tuple[str, str], owner: str = "CronJob-nightly") -> None:
    scene.put(
        "Job",
        name,
        born=born,
        meta={"ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": owner}]},
        status={
            "conditions": [{"type": kind, "status": "True", "reason": why, "message": why} for kind, why in conditions]
        },
    )


FAILED = ("Failed", "BackoffLimitExceeded")
COMPLETE = ("Complete", "Done")


@pytest.mark.parametrize(
    ("runs", "suspend", "expected"),
    [
        ([(600, COMPLETE), (60, FAILED)], False, ["nightly-1"]),
        ([(600, FAILED), (60, COMPLETE)], False, []),
        ([(600, FAILED), (60, None)], False, []),  # one runs: what comes of it is not known
        ([(60, FAILED)], True, []),
        ([(60, ("FailureTarget", "BackoffLimitExceeded"))], False, []),  # its pods still end
        ([], False, []),
    ],
)
def test_cron_jobs_whose_last_run_failed(
    scene: Scene, runs: list[tuple[float, tuple[str, str] | None]], suspend: bool, expected: list[str]
) -> None:
    scene.put("CronJob", "nightly", spec={"suspend": suspend, "jobTemplate": {}})
    for number, (born, condition) in enumerate(runs):
        job(scene, f"nightly-{number}", born, *([condition] if condition else []))
    found = seen(scene, cronjobs.detect)
    assert [str(one.symptom.message.args["name"]) for one in found] == expected
    assert all(one.symptom.code == "JobFailed" and str(one.symptom.ref) == "cronjob/nightly" for one in found)


def test_a_job_of_another_cron_job_of_that_name_does_not_count(scene: Scene) -> None:
    scene.put("CronJob", "nightly", spec={"jobTemplate": {}})
    job(scene, "nightly-0", 60, FAILED, owner="an earlier one")
    job(scene, "alone", 60, FAILED, owner="")
    assert seen(scene, cronjobs.detect) == []


@pytest.mark.parametrize(
    ("kind", "ready", "seconds", "reason", "told"),
    [
        ("StatefulSet", 1, 20, "FailedCreate", True),
        ("DaemonSet", 1, 20, "FailedCreate", True),
        ("StatefulSet", 2, 20, "FailedCreate", False),  # all that are wanted are there
        ("StatefulSet", 1, 3600, "FailedCreate", False),  # long ago
        ("StatefulSet", 1, 20, "RecreatingFailedPod", False),
        ("Deployment", 1, 20, "FailedCreate", False),  # its own conditions tell
    ],
)
def test_sets_whose_pods_are_refused(
    scene: Scene, kind: str, ready: int, seconds: float, reason: str, told: bool
) -> None:
    scene.workload("db", reading("env", "settings"), kind=kind, replicas=2, ready=ready)
    involved = {"kind": kind, "name": "db", "namespace": NS}
    times = {"firstTimestamp": ago(seconds + 30), "lastTimestamp": ago(seconds)}
    text = 'pods "db-1" is forbidden: exceeded quota: q'
    scene.put("Event", "db.1", type="Warning", reason=reason, message=text, count=2, involvedObject=involved, **times)

    async def look() -> Any:
        cluster = cast(Cluster, scene.cluster)
        return refused(await read_state(cluster, NS, NOW), await read_events(cluster, NS), NS, NOW)

    found = asyncio.run(look())
    assert list(found) == ([(NS, kind, "db")] if told else [])
    for symptom in found.values():
        assert symptom.code == "ReplicaFailure" and "exceeded quota: q" in symptom.message.text
        assert symptom.since == NOW - timedelta(seconds=seconds + 30)


def test_events_of_a_namespace_are_read_once_however_much_is_broken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    inner = type(scene.cluster)._of

    def counted(self: Any, resource: Any, namespace: str = "") -> Any:
        if resource == EVENTS:
            reads.append(namespace)
        return inner(self, resource, namespace)

    monkeypatch.setattr(type(scene.cluster), "_of", counted)
    for number in range(6):
        spec = reading("env", "gone")
        scene.workload(f"web{number}", spec, ready=0)
        scene.event(f"web{number}-0", "Failed", 'configmap "gone" not found')
    assert scene.problems()
    assert reads == [NS]


@pytest.mark.parametrize(("failing", "there"), [(True, False), (True, True), (False, False)])
def test_what_pods_of_an_earlier_template_read_and_is_gone(scene: Scene, failing: bool, there: bool) -> None:
    """Only where the rollout is in trouble: one that is well takes them along."""
    scene.workload("web", reading("env", "conf-new"), ready=0 if failing else 1)
    scene.config("conf-new")
    if there:
        scene.config("conf-old")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "Deployment-web", "controller": True}
    old = {"metadata": {"labels": {"app": "web"}}, "spec": reading("env", "conf-old")}
    notes = {"deployment.kubernetes.io/revision": "0"}
    meta = {"ownerReferences": [owner], "annotations": notes}
    scene.put("ReplicaSet", "web-old", meta=meta, spec={"template": old}, status={"readyReplicas": 2})
    found = seen(scene, old_references.detect)
    assert [str(one.gone) for one in found] == (["configmap/conf-old"] if failing and not there else [])


@pytest.mark.parametrize(
    ("template", "crash", "expected"),
    [
        ("conf-old", 30, ["configmap/conf-old"]),
        ("conf-new", 30, []),  # all was well without it
        (None, 30, []),  # nothing tells how all was well
        ("conf-old", 3000, []),  # the new ones ran for long
    ],
)
def test_what_the_template_before_read_and_is_gone_when_none_of_its_pods_is_left(
    scene: Scene, template: str | None, crash: float, expected: list[str]
) -> None:
    scene.workload("web", reading("env", "conf-new"), ready=0, template=60 if crash < 60 else 7200)
    scene.drop("Pod", "web-0")
    scene.pod("web-5f-0", ("ReplicaSet", "web-5f"), reading("env", "conf-new"), {"app": "web"}, well=False, since=crash)
    scene.config("conf-new")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "Deployment-web", "controller": True}
    old = {"metadata": {"labels": {"app": "web"}}, "spec": reading("env", "conf-old")}
    meta = {"ownerReferences": [owner], "annotations": {"deployment.kubernetes.io/revision": "0"}}
    scene.put("ReplicaSet", "web-old", meta=meta, spec={"template": old}, status={"readyReplicas": 0})
    if template is not None:
        live = scene.objects["Deployment", "web"]
        before = {"metadata": {"labels": {"app": "web"}}, "spec": reading("env", template)}
        scene.put("Deployment", "web", spec={**live["spec"], "template": before}, status=live["status"])
        scene.snapshot(kinds=("Deployment",))
        scene.put("Deployment", "web", spec=live["spec"], status=live["status"])
    assert [str(one.gone) for one in seen(scene, old_references.detect)] == expected


ONE_CONTAINER = {"containers": [{"name": "app", "image": "nightly:1"}]}
OTHER_IMAGE = {"containers": [{"name": "app", "image": "nightly:2"}]}


@pytest.mark.parametrize(
    ("before", "born", "more", "expected"),
    [
        (OTHER_IMAGE, 60, {}, ["job/migrate"]),
        (ONE_CONTAINER, 60, {}, ["job/migrate"]),  # the same: no change to tell of is found then
        (None, 60, {}, []),  # nobody knows what it was
        (OTHER_IMAGE, 7200, {}, []),  # older than the snapshot
        (OTHER_IMAGE, 60, {"annotations": {"helm.sh/hook": "pre-upgrade"}}, []),  # its release tells
        (OTHER_IMAGE, 60, {"ownerReferences": [{"kind": "Workflow", "uid": "x"}]}, []),
    ],
)
def test_jobs_of_nobody_that_were_made_anew_and_failed(
    scene: Scene, before: Any, born: float, more: Any, expected: list[str]
) -> None:
    if before is not None:
        scene.put("Job", "migrate", spec={"template": {"spec": before}})
        scene.snapshot(kinds=("Job",))
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    scene.put("Job", "migrate", born=born, meta=more, spec={"template": {"spec": ONE_CONTAINER}}, status=failed)
    found = seen(scene, cronjobs.detect)
    assert [str(one.symptom.ref) for one in found] == expected
    assert all(one.only_changed for one in found)


@pytest.mark.parametrize(
    ("account", "status", "made", "gone"),
    [
        (True, {}, "CronJob-nightly", "serviceaccount/keeper"),
        (False, {}, "CronJob-nightly", "None"),  # it was never there: who names it is asked
        (True, {"active": 1}, "CronJob-nightly", ""),  # it has a pod
        (True, {"conditions": [{"type": "Failed", "status": "True"}]}, "CronJob-nightly", ""),  # it is over
        (True, {}, "another", ""),  # what made it has to look at that
    ],
)
def test_jobs_whose_pods_are_refused(scene: Scene, account: bool, status: Any, made: str, gone: str) -> None:
    if account:
        scene.put("ServiceAccount", "keeper")
        scene.snapshot(kinds=("ServiceAccount",))
        scene.drop("ServiceAccount", "keeper")
    pods = {"spec": {"serviceAccountName": "keeper", **ONE_CONTAINER}}
    scene.put("CronJob", "nightly", spec={"jobTemplate": {"spec": {"template": pods}}})
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": made}
    scene.put("Job", "nightly-1", born=60, meta={"ownerReferences": [owner]}, spec={"template": pods}, status=status)
    text = 'pods "nightly-1-" is forbidden: error looking up service account shop/keeper: serviceaccount "keeper" not found'
    involved = {"kind": "Job", "name": "nightly-1", "namespace": NS}
    scene.put(
        "Event",
        "nightly-1.1",
        type="Warning",
        reason="FailedCreate",
        message=text,
        involvedObject=involved,
        firstTimestamp=ago(50),
        lastTimestamp=ago(10),
    )

    async def look() -> list[Seen]:
        namespace, cluster = Namespace(cast(Cluster, scene.cluster), NS), cast(Cluster, scene.cluster)
        try:
            return await cronjobs.detect(namespace, State(NS), await read_events(cluster, NS))
        finally:
            await namespace.close()

    with source.using(scene.settings):
        found = [one for one in asyncio.run(look()) if one.symptom.code == "ReplicaFailure"]
    assert [str(one.gone) for one in found] == ([gone] if gone else [])
    assert all(str(one.symptom.ref) == "cronjob/nightly" for one in found)
