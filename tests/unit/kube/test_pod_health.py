# SPDX-License-Identifier: Apache-2.0
"""What a pod's status means: one table of states, on statuses as the kubelet and the controllers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from backout.kube.pod_health import CREATE_REASONS, IMAGE_REASONS, PodState, ProblemKind, finished, health, health_of
from backout.kube.projections import Pod, pod

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
RS = [{"kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": True}]
JOB = [{"kind": "Job", "name": "j", "uid": "j", "controller": True}]


def at(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def a_pod(
    *statuses: dict[str, Any],
    ready: str = "False",
    why: str = "ContainersNotReady",
    phase: str = "Running",
    owner: list[dict[str, Any]] | None = RS,
    init: tuple[dict[str, Any], ...] = (),
    meta: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A pod of one container ``web``; ``ready`` is the condition's status."""
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": at(120)}
    return {
        "metadata": {
            "name": "web-0",
            "namespace": "shop",
            "uid": "u",
            "creationTimestamp": at(300),
            "ownerReferences": owner or [],
            **(meta or {}),
        },
        "spec": {"containers": [{"name": "web", "image": "web:1"}], **(spec or {})},
        "status": {
            "phase": phase,
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                condition if ready == "True" else {**condition, "reason": why},
            ],
            "containerStatuses": list(statuses),
            "initContainerStatuses": list(init),
            **more,
        },
    }


def web(
    state: dict[str, Any], last: dict[str, Any] | None = None, *, ready: bool = False, restarts: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "name": "web",
        "image": "sha256:abc",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
        **more,
    }


def ended(code: int, reason: str = "Error", *, ago: float = 30, ran: float = 5, **more: Any) -> dict[str, Any]:
    return {
        "terminated": {"exitCode": code, "reason": reason, "finishedAt": at(ago), "startedAt": at(ago + ran), **more}
    }


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


RUNS = {"running": {"startedAt": at(100)}}
CRASHED, DONE = ended(2), ended(0, "Completed")
OOM = ended(137, "OOMKilled")
CREATING, INITIALIZING = waits("ContainerCreating"), waits("PodInitializing")
PROXY = {"initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]}
MIGRATE = {"initContainers": [{"name": "migrate", "image": "migrate:1"}]}
UNSCHEDULED = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"}
]
SILENT_NODE = [
    {"type": "PodScheduled", "status": "True"},
    {"type": "ContainersReady", "status": "True"},
    {"type": "Ready", "status": "False", "lastTransitionTime": at(120)},
]


class Row(NamedTuple):
    """A state, and what it means. ``code`` is that of the first problem, ``container`` the one concerned."""

    name: str
    pod: dict[str, Any]
    state: PodState
    code: str = ""
    kind: ProblemKind | None = None
    container: str = ""
    lasting: bool = False


