# SPDX-License-Identifier: Apache-2.0
"""The status of a simulated pod as a kubelet writes it (facts: pkg/kubelet/kubelet_pods.go, status/generate.go)."""

from __future__ import annotations

import datetime as dt

from kubetwin.client import Obj
from kubetwin.kubelet import images
from kubetwin.kubelet.container import Container, Terminated
from kubetwin.kubelet.machine import PodMachine
from kubetwin.meta import condition, stamp, status_of


def _time(when: float) -> str:
    return stamp(dt.datetime.fromtimestamp(when, dt.UTC))


def container_status(container: Container) -> Obj:
    spec = container.spec
    image = spec.get("image", "")
    shown = container.seen_running or container.ended is not None or container.last is not None
    status: Obj = {
        "name": container.name,
        "state": _state(container),
        "lastState": {"terminated": _terminated(container.last)} if container.last is not None else {},
        "ready": container.ready,
        "restartCount": container.restarts,
        "image": images.full_name(image) if shown else image,
        "imageID": images.image_id(image) if shown else "",
    }
    if shown:
        status["containerID"] = container.container_id or (container.last.container_id if container.last else "")
    status["started"] = container.started
    if container.seen_running:
        resources = spec.get("resources") or {}
        status["resources"] = {k: v for k, v in resources.items() if k in ("limits", "requests")}
        if resources.get("requests"):
            status["allocatedResources"] = dict(resources["requests"])
        mounts = [_mount(m) for m in spec.get("volumeMounts") or ()]
        if mounts:
            status["volumeMounts"] = mounts
    return status


def _mount(mount: Obj) -> Obj:
    out: Obj = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        out.update(readOnly=True, recursiveReadOnly="Disabled")
    return out


def _state(container: Container) -> Obj:
    if container.seen_running:
        return {"running": {"startedAt": _time(container.started_at)}}
    if container.ended is not None:
        return {"terminated": _terminated(container.ended)}
    waiting: Obj = {"reason": container.waiting or "ContainerCreating"}
    if container.message:
        waiting["message"] = container.message
    return {"waiting": waiting}


def _terminated(ended: Terminated) -> Obj:
    out: Obj = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": _time(ended.started),
        "finishedAt": _time(ended.finished),
        "containerID": ended.container_id,
    }
    if ended.message:
        out["message"] = ended.message
    return out


def phase_of(machine: PodMachine) -> str:
    if machine.terminal is not None:
        return machine.terminal[0]
    if machine.init_failed:
        return "Failed"
    if not machine.initialized:
        return "Pending"
    running = sum(1 for c in machine.mains if c.seen_running)
    stopped = [c for c in machine.mains if not c.seen_running and (c.ended is not None or c.last is not None)]
    if len(stopped) + running < len(machine.mains):
        return "Pending"
    if running:
        return "Running"
    succeeded = [c for c in stopped if c.ended is not None and c.ended.exit_code == 0]
    if machine.restart_policy == "Always":
        return "Running"
    if len(succeeded) == len(stopped):
        return "Succeeded"
    return "Failed" if machine.restart_policy == "Never" else "Running"


def pod_status(machine: PodMachine, now: float) -> Obj:
    """What the kubelet owns of the status: everything but the scheduler's condition, which is kept."""
    pod = machine.pod
    phase = phase_of(machine)
    status: Obj = {
        "phase": phase,
        "conditions": _conditions(machine, phase, now),
        "hostIP": machine.node.host_ip,
        "hostIPs": [{"ip": machine.node.host_ip}],
        "startTime": _time(machine.started_at),
        "containerStatuses": [container_status(c) for c in machine.mains],
    }
    generation = pod["metadata"].get("generation")
    if generation is not None:
        status["observedGeneration"] = generation
    if machine.terminal is not None:
        status["reason"], status["message"] = machine.terminal[1], machine.terminal[2]
    if machine.pod_ip:
        status["podIP"] = machine.pod_ip
        status["podIPs"] = [{"ip": machine.pod_ip}]
    if machine.inits:
        status["initContainerStatuses"] = [container_status(c) for c in machine.inits]
    qos = status_of(pod).get("qosClass")
    if qos:
        status["qosClass"] = qos
    return status


def _conditions(machine: PodMachine, phase: str, now: float) -> list[Obj]:
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    wanted: list[tuple[str, bool, str, str]] = [
        ("PodReadyToStartContainers", machine.sandbox and not (ended or machine.gone), "", "")
    ]
    wanted.append(_initialized(machine, phase))
    containers = [*(c for c in machine.inits if c.sidecar), *machine.mains]
    unready = [c.name for c in containers if not c.ready]
    text = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
    if ended:
        wanted.append(("Ready", False, ended, ""))
        wanted.append(("ContainersReady", False, ended, ""))
    else:
        reason = "ContainersNotReady" if unready else ""
        gates = _gates(machine.pod) if not unready else ""
        wanted.append(
            ("Ready", not unready and not gates, "ReadinessGatesNotReady" if gates else reason, gates or text)
        )
        wanted.append(("ContainersReady", not unready, reason, text))
    wanted.append(("PodScheduled", True, "", ""))
    return [_condition(machine.pod, *item, now) for item in wanted]


def _initialized(machine: PodMachine, phase: str) -> tuple[str, bool, str, str]:
    if phase == "Succeeded":
        return "Initialized", True, "PodCompleted", ""
    if machine.initialized:
        return "Initialized", True, "", ""
    waiting = [
        c.name
        for c in machine.inits
        if not (c.started if c.sidecar else c.ended is not None and c.ended.exit_code == 0)
    ]
    text = f"containers with incomplete status: [{' '.join(waiting)}]"
    return "Initialized", False, "ContainersNotInitialized", text


def _gates(pod: Obj) -> str:
    problems: list[str] = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        found = condition(pod, kind)
        if found is None:
            problems.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found["status"] != "True":
            text = f'the status of pod readiness gate "{kind}" is not "True", but {found["status"]}'
            problems.append(text)
    return ", ".join(problems)


def _condition(pod: Obj, kind: str, value: bool, reason: str, message: str, now: float) -> Obj:
    status = "True" if value else "False"
    before = condition(pod, kind)
    moved = before is None or before["status"] != status
    out: Obj = {"type": kind, "status": status, "lastProbeTime": None}
    out["lastTransitionTime"] = _time(now) if moved or before is None else before["lastTransitionTime"]
    generation = pod["metadata"].get("generation")
    if generation is not None:
        out["observedGeneration"] = generation
    if reason:
        out["reason"] = reason
    if message:
        out["message"] = message
    return out
