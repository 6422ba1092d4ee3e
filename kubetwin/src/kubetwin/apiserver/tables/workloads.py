# SPDX-License-Identifier: Apache-2.0
"""Tables of workloads and of what acts on them: apps, batch, autoscaling, policy, replication controllers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from kubetwin.apiserver.tables.columns import (
    AGE,
    CONTAINERS,
    NAME,
    Column,
    Printer,
    column,
    containers,
    count,
    field,
    part,
    printer,
)
from kubetwin.apiserver.tables.text import (
    Obj,
    between,
    labels_text,
    quantity_text,
    selector_or_none,
    selector_text,
    since,
)


def _ready(obj: Obj) -> str:
    return f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}"


def _selector(
    text: Callable[[Obj | None], str] = selector_or_none, path: str = "spec.selector", doc: str = "@spec.selector"
) -> Column:
    find = part(path)
    return column("Selector", doc, lambda obj: text(find(obj)), wide=True)


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


def _completions(obj: Obj) -> str:
    spec = obj["spec"]
    done, wanted = (obj.get("status") or {}).get("succeeded", 0), spec.get("completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = spec.get("parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(obj: Obj, now: datetime) -> str:
    status = obj.get("status") or {}
    start, end = status.get("startTime"), status.get("completionTime")
    if not start:
        return ""
    return between(start, end) if end else since(start, now)


def _last_schedule(obj: Obj, now: datetime) -> str:
    last = (obj.get("status") or {}).get("lastScheduleTime")
    return since(last, now) if last else "<none>"


def _or(path: str, unset: str) -> Callable[[Obj], str]:
    """A value as text, `unset` where there is none."""
    find = part(path)
    return lambda obj: unset if (found := find(obj)) is None else str(found)


def _owner(obj: Obj) -> str:
    controller = "<none>"
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group, _, _ = owner["apiVersion"].rpartition("/")
            kind = f"{owner['kind']}.{group}" if group else owner["kind"]
            controller = f"{kind.lower()}/{owner['name']}"
    return controller


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


def _target(obj: Obj) -> str:
    target = obj["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _replicas(kind: str, selector: Callable[[Obj | None], str]) -> Printer:
    return printer(
        kind,
        NAME,
        field("Desired", "spec.replicas", 1, "integer"),
        field("Current", "status.replicas", 0, "integer"),
        field("Ready", "status.readyReplicas", 0, "integer"),
        AGE,
        *CONTAINERS,
        _selector(selector),
    )


_READY = column("Ready", "Number of the pod with ready state", _ready)
_node_selector = part("spec.template.spec.nodeSelector")
_JOB_SPEC = "spec.jobTemplate.spec"

PRINTERS: dict[tuple[str, str], Printer] = {
    ("apps", "deployments"): printer(
        "apps/v1/Deployment",
        NAME,
        _READY,
        field("Up-to-date", "status.updatedReplicas", 0),
        field("Available", "status.availableReplicas", 0),
        AGE,
        *CONTAINERS,
        _selector(selector_text),
    ),
    ("apps", "replicasets"): _replicas("apps/v1/ReplicaSet", selector_or_none),
    ("", "replicationcontrollers"): _replicas("v1/ReplicationController", labels_text),
    ("apps", "statefulsets"): printer("apps/v1/StatefulSet", NAME, _READY, AGE, *CONTAINERS),
    ("apps", "daemonsets"): printer(
        "apps/v1/DaemonSet",
        NAME,
        field("Desired", "status.desiredNumberScheduled", 0, "integer"),
        field("Current", "status.currentNumberScheduled", 0, "integer"),
        field("Ready", "status.numberReady", 0, "integer"),
        field("Up-to-date", "status.updatedNumberScheduled", 0, "integer"),
        field("Available", "status.numberAvailable", 0, "integer"),
        column("Node Selector", "@v1/Pod:spec.nodeSelector", lambda obj: labels_text(_node_selector(obj))),
        AGE,
        *CONTAINERS,
        _selector(),
    ),
    ("apps", "controllerrevisions"): printer(
        "apps/v1/ControllerRevision",
        NAME,
        column("Controller", "Controller of the object", _owner),
        field("Revision", "revision", 0),
        AGE,
    ),
    ("batch", "jobs"): printer(
        "batch/v1/Job",
        NAME,
        column("Status", "Status of the job.", _job_status),
        column("Completions", "@status.succeeded", _completions),
        Column("Duration", "Time required to complete the job.", _duration),
        AGE,
        *CONTAINERS,
        _selector(),
    ),
    ("batch", "cronjobs"): printer(
        "batch/v1/CronJob",
        NAME,
        field("Schedule", "spec.schedule"),
        field("Timezone", "spec.timeZone", empty="<none>"),
        column("Suspend", "@spec.suspend", _or("spec.suspend", "<unset>"), "boolean"),
        count("Active", "status.active", type="integer"),
        Column("Last Schedule", "@status.lastScheduleTime", _last_schedule),
        AGE,
        *containers(f"{_JOB_SPEC}.template.spec.containers"),
        # A template without a selector is a nil selector, which selects nothing and prints as empty.
        _selector(path=f"{_JOB_SPEC}.selector", doc="@batch/v1/Job:spec.selector"),
    ),
    ("autoscaling", "horizontalpodautoscalers"): printer(
        "autoscaling/v2/HorizontalPodAutoscaler",
        NAME,
        column("Reference", "@spec.scaleTargetRef", _target),
        column("Targets", "@spec.metrics", lambda obj: _metrics(*_as_v2_metrics(obj))),
        column("MinPods", "@spec.minReplicas", _or("spec.minReplicas", "<unset>")),
        field("MaxPods", "spec.maxReplicas", 0),
        field("Replicas", "status.currentReplicas", 0),
        AGE,
    ),
    ("policy", "poddisruptionbudgets"): printer(
        "policy/v1/PodDisruptionBudget",
        NAME,
        column("Min Available", "The minimum number of pods that must be available.", _or("spec.minAvailable", "N/A")),
        column(
            "Max Unavailable", "The maximum number of pods that may be unavailable.", _or("spec.maxUnavailable", "N/A")
        ),
        field(
            "Allowed Disruptions",
            "status.disruptionsAllowed",
            0,
            "integer",
            doc="Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ),
}

SCALE = printer(
    "autoscaling/v1/Scale",
    field("Name", "metadata.name", doc="@meta:name"),
    field("Desired", "spec.replicas", 0, "integer"),
    field("Available", "status.replicas", 0, "integer"),
    AGE,
)
