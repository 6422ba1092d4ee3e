# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, datetime
from typing import Any

from kubetwin.apiserver.tables.pods import PRINTERS, pod_row

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def pod(
    containers: list[dict[str, Any]],
    *,
    init: list[dict[str, Any]] | None = None,
    init_spec: list[dict[str, Any]] | None = None,
    phase: str = "Running",
    conditions: list[dict[str, Any]] | None = None,
    deleted: bool = False,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "web-0", "creationTimestamp": "2026-05-01T11:58:00Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-05-01T12:00:00Z"
    default_init = [{"name": c["name"]} for c in init or ()]
    return {
        "metadata": metadata,
        "spec": {
            "containers": [{"name": c["name"], "image": "i"} for c in containers],
            "initContainers": init_spec if init_spec is not None else default_init,
            **(spec or {}),
        },
        "status": {
            "phase": phase,
            "conditions": conditions or [],
            "containerStatuses": containers,
            "initContainerStatuses": init or [],
            **(status or {}),
        },
    }


def container(
    name: str = "app", *, ready: bool = False, restarts: int = 0, ended: str = "", **state: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "ready": ready, "restartCount": restarts, "state": state}
    if ended:
        found["lastState"] = {"terminated": {"finishedAt": ended, "exitCode": 1}}
    return found


def running(name: str = "app", **more: Any) -> dict[str, Any]:
    return container(name, **{"ready": True, **more}, running={"startedAt": "2026-05-01T11:58:01Z"})


def cells(obj: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(pod_row(obj, NOW)[1:4])


READY = [{"type": "Ready", "status": "True"}]


def test_running() -> None:
    assert cells(pod([running()], conditions=READY)) == ("1/1", "Running", "0")


def test_every_cell_of_the_wide_form() -> None:
    obj = pod(
        [running()],
        spec={"nodeName": "node-1", "readinessGates": [{"conditionType": "a/b"}, {"conditionType": "c/d"}]},
        status={"podIPs": [{"ip": "10.0.0.7"}]},
        conditions=[{"type": "a/b", "status": "True"}, {"type": "c/d", "status": "False"}],
    )
    assert pod_row(obj, NOW) == ["web-0", "1/1", "Running", "0", "2m", "10.0.0.7", "node-1", "<none>", "1/2"]
    assert len(PRINTERS["", "pods"].columns) == 9


def test_pending_without_any_status() -> None:
    assert pod_row({"metadata": {"name": "p"}, "spec": {"containers": [{}]}, "status": {"phase": "Pending"}}, NOW) == [
        "p",
        "0/1",
        "Pending",
        "0",
        "<unknown>",
        "<none>",
        "<none>",
        "<none>",
        "<none>",
    ]


def test_crash_loop_shows_restarts_and_when_the_last_one_was() -> None:
    crashing = container(restarts=3, ended="2026-05-01T11:59:50Z", waiting={"reason": "CrashLoopBackOff"})
    assert cells(pod([crashing])) == ("0/1", "CrashLoopBackOff", "3 (10s ago)")


def test_the_latest_restart_of_several_containers_counts() -> None:
    found = [
        running("a", restarts=2, ended="2026-05-01T11:00:00Z"),
        running("b", restarts=1, ended="2026-05-01T11:57:30Z"),
    ]
    assert cells(pod(found)) == ("2/2", "Running", "3 (2m30s ago)")


def test_restarts_without_a_last_state_have_no_time() -> None:
    assert cells(pod([running(restarts=2)])) == ("1/1", "Running", "2")


def test_ended_containers_show_reason_signal_or_code() -> None:
    assert cells(pod([container(terminated={"reason": "OOMKilled", "exitCode": 137})]))[1] == "OOMKilled"
    assert cells(pod([container(terminated={"signal": 9, "exitCode": 137})]))[1] == "Signal:9"
    assert cells(pod([container(terminated={"exitCode": 3})]))[1] == "ExitCode:3"


def test_completed_beside_a_running_container() -> None:
    done = container("side", terminated={"reason": "Completed", "exitCode": 0})
    assert cells(pod([done, running()], conditions=READY))[:2] == ("1/2", "Running")
    assert cells(pod([done, running()]))[:2] == ("1/2", "NotReady")
    failed = container("side", terminated={"reason": "Error", "exitCode": 2})
    completed = container("main", terminated={"reason": "Completed", "exitCode": 0})
    assert cells(pod([completed, failed]))[1] == "Error"


def test_init_containers() -> None:
    waiting = container(waiting={"reason": "PodInitializing"})
    names = [{"name": "one"}, {"name": "two"}]
    done = container("one", terminated={"reason": "Completed", "exitCode": 0})
    second = container("two", running={})
    assert cells(pod([waiting], init=[done, second], init_spec=names, phase="Pending"))[1] == "Init:1/2"
    failed = container("one", terminated={"reason": "Error", "exitCode": 1})
    assert cells(pod([waiting], init=[failed], init_spec=names, phase="Pending"))[1] == "Init:Error"
    looping = container("one", restarts=4, ended="2026-05-01T11:59:00Z", waiting={"reason": "CrashLoopBackOff"})
    assert cells(pod([waiting], init=[looping], init_spec=names, phase="Pending"))[1:] == (
        "Init:CrashLoopBackOff",
        "4 (60s ago)",
    )
    for state, text in (({"exitCode": 5}, "Init:ExitCode:5"), ({"signal": 9, "exitCode": 137}, "Init:Signal:9")):
        assert cells(pod([waiting], init=[container("one", terminated=state)], init_spec=names))[1] == text
    initializing = container("one", waiting={"reason": "PodInitializing"})
    assert cells(pod([waiting], init=[initializing], init_spec=names))[1] == "Init:0/2"


def test_restarts_of_init_containers_are_forgotten_once_they_are_done() -> None:
    done = container("one", restarts=2, ended="2026-05-01T11:59:00Z", terminated={"exitCode": 0})
    assert cells(pod([running(restarts=1)], init=[done])) == ("1/1", "Running", "1")


def test_sidecars_count_as_containers() -> None:
    sidecar = {**running("mesh", restarts=2, ended="2026-05-01T11:59:00Z"), "started": True}
    spec = [{"name": "mesh", "restartPolicy": "Always"}]
    assert cells(pod([running()], init=[sidecar], init_spec=spec)) == ("2/2", "Running", "2 (60s ago)")
    starting = container("mesh", running={})
    assert cells(pod([container(waiting={"reason": "PodInitializing"})], init=[starting], init_spec=spec))[:2] == (
        "0/2",
        "Init:0/1",
    )


def test_deleted_pods() -> None:
    assert cells(pod([running()], deleted=True))[1] == "Terminating"
    done = container(terminated={"reason": "Completed", "exitCode": 0})
    assert cells(pod([done], phase="Succeeded", deleted=True))[1] == "Completed"
    assert cells(pod([running()], deleted=True, status={"reason": "NodeLost"}))[1] == "Unknown"


def test_evicted_and_gated() -> None:
    assert cells(pod([], phase="Failed", status={"reason": "Evicted"}))[1] == "Evicted"
    gated = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    assert cells(pod([], phase="Pending", conditions=gated))[1] == "SchedulingGated"


def test_finished_pods_carry_a_row_condition() -> None:
    conditions = PRINTERS["", "pods"].conditions
    assert conditions is not None
    assert conditions(pod([], phase="Succeeded")) == [
        {"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."}
    ]
    assert conditions(pod([running()])) == []