S, K = PodState, ProblemKind
TABLE = [
    # -- well ---------------------------------------------------------------------------------------------------------
    Row("ready", a_pod(web(RUNS, ready=True), ready="True"), S.READY),
    Row(
        "ready, restarted long ago", a_pod(web(RUNS, ended(1, ago=3600), ready=True, restarts=1), ready="True"), S.READY
    ),
    Row("ready again after one crash", a_pod(web(RUNS, CRASHED, ready=True, restarts=1), ready="True"), S.READY),
    Row(
        "ready after two crashes, and running for longer than before each",
        a_pod(web(RUNS, CRASHED, ready=True, restarts=2), ready="True"),
        S.READY,
    ),
    Row(
        "ready after two ends, the last run was long",
        a_pod(web(RUNS, ended(1, ran=86400), ready=True, restarts=2), ready="True"),
        S.READY,
    ),
    Row(
        "ready, nine restarts in months, the last run was long",
        a_pod(web(RUNS, ended(1, ran=86400), ready=True, restarts=9), ready="True"),
        S.READY,
    ),
    Row(
        "a crashed ephemeral container says nothing of the pod",
        a_pod(
            web(RUNS, ready=True),
            ready="True",
            ephemeralContainerStatuses=[{"name": "debugger", "state": CRASHED, "restartCount": 0}],
        ),
        S.READY,
    ),
    Row(
        "an init container that crashed before it succeeded",
        a_pod(
            web(RUNS, ready=True),
            ready="True",
            spec=MIGRATE,
            init=(web(DONE, CRASHED, ready=True, restarts=3, name="migrate"),),
        ),
        S.READY,
    ),
    # -- on its way ---------------------------------------------------------------------------------------------------
    Row("just made", a_pod(phase="Pending", conditions=[]), S.STARTING, "NotReady", K.READINESS),
    Row(
        "its container is being made", a_pod(web(CREATING), phase="Pending"), S.STARTING, "NotReady", K.READINESS, "web"
    ),
    Row(
        "an init container runs",
        a_pod(web(INITIALIZING), phase="Pending", spec=MIGRATE, init=(web(RUNS, name="migrate"),)),
        S.STARTING,
        "NotReady",
        K.READINESS,
        "migrate",
    ),
    Row("a startup probe has not passed", a_pod(web(RUNS, started=False)), S.STARTING, "NotReady", K.READINESS, "web"),
    Row(
        "a sidecar has not started",
        a_pod(web(INITIALIZING), phase="Pending", spec=PROXY, init=(web(RUNS, name="proxy", started=False),)),
        S.STARTING,
        "NotReady",
        K.READINESS,
        "proxy",
    ),
    Row("a first crash", a_pod(web(CRASHED)), S.NOT_READY, "Error", K.CRASH, "web"),
    # -- not ready ----------------------------------------------------------------------------------------------------
    Row("a readiness probe says no", a_pod(web(RUNS, started=True)), S.NOT_READY, "NotReady", K.READINESS, "web"),
    Row(
        "a readiness gate is closed",
        a_pod(web(RUNS, ready=True), why="ReadinessGatesNotReady"),
        S.NOT_READY,
        "NotReady",
        K.READINESS,
    ),
    Row(
        "a sidecar's readiness probe says no",
        a_pod(web(RUNS, ready=True), spec=PROXY, init=(web(RUNS, name="proxy", started=True),)),
        S.NOT_READY,
        "NotReady",
        K.READINESS,
        "proxy",
    ),
    # -- failing ------------------------------------------------------------------------------------------------------
    *(
        Row(reason, a_pod(web(waits(reason)), phase="Pending"), S.FAILING, reason, K.IMAGE, "web", True)
        for reason in sorted(IMAGE_REASONS)
    ),
    *(
        Row(reason, a_pod(web(waits(reason)), phase="Pending"), S.FAILING, reason, K.CREATE, "web", True)
        for reason in sorted(CREATE_REASONS)
    ),
    Row(
        "a reason that this house does not know",
        a_pod(web(waits("SomeNewMountError")), phase="Pending"),
        S.FAILING,
        "SomeNewMountError",
        K.CREATE,
        "web",
        True,
    ),
    Row(
        "backs off",
        a_pod(web(waits("CrashLoopBackOff"), CRASHED, restarts=3)),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "backs off, killed for memory",
        a_pod(web(waits("CrashLoopBackOff"), OOM, restarts=3)),
        S.FAILING,
        "OOMKilled",
        K.MEMORY,
        "web",
        True,
    ),
    Row(
        "backs off although it ends well",
        a_pod(web(waits("CrashLoopBackOff"), DONE, restarts=3)),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row("crashed again", a_pod(web(CRASHED, CRASHED, restarts=1)), S.FAILING, "CrashLoopBackOff", K.CRASH, "web", True),
    Row(
        "a program that ends well where it is to go on",
        a_pod(web(DONE, DONE, restarts=2)),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "runs between two crashes",
        a_pod(web(RUNS, CRASHED, restarts=4)),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "runs after its first crash, not ready",
        a_pod(web(RUNS, CRASHED, restarts=1)),
        S.FAILING,
        "Error",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "runs, killed for memory before",
        a_pod(web(RUNS, OOM, restarts=1)),
        S.FAILING,
        "OOMKilled",
        K.MEMORY,
        "web",
        True,
    ),
    Row(
        "ready between two crashes, twice so far",
        a_pod(web({"running": {"startedAt": at(4)}}, CRASHED, ready=True, restarts=2), ready="True"),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "ready for a moment in a crash loop",
        a_pod(web(RUNS, CRASHED, ready=True, restarts=5), ready="True"),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "ready, killed for memory every hour",
        a_pod(web(RUNS, ended(137, "OOMKilled", ran=3600), ready=True, restarts=6), ready="True"),
        S.FAILING,
        "OOMKilled",
        K.MEMORY,
        "web",
        True,
    ),
    Row(
        "killed by its liveness probe, again and again",
        a_pod(web(RUNS, ended(137), restarts=2)),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "web",
        True,
    ),
    Row(
        "an init container crashes",
        a_pod(
            web(INITIALIZING),
            phase="Pending",
            spec=MIGRATE,
            init=(web(waits("CrashLoopBackOff"), CRASHED, restarts=2, name="migrate"),),
        ),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "migrate",
        True,
    ),
    Row(
        "a sidecar ends",
        a_pod(web(RUNS, ready=True), spec=PROXY, init=(web(DONE, DONE, restarts=1, name="proxy"),)),
        S.FAILING,
        "CrashLoopBackOff",
        K.CRASH,
        "proxy",
        True,
    ),
    Row(
        "evicted, and nobody owns it",
        a_pod(phase="Failed", reason="Evicted", message="low on memory", owner=None),
        S.FAILING,
        "Evicted",
        K.FAILED,
        "",
        True,
    ),
    Row(
        "ran once and failed, and nobody owns it",
        a_pod(web(ended(3)), phase="Failed", owner=None, spec={"restartPolicy": "Never"}),
        S.FAILING,
        "Failed",
        K.FAILED,
        "web",
        True,
    ),
    # -- not its own fault --------------------------------------------------------------------------------------------
    Row(
        "no node takes it",
        a_pod(phase="Pending", conditions=UNSCHEDULED),
        S.UNSCHEDULABLE,
        "Unschedulable",
        K.SCHEDULING,
    ),
    Row(
        "held by a scheduling gate",
        a_pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
        S.GATED,
        "SchedulingGated",
        K.GATED,
    ),
    Row(
        "held by the gates that it names",
        a_pod(
            phase="Pending",
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "blocked"}],
            spec={"schedulingGates": [{"name": "acme.io/quota"}, {"name": "acme.io/net"}]},
        ),
        S.GATED,
        "SchedulingGated",
        K.GATED,
    ),
    Row("its node was lost", a_pod(web(RUNS, ready=True), reason="NodeLost"), S.LOST, "NodeLost", K.NODE),
    Row("phase Unknown", a_pod(web(RUNS, ready=True), phase="Unknown"), S.LOST, "NodeLost", K.NODE),
    Row("condition Unknown", a_pod(web(RUNS, ready=True), ready="Unknown"), S.LOST, "NodeLost", K.NODE),
    Row(
        "its node is silent, its containers were ready",
        a_pod(web(RUNS, ready=True), conditions=SILENT_NODE),
        S.LOST,
        "NodeNotReady",
        K.NODE,
    ),
    # -- counts nowhere -----------------------------------------------------------------------------------------------
    Row("evicted, replaced by its ReplicaSet", a_pod(phase="Failed", reason="Evicted"), S.FINISHED),
    Row("shut down with its node", a_pod(web(ended(143)), phase="Failed", reason="Terminated"), S.FINISHED),
    Row("preempted by the kubelet", a_pod(phase="Failed", reason="Preempting"), S.FINISHED),
    Row("refused by a node", a_pod(phase="Failed", reason="NodeAffinity"), S.FINISHED),
    Row("a Job's pod that failed", a_pod(web(CRASHED), phase="Failed", owner=JOB), S.FINISHED),
    Row("done", a_pod(web(DONE), phase="Succeeded", owner=JOB), S.FINISHED),
    Row("finished, held by a finalizer", a_pod(phase="Failed", meta={"deletionTimestamp": at(5)}), S.FINISHED),
    Row("goes, its grace is over", a_pod(web(CRASHED), meta={"deletionTimestamp": at(5)}), S.TERMINATING),
    Row(
        "goes, its deletion lies ahead, ready until then",
        a_pod(web(RUNS, ready=True), ready="True", meta={"deletionTimestamp": at(-600)}),
        S.TERMINATING,
    ),
    Row(
        "one of two containers ended well where none is restarted",
        a_pod(web(DONE), web(RUNS, ready=True, name="log"), owner=JOB, spec={"restartPolicy": "Never"}),
        S.NOT_READY,
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_a_status_means(row: Row) -> None:
    found = health(pod(row.pod), NOW)
    first = found.problems[0] if found.problems else None
    assert found.state is row.state
    assert (first.code if first else "") == row.code
    assert (first.kind if first else None) is row.kind
    assert (first.container if first else "") == row.container
    assert bool(first and first.lasting) is row.lasting
    assert found.failing is (row.state is S.FAILING)
    assert found.counts is (row.state not in (S.FINISHED, S.TERMINATING))
    if first is not None:
        assert first.reason
        assert first.since is not None


def test_the_table_is_long_enough_to_be_one() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) >= 30
    assert {row.state for row in TABLE} == set(PodState)
    assert {row.kind for row in TABLE} == {None, *ProblemKind}


