# SPDX-License-Identifier: Apache-2.0
"""Tables of nodes, namespaces, events, configuration and quotas."""

from __future__ import annotations

from datetime import datetime

from kubetwin.apiserver.tables.columns import AGE, NAME, Cell, Column, Printer, wide
from kubetwin.apiserver.tables.text import Obj, age, quantity_text, since

_ROLE_PREFIX = "node-role.kubernetes.io/"


def _name_and_age(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], age(obj, now)]


def _node_roles(obj: Obj) -> str:
    roles = set()
    for key, value in (obj["metadata"].get("labels") or {}).items():
        if key.startswith(_ROLE_PREFIX):
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == "kubernetes.io/role":
            roles.add(value)
    return ",".join(sorted(roles - {""})) or "<none>"


def _address(status: Obj, kind: str) -> str:
    for address in status.get("addresses") or ():
        if address.get("type") == kind:
            return str(address.get("address", ""))
    return "<none>"


def _node(obj: Obj, now: datetime) -> list[Cell]:
    status = obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    ready = [c for c in status.get("conditions") or () if c.get("type") == "Ready"]
    states = ["Unknown"] if not ready else ["Ready" if ready[-1].get("status") == "True" else "NotReady"]
    if (obj.get("spec") or {}).get("unschedulable"):
        states.append("SchedulingDisabled")
    kernel = info.get("kernelVersion") or "<unknown>"
    if architecture := info.get("architecture"):
        kernel = f"{kernel} ({architecture})"
    return [
        obj["metadata"]["name"],
        ",".join(states),
        _node_roles(obj),
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        kernel,
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _namespace(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", ""), age(obj, now)]


def _event(obj: Obj, now: datetime) -> list[Cell]:
    # events.k8s.io/v1 names the same fields differently.
    first_time = obj.get("firstTimestamp", obj.get("deprecatedFirstTimestamp"))
    last_time = obj.get("lastTimestamp", obj.get("deprecatedLastTimestamp"))
    count = obj.get("count", obj.get("deprecatedCount")) or 0
    source = obj.get("source", obj.get("deprecatedSource")) or {}
    about = obj.get("involvedObject", obj.get("regarding")) or {}
    message = obj.get("message", obj.get("note")) or ""
    controller = obj.get("reportingComponent", obj.get("reportingController"))
    first = since(first_time or obj.get("eventTime"), now)
    last = since(last_time, now) if last_time else first
    if series := obj.get("series"):
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    kind, name = about.get("kind", "").lower(), about.get("name")
    where = [source.get("component") or controller or ""]
    if instance := source.get("host") or obj.get("reportingInstance"):
        where.append(instance)
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        about.get("fieldPath", ""),
        ", ".join(where),
        message.strip(),
        first,
        count or 1,
        obj["metadata"]["name"],
    ]


def _secret(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


def _config_map(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def _resource_quota(obj: Obj, now: datetime) -> list[Cell]:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for name, hard in sorted((status.get("hard") or {}).items()):
        target = limits if name.startswith("limits.") else requests
        target.append(f"{name}: {quantity_text(used.get(name, 0))}/{quantity_text(hard)}")
    return [obj["metadata"]["name"], ", ".join(requests), ", ".join(limits), age(obj, now)]


def _component_status(obj: Obj, now: datetime) -> list[Cell]:
    for condition in obj.get("conditions") or ():
        if condition.get("type") == "Healthy":
            state = "Healthy" if condition.get("status") == "True" else "Unhealthy"
            return [obj["metadata"]["name"], state, condition.get("message", ""), condition.get("error", "")]
    return [obj["metadata"]["name"], "Unknown", "", ""]


_NODE_INFO = "@v1/Node:status.nodeInfo"

_EVENTS = Printer(
    (
        Column("Last Seen", "@v1/Event:lastTimestamp"),
        Column("Type", "@v1/Event:type"),
        Column("Reason", "@v1/Event:reason"),
        Column("Object", "@v1/Event:involvedObject"),
        wide("Subobject", "@v1/Event:involvedObject.fieldPath"),
        wide("Source", "@v1/Event:source"),
        Column("Message", "@v1/Event:message"),
        wide("First Seen", "@v1/Event:firstTimestamp"),
        wide("Count", "@v1/Event:count"),
        Column("Name", "@meta:name", format="name", priority=1),
    ),
    _event,
)

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "nodes"): Printer(
        (
            NAME,
            Column("Status", "The status of the node"),
            Column("Roles", "The roles of the node"),
            AGE,
            Column("Version", f"{_NODE_INFO}.kubeletVersion"),
            wide("Internal-IP", "@v1/Node:status.addresses"),
            wide("External-IP", "@v1/Node:status.addresses"),
            wide("OS-Image", f"{_NODE_INFO}.osImage"),
            wide("Kernel-Version", f"{_NODE_INFO}.kernelVersion"),
            wide("Container-Runtime", f"{_NODE_INFO}.containerRuntimeVersion"),
        ),
        _node,
    ),
    ("", "namespaces"): Printer((NAME, Column("Status", "The status of the namespace"), AGE), _namespace),
    ("", "events"): _EVENTS,
    ("events.k8s.io", "events"): _EVENTS,
    ("", "secrets"): Printer(
        (NAME, Column("Type", "@v1/Secret:type"), Column("Data", "@v1/Secret:data"), AGE), _secret
    ),
    ("", "configmaps"): Printer((NAME, Column("Data", "@v1/ConfigMap:data"), AGE), _config_map),
    ("", "serviceaccounts"): Printer((NAME, AGE), _name_and_age),
    ("", "resourcequotas"): Printer(
        (
            NAME,
            Column("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
            Column(
                "Limit",
                "Limits control the maximum amount of cpu/memory that a container may use independent of contention"
                " on the node.",
            ),
            AGE,
        ),
        _resource_quota,
    ),
    ("", "componentstatuses"): Printer(
        (
            NAME,
            Column("Status", "Status of the component conditions"),
            Column("Message", "Message of the component conditions"),
            Column("Error", "Error of the component conditions"),
        ),
        _component_status,
    ),
}
