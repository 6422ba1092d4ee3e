# SPDX-License-Identifier: Apache-2.0
"""A rollout that is under way is not broken, as long as what is there before it serves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from a_namespace import NOW, NS, Scene

from backout.diagnosis.detectors.symptoms import starting, under_way, young
from backout.kube.projections import PackedWorkload
from backout.kube.rollout import was_rolled_out
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef, Target

KEY = ("shop", "Deployment", "web")


def deployment(status: dict[str, Any], spec: dict[str, Any] | None = None) -> PackedWorkload:
    return msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "shop", "generation": 2},
            "spec": {"replicas": 3, **(spec or {})},
            "status": {"observedGeneration": 2, **status},
        },
        PackedWorkload,
    )


def symptoms(*codes: str) -> list[Symptom]:
    return [
        Symptom(code=code, ref=ObjectRef("apps/v1", "Deployment", "web", "shop"), message=msg("x")) for code in codes
    ]


SERVING = {"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3}
STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


@pytest.mark.parametrize(
    ("status", "codes", "expected"),
    [
        (SERVING, ("NotReady",), True),
        (SERVING, ("CrashLoopBackOff",), False),
        (SERVING, ("NotReady", "CrashLoopBackOff"), False),
        ({**SERVING, "conditions": [STUCK]}, ("NotReady",), False),
        ({**SERVING, "readyReplicas": 1, "availableReplicas": 1}, ("NotReady",), False),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 0, "availableReplicas": 0}, ("NotReady",), False),
    ],
)
def test_only_while_earlier_pods_serve_and_the_deadline_has_not_passed(
    status: dict[str, Any], codes: tuple[str, ...], expected: bool
) -> None:
    assert under_way(KEY, deployment(status), symptoms(*codes)) is expected


def test_without_earlier_pods_it_is_an_outage() -> None:
    recreate = deployment({"replicas": 3, "updatedReplicas": 3}, {"strategy": {"type": "Recreate"}})
    assert not under_way(KEY, recreate, symptoms("NotReady"))


DONE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
ALL = {"replicas": 3, "updatedReplicas": 3}


@pytest.mark.parametrize(
    ("status", "spec", "said", "short"),
    [
        ({**ALL, "readyReplicas": 0}, {}, "is being rolled out: 0 of 3 pods are ready.", True),
        ({**ALL, "readyReplicas": 2, "availableReplicas": 2}, {}, "is being rolled out: 2 of 3 pods are ready.", True),
        ({**ALL, "readyReplicas": 3, "availableReplicas": 3}, {}, "", False),
        ({**ALL, "readyReplicas": 0, "conditions": [STUCK]}, {}, "", False),  # told as broken
        (SERVING, {}, "is being rolled out: 1 of 3 pods are updated.", False),
        (
            {"replicas": 4, "updatedReplicas": 3, "readyReplicas": 4, "availableReplicas": 4},
            {},
            "is being rolled out: 1 pods of another revision are still there.",
            False,
        ),
        # All pods at once: no earlier one serves, though the strategy asks for none.
        (
            {**ALL, "readyReplicas": 0},
            {"strategy": {"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}},
            "is being rolled out: 0 of 3 pods are ready.",
            True,
        ),
        ({"observedGeneration": 1, **SERVING}, {}, "the controller has not seen the change yet.", False),
        # What was rolled out is not rolled out anew when a pod is replaced.
        ({**ALL, "readyReplicas": 2, "availableReplicas": 2, "conditions": [DONE]}, {}, "may be starting.", False),
        ({**ALL, "readyReplicas": 0, "conditions": [DONE]}, {}, "may be starting.", True),
        ({"replicas": 0}, {"replicas": 0}, "", False),
    ],
)
def test_what_shows_no_symptom_and_is_not_where_it_is_to_be(
    status: dict[str, Any], spec: dict[str, Any], said: str, short: bool
) -> None:
    told = starting(KEY, deployment(status, spec))
    assert bool(told) is bool(said)
    if told is not None:
        assert told.message.text.endswith(said) and told.short is short
        assert str(told.ref) == "deployment/web"


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ({"currentRevision": "a", "updateRevision": "a"}, True),
        ({"currentRevision": "a", "updateRevision": "b"}, False),
        ({}, False),
    ],
)
def test_a_set_tells_by_its_revisions_whether_it_was_rolled_out(status: dict[str, Any], over: bool) -> None:
    assert was_rolled_out("StatefulSet", deployment(status)) is over


# -- a diagnosis as a whole


def unready(scene: Scene, age: float, *, over: bool = False, owner: dict[str, Any] | None = None) -> None:
    """All pods of ``web`` are new since ``age`` seconds, wait for an init container, and no earlier one is left."""
    spec = {"containers": [{"name": "app", "image": "web:2"}]}
    scene.workload("web", spec, replicas=3, ready=0, template=age)
    for number in range(3):
        scene.pod(
            f"web-{number}",
            ("Deployment", "web"),
            spec,
            {"app": "web"},
            well=False,
            since=age,
            waiting={"reason": "PodInitializing"},
        )
    web = scene.objects["Deployment", "web"]
    conditions = [DONE] if over else [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]
    scene.put(
        "Deployment",
        "web",
        spec=web["spec"],
        meta={"generation": 2, **(owner or {})},
        status={**web["status"], "observedGeneration": 2, "conditions": conditions},
    )


@pytest.mark.parametrize("age", [1, 20, 45])
def test_the_first_minute_of_a_rollout_that_left_nobody_serving_is_no_calm(tmp_path: Path, age: float) -> None:
    scene = Scene(tmp_path)
    unready(scene, age)
    found = scene.diagnosis()
    assert found.problems == () and not found.healthy
    assert [one.message.text for one in found.under_way] == [
        "deployment/web is being rolled out: 0 of 3 pods are ready."
    ]
    # Of another target it says nothing.
    assert scene.diagnosis(NS, Target("deployment", "other", NS, "c")).under_way == ()


def test_after_a_minute_it_is_broken_and_under_way_no_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    unready(scene, 90)
    found = scene.diagnosis()
    assert [problem.target.name for problem in found.problems] == ["web"]
    assert found.under_way == ()


def probed(scene: Scene, age: float) -> None:
    """The same, but the containers run, and answer no probe."""
    unready(scene, age)
    spec = {"containers": [{"name": "app", "image": "web:2"}]}
    for number in range(3):
        scene.pod(f"web-{number}", ("Deployment", "web"), spec, {"app": "web"}, well=False, since=age, runs=age - 1)
        scene.event(f"web-{number}", "Unhealthy", "Readiness probe failed: connection refused", times=9)


def test_a_start_that_takes_its_time_is_no_failure_of_the_image(tmp_path: Path) -> None:
    """Three failed probes over ten seconds are told, and nobody is blamed for them while the deadline has not passed."""
    scene = Scene(tmp_path)
    probed(scene, 30)
    found = scene.diagnosis()
    assert found.problems == () and not found.healthy
    assert [one.message.text for one in found.under_way] == [
        "deployment/web is being rolled out: 0 of 3 pods are ready."
    ]
    # Whatever else shows is no start any more.
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    web = scene.objects["Deployment", "web"]
    status = {**web["status"], "conditions": [*web["status"]["conditions"], refused]}
    scene.put("Deployment", "web", spec=web["spec"], meta={"generation": 2}, status=status)
    found = scene.diagnosis()
    assert [problem.target.name for problem in found.problems] == ["web"] and found.under_way == ()
    probed(scene, 70)
    found = scene.diagnosis()
    assert [problem.target.name for problem in found.problems] == ["web"] and found.under_way == ()


@pytest.mark.parametrize(
    ("conditions", "spec", "age", "restarts", "is_young"),
    [
        ([], {}, 30, 0, True),
        ([], {}, 61, 0, False),
        ([], {}, 30, 1, False),
        ([STUCK], {}, 30, 0, False),
        ([DONE], {}, 30, 0, False),  # what was rolled out and is not ready any more is no start
    ],
)
def test_how_long_a_start_is_given(
    conditions: list[Any], spec: dict[str, Any], age: float, restarts: int, is_young: bool
) -> None:
    ref = ObjectRef("apps/v1", "Deployment", "web", "shop")
    seen = Evidence(source="pod", ref=ref, message=msg("x"), data={"restarts": restarts})
    symptom = Symptom(code="NotReady", ref=ref, message=msg("x"), since=NOW - timedelta(seconds=age), evidence=(seen,))
    workload = deployment({**ALL, "readyReplicas": 0, "conditions": conditions}, spec)
    assert young(KEY, workload, [symptom], NOW) is is_young
    assert not young(("shop", "StatefulSet", "web"), workload, [symptom], NOW), "a set has no deadline"


@pytest.mark.parametrize(
    ("kind", "said", "serving", "updated", "age", "is_young"),
    [
        ("StatefulSet", "dial tcp 10.1.0.1:8080: connect: connection refused", 2, 1, 30, True),
        ("StatefulSet", "dial tcp 10.1.0.1:8080: connect: connection refused", 2, 3, 30, True),
        ("DaemonSet", "dial tcp 10.1.0.1:8080: connect: connection refused", 2, 1, 30, True),
        # Whether that is a rollout, nothing tells.
        ("DaemonSet", "dial tcp 10.1.0.1:8080: connect: connection refused", 2, 3, 30, False),
        # It listens, and says that it is not ready; too few serve; too long.
        ("StatefulSet", "HTTP probe failed with statuscode: 503", 2, 1, 30, False),
        ("StatefulSet", "dial tcp 10.1.0.1:8080: connect: connection refused", 1, 1, 30, False),
        ("StatefulSet", "dial tcp 10.1.0.1:8080: connect: connection refused", 2, 1, 61, False),
    ],
)
def test_a_set_whose_next_pod_does_not_listen_yet(
    kind: str, said: str, serving: int, updated: int, age: float, is_young: bool
) -> None:
    ref = ObjectRef("apps/v1", kind, "web", "shop")
    symptom = Symptom(code="NotReady", ref=ref, message=msg("{said}", said=said), since=NOW - timedelta(seconds=age))
    counters = (
        {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberReady": serving}
        if kind == "DaemonSet"
        else {"replicas": 3, "updatedReplicas": updated, "readyReplicas": serving, "availableReplicas": serving}
    )
    more = {"numberAvailable": serving} if kind == "DaemonSet" else {"currentRevision": "a", "updateRevision": "b"}
    workload = deployment({**counters, **more}, {"updateStrategy": {"type": "RollingUpdate"}})
    assert young(("shop", kind, "web"), workload, [symptom], NOW) is is_young