def test_gates_are_told_by_name() -> None:
    row = next(row for row in TABLE if row.name == "held by the gates that it names")
    problem = health_of(row.pod, NOW).problems[0]
    assert (problem.detail, problem.lasting) == ("acme.io/quota, acme.io/net", False)
    assert str(problem.message) == "SchedulingGated (acme.io/quota, acme.io/net)"


def test_what_is_told_of_a_crash() -> None:
    problem = health_of(a_pod(web(waits("CrashLoopBackOff"), ended(139, message="boom"), restarts=3)), NOW).problems[0]
    assert (problem.exit_code, problem.signal, problem.restarts, problem.image) == (139, 11, 3, "web:1")
    assert (problem.detail, problem.since) == ("boom", NOW - timedelta(seconds=120))


def test_the_first_sign_counts_as_the_beginning() -> None:
    problem = health_of(a_pod(web(RUNS, ended(1, ago=400), restarts=2)), NOW).problems[0]
    assert problem.since == NOW - timedelta(seconds=400)


def test_without_a_clock_only_those_that_are_not_ready_are_judged_by_their_last_crash() -> None:
    assert health_of(a_pod(web(RUNS, ended(1, ago=9999), restarts=7))).failing
    assert not health_of(a_pod(web(RUNS, ended(1, ago=9999), ready=True, restarts=7), ready="True")).failing


