# SPDX-License-Identifier: Apache-2.0
"""What a pod's status means, on statuses as the kubelet writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from backout.diagnosis.detectors.pods import troubles
from backout.diagnosis.evidence.projections import Pod

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def pod(*statuses: dict[str, Any], ready: bool = False, phase: str = "Running", **more: Any) -> Pod:
    return msgspec.convert(
        {
            "metadata": {
                "name": "web-0",
                "namespace": "shop",
                "uid": "u",
                "creationTimestamp": at(300),
                **more.pop("meta", {}),
            },
            "spec": {"containers": [{"name": "web", "image": "web:1"}], **more.pop("spec", {})},
            "status": {
                "phase": phase,
                "conditions": [
                    {"type": "PodScheduled", "status": "True"},
                    {"type": "Ready", "status": str(ready), "lastTransitionTime": at(120)},
                ],
                "containerStatuses": list(statuses),
                **more,
            },
        },
        Pod,
    )


def web(
    state: dict[str, Any], last: dict[str, Any] | None = None, *, ready: bool = False, restarts: int = 0
) -> dict[str, Any]:
    return {"name": "web", "ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}


RUNNING = {"running": {"startedAt": at(100)}}
CRASHED = {"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": at(30)}}
OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(30)}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (pod(web(waiting("CrashLoopBackOff"), CRASHED, restarts=3)), "CrashLoopBackOff"),
        (pod(web(waiting("CrashLoopBackOff"), OOM, restarts=3)), "OOMKilled"),
        (pod(web(CRASHED, CRASHED, restarts=1)), "CrashLoopBackOff"),
        (pod(web(RUNNING, CRASHED, restarts=4)), "CrashLoopBackOff"),
        (pod(web(RUNNING, OOM, restarts=1)), "OOMKilled"),
        (pod(web(waiting("ImagePullBackOff")), phase="Pending"), "ImagePullBackOff"),
        (pod(web(waiting("ErrImagePull")), phase="Pending"), "ErrImagePull"),
        (
            pod(web(waiting("CreateContainerConfigError", "couldn't find key a in Secret shop/b"))),
            "CreateContainerConfigError",
        ),
        (pod(web(RUNNING)), "NotReady"),
    ],
)
def test_names_the_failure(subject: Pod, code: str) -> None:
    found = troubles(subject, NOW)
    assert [trouble.code for trouble in found] == [code]
    assert found[0].since is not None


@pytest.mark.parametrize(
    "subject",
    [
        pod(web(RUNNING, ready=True), ready=True),
        # One restart long ago is history, not a failure.
        pod(web(RUNNING, {"terminated": {"exitCode": 1, "finishedAt": at(3600)}}, ready=True, restarts=1), ready=True),
        # One recent restart of a pod that is ready again: it may have healed; the soak watches for more.
        pod(web(RUNNING, CRASHED, ready=True, restarts=1), ready=True),
        pod(web({"terminated": {"exitCode": 0, "reason": "Completed"}}), phase="Succeeded"),
        pod(web(CRASHED), meta={"deletionTimestamp": at(5)}),
        pod(
            web(CRASHED),
            phase="Failed",
            meta={"ownerReferences": [{"kind": "Job", "name": "j", "uid": "j", "controller": True}]},
        ),
    ],
)
def test_healthy_or_leaving_pods_are_no_trouble(subject: Pod) -> None:
    assert troubles(subject, NOW) == []


def test_a_ready_pod_that_keeps_crashing_is_not_healthy() -> None:
    subject = pod(web(RUNNING, CRASHED, ready=True, restarts=5), ready=True)
    assert [trouble.code for trouble in troubles(subject, NOW)] == ["CrashLoopBackOff"]


def test_exit_code_restarts_and_image_are_kept() -> None:
    trouble = troubles(pod(web(waiting("CrashLoopBackOff"), CRASHED, restarts=3)), NOW)[0]
    assert (trouble.exit_code, trouble.restarts, trouble.image, trouble.container) == (2, 3, "web:1", "web")


def test_an_unready_pod_may_be_starting() -> None:
    assert not troubles(pod(web(RUNNING)), NOW)[0].settled


def test_unschedulable_says_the_schedulers_reason() -> None:
    subject = pod(
        phase="Pending",
        conditions=[
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"}
        ],
    )
    trouble = troubles(subject, NOW)[0]
    assert (trouble.code, trouble.detail) == ("Unschedulable", "0/2 nodes are available")


def test_an_init_container_that_fails_is_named() -> None:
    subject = pod(
        initContainerStatuses=[{**web(waiting("CrashLoopBackOff"), CRASHED, restarts=2), "name": "migrate"}],
        phase="Pending",
    )
    assert [trouble.container for trouble in troubles(subject, NOW)] == ["migrate"]
