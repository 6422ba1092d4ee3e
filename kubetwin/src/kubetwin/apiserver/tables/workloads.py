# SPDX-License-Identifier: Apache-2.0
"""Tables of workloads and of what acts on them: apps, batch, autoscaling, policy, replication controllers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubetwin.apiserver.tables.columns import AGE, CONTAINERS, IMAGES, NAME, Cell, Column, Printer, wide
from kubetwin.apiserver.tables.text import (
    Obj,
    age,
    between,
    container_cells,
    labels_text,
    quantity_text,
    selector_or_none,
    selector_text,
    since,
)


def _pod_spec(obj: Obj) -> Obj:
    spec: Obj = ((obj["spec"].get("template") or {}).get("spec")) or {}
    return spec


def _container_cells(obj: Obj) -> list[str]:
    return container_cells(_pod_spec(obj).get("containers"))


def _deployment(obj: Obj, now: datetime) -> list[Cell]:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj, now),
        *_container_cells(obj),
        selector_text(obj["spec"].get("selector")),
    ]


def _replica_set(obj: Obj, now: datetime) -> list[Cell]:
    status, spec = obj.get("status") or {}, obj["spec"]
    selector = spec.get("selector")
    is_controller = obj.get("kind") == "ReplicationController"
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj, now),
        *_container_cells(obj),
        labels_text(selector) if is_controller else selector_or_none(selector),
    ]


def _stateful_set(obj: Obj, now: datetime) -> list[Cell]:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}",
        age(obj, now),
        *_container_cells(obj),
    ]


def _daemon_set(obj: Obj, now: datetime) -> list[Cell]:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        labels_text(_pod_spec(obj).get("nodeSelector")),
        age(obj, now),
        *_container_cells(obj),
        selector_or_none(obj["spec"].get("selector")),
    ]


def _job_status(obj: Obj) -> str:
    # The first condition of a type decides, even when a later one of the same type says otherwise.
    states: dict[str, bool] = {}
    for condition in (obj.get("status") or {}).get("conditions") or ():
        states.setdefault(condition["type"], condition.get("status") == "True")
    for kind in ("Complete", "Failed"):
        if states.get(kind):
            return kind
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if states.get(kind):
            return kind
    return "Running"


def _job(obj: Obj, now: datetime) -> list[Cell]:
    spec, status = obj["spec"], obj.get("status") or {}
    done, wanted, parallelism = status.get("succeeded", 0), spec.get("completions"), spec.get("parallelism", 0)
    if wanted is not None:
        completions = f"{done}/{wanted}"
    else:
        completions = f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"
    duration = ""
    if start := status.get("startTime"):
        end = status.get("completionTime")
        duration = between(start, end) if end else since(start, now)
    return [
        obj["metadata"]["name"],
        _job_status(obj),
        completions,
        duration,
        age(obj, now),
        *_container_cells(obj),
        selector_or_none(spec.get("selector")),
    ]


def _cron_job(obj: Obj, now: datetime) -> list[Cell]:
    spec, status = obj["spec"], obj.get("status") or {}
    job_spec = spec["jobTemplate"].get("spec") or {}
    suspend = spec.get("suspend")
    last = status.get("lastScheduleTime")
    return [
        obj["metadata"]["name"],
        spec.get("schedule", ""),
        spec.get("timeZone") or "<none>",
        "<unset>" if suspend is None else str(suspend),
        len(status.get("active") or ()),
        since(last, now) if last else "<none>",
        age(obj, now),
        *container_cells((job_spec.get("template") or {}).get("spec", {}).get("containers")),
        # A template without a selector is a nil selector, which selects nothing and prints as empty.
        selector_or_none(job_spec.get("selector")),
    ]


def _controller_revision(obj: Obj, now: datetime) -> list[Cell]:
    controller = "<none>"
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group, _, _ = owner["apiVersion"].rpartition("/")
            kind = f"{owner['kind']}.{group}" if group else owner["kind"]
            controller = f"{kind.lower()}/{owner['name']}"
    return [obj["metadata"]["name"], controller, obj.get("revision", 0), age(obj, now)]


def _value(value: str | int | None) -> str:
    return quantity_text(value) if value is not None else "0"


def _metric(spec: Obj, status: Obj | None) -> str:
    kinds = {
        "External": "external",
        "Pods": "pods",
        "Object": "object",
        "Resource": "resource",
        "ContainerResource": "containerResource",
    }
    field = kinds.get(spec.get("type", ""))
    if field is None:
        return "<unknown type>"
    source = spec.get(field) or {}
    target = source.get("target") or {}
    current = ((status or {}).get(field) or {}).get("current")
    average = target.get("averageValue")
    if field in ("external", "object"):
        if average is not None:
            seen = None if current is None else current.get("averageValue")
            return f"{'<unknown>' if seen is None else _value(seen)}/{_value(average)} (avg)"
        return f"{_value(current.get('value')) if current is not None else '<unknown>'}/{_value(target.get('value'))}"
    if field == "pods":
        return f"{_value(current.get('averageValue')) if current is not None else '<unknown>'}/{_value(average)}"
    if average is not None:
        now = _value(current.get("averageValue")) if current is not None else "<unknown>"
        return f"{source['name']}: {now}/{_value(average)}"
    usage = (current or {}).get("averageUtilization")
    wanted = target.get("averageUtilization")
    return (
        f"{source['name']}: {'<unknown>' if usage is None else f'{usage}%'}"
        f"/{'<auto>' if wanted is None else f'{wanted}%'}"
    )


def _metrics(specs: Sequence[Obj], statuses: Sequence[Obj]) -> str:
    if not specs:
        return "<none>"
    found = [_metric(spec, statuses[i] if i < len(statuses) else None) for i, spec in enumerate(specs)]
    text = ", ".join(found[:2])
    return f"{text} + {len(found) - 2} more..." if len(found) > 2 else text


def _as_v2_metrics(obj: Obj) -> tuple[Sequence[Obj], Sequence[Obj]]:
    """Metrics of an autoscaler; those of `autoscaling/v1` are brought into the form of v2 first."""
    spec, status = obj["spec"], obj.get("status") or {}
    goal = spec.get("targetCPUUtilizationPercentage")
    if goal is None or "metrics" in spec:
        return spec.get("metrics") or (), status.get("currentMetrics") or ()
    usage = status.get("currentCPUUtilizationPercentage")
    now = [] if usage is None else [{"resource": {"name": "cpu", "current": {"averageUtilization": usage}}}]
    return [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": goal}}}], now


def _autoscaler(obj: Obj, now: datetime) -> list[Cell]:
    spec, target = obj["spec"], obj["spec"]["scaleTargetRef"]
    minimum = spec.get("minReplicas")
    return [
        obj["metadata"]["name"],
        f"{target['kind']}/{target['name']}",
        _metrics(*_as_v2_metrics(obj)),
        "<unset>" if minimum is None else str(minimum),
        spec.get("maxReplicas", 0),
        (obj.get("status") or {}).get("currentReplicas", 0),
        age(obj, now),
    ]


def _disruption_budget(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    return [
        obj["metadata"]["name"],
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        (obj.get("status") or {}).get("disruptionsAllowed", 0),
        age(obj, now),
    ]


def _scale(obj: Obj, now: datetime) -> list[Cell]:
    return [
        obj["metadata"]["name"],
        (obj.get("spec") or {}).get("replicas", 0),
        (obj.get("status") or {}).get("replicas", 0),
        age(obj, now),
    ]


def _replica_columns(kind: str) -> Sequence[Column]:
    return (
        NAME,
        Column("Desired", f"@{kind}:spec.replicas", "integer"),
        Column("Current", f"@{kind}:status.replicas", "integer"),
        Column("Ready", f"@{kind}:status.readyReplicas", "integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", f"@{kind}:spec.selector"),
    )


_READY = Column("Ready", "Number of the pod with ready state")
_HPA = "autoscaling/v2/HorizontalPodAutoscaler"

PRINTERS: dict[tuple[str, str], Printer] = {
    ("apps", "deployments"): Printer(
        (
            NAME,
            _READY,
            Column("Up-to-date", "@apps/v1/Deployment:status.updatedReplicas"),
            Column("Available", "@apps/v1/Deployment:status.availableReplicas"),
            AGE,
            CONTAINERS,
            IMAGES,
            wide("Selector", "@apps/v1/Deployment:spec.selector"),
        ),
        _deployment,
    ),
    ("apps", "replicasets"): Printer(_replica_columns("apps/v1/ReplicaSet"), _replica_set),
    ("", "replicationcontrollers"): Printer(_replica_columns("v1/ReplicationController"), _replica_set),
    ("apps", "statefulsets"): Printer((NAME, _READY, AGE, CONTAINERS, IMAGES), _stateful_set),
    ("apps", "daemonsets"): Printer(
        (
            NAME,
            Column("Desired", "@apps/v1/DaemonSet:status.desiredNumberScheduled", "integer"),
            Column("Current", "@apps/v1/DaemonSet:status.currentNumberScheduled", "integer"),
            Column("Ready", "@apps/v1/DaemonSet:status.numberReady", "integer"),
            Column("Up-to-date", "@apps/v1/DaemonSet:status.updatedNumberScheduled", "integer"),
            Column("Available", "@apps/v1/DaemonSet:status.numberAvailable", "integer"),
            Column("Node Selector", "@v1/Pod:spec.nodeSelector"),
            AGE,
            CONTAINERS,
            IMAGES,
            wide("Selector", "@apps/v1/DaemonSet:spec.selector"),
        ),
        _daemon_set,
    ),
    ("apps", "controllerrevisions"): Printer(
        (
            NAME,
            Column("Controller", "Controller of the object"),
            Column("Revision", "@apps/v1/ControllerRevision:revision"),
            AGE,
        ),
        _controller_revision,
    ),
    ("batch", "jobs"): Printer(
        (
            NAME,
            Column("Status", "Status of the job."),
            Column("Completions", "@batch/v1/Job:status.succeeded"),
            Column("Duration", "Time required to complete the job."),
            AGE,
            CONTAINERS,
            IMAGES,
            wide("Selector", "@batch/v1/Job:spec.selector"),
        ),
        _job,
    ),
    ("batch", "cronjobs"): Printer(
        (
            NAME,
            Column("Schedule", "@batch/v1/CronJob:spec.schedule"),
            Column("Timezone", "@batch/v1/CronJob:spec.timeZone"),
            Column("Suspend", "@batch/v1/CronJob:spec.suspend", "boolean"),
            Column("Active", "@batch/v1/CronJob:status.active", "integer"),
            Column("Last Schedule", "@batch/v1/CronJob:status.lastScheduleTime"),
            AGE,
            CONTAINERS,
            IMAGES,
            wide("Selector", "@batch/v1/Job:spec.selector"),
        ),
        _cron_job,
    ),
    ("autoscaling", "horizontalpodautoscalers"): Printer(
        (
            NAME,
            Column("Reference", f"@{_HPA}:spec.scaleTargetRef"),
            Column("Targets", f"@{_HPA}:spec.metrics"),
            Column("MinPods", f"@{_HPA}:spec.minReplicas"),
            Column("MaxPods", f"@{_HPA}:spec.maxReplicas"),
            Column("Replicas", f"@{_HPA}:status.currentReplicas"),
            AGE,
        ),
        _autoscaler,
    ),
    ("policy", "poddisruptionbudgets"): Printer(
        (
            NAME,
            Column("Min Available", "The minimum number of pods that must be available."),
            Column("Max Unavailable", "The maximum number of pods that may be unavailable."),
            Column("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.", "integer"),
            AGE,
        ),
        _disruption_budget,
    ),
}

SCALE = Printer(
    (
        Column("Name", "@meta:name"),
        Column("Desired", "@autoscaling/v1/Scale:spec.replicas", "integer"),
        Column("Available", "@autoscaling/v1/Scale:status.replicas", "integer"),
        AGE,
    ),
    _scale,
)