def test_the_word_for_it_is_the_clusters_own() -> None:
    assert health_of(a_pod(web(waits("CrashLoopBackOff"), OOM, restarts=3)), NOW).word == "CrashLoopBackOff"
    assert health_of(a_pod(web(CREATING), phase="Pending"), NOW).word == "ContainerCreating"
    assert health_of(a_pod(web(RUNS)), NOW).word == "not ready"
    assert health_of(a_pod(phase="Pending", conditions=[]), NOW).word == "Pending"
    assert health_of(a_pod(web(RUNS, ready=True), ready="True"), NOW).word == ""
    assert health_of(a_pod(meta={"deletionTimestamp": at(-30)}), NOW).word == "Terminating"


def test_a_pod_is_steady_ten_minutes_after_its_last_crash() -> None:
    crashed = health_of(a_pod(web(RUNS, CRASHED, ready=True, restarts=1), ready="True"), NOW)
    assert crashed.ready
    assert not crashed.steady(NOW)
    assert crashed.steady(NOW + timedelta(minutes=10))


def test_both_containers_that_fail_are_told_of() -> None:
    found = health_of(
        a_pod(web(waits("ImagePullBackOff")), web(waits("CrashLoopBackOff"), CRASHED, restarts=2, name="log")), NOW
    )
    assert [(problem.container, problem.code) for problem in found.problems] == [
        ("web", "ImagePullBackOff"),
        ("log", "CrashLoopBackOff"),
    ]


def test_finished_is_asked_without_the_rest() -> None:
    assert finished(pod(a_pod(phase="Failed", reason="Evicted")))
    assert not finished(pod(a_pod(phase="Failed", owner=None)))
    assert isinstance(pod(a_pod()), Pod)
