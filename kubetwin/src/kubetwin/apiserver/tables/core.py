# SPDX-License-Identifier: Apache-2.0
"""Tables of nodes, namespaces, events, configuration and quotas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kubetwin.apiserver.tables.columns import (
    AGE,
    NAME,
    Cell,
    Column,
    Printer,
    column,
    count,
    field,
    items,
    part,
    printer,
)
from kubetwin.apiserver.tables.text import Obj, quantity_text, since

_ROLE_PREFIX = "node-role.kubernetes.io/"
_conditions, _addresses = items("status.conditions"), items("status.addresses")


def _node_roles(obj: Obj) -> str:
    roles = set()
    for key, value in (obj["metadata"].get("labels") or {}).items():
        if key.startswith(_ROLE_PREFIX):
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == "kubernetes.io/role":
            roles.add(value)
    return ",".join(sorted(roles - {""})) or "<none>"


def _address(kind: str) -> Callable[[Obj], str]:
    return lambda obj: next((str(a.get("address", "")) for a in _addresses(obj) if a.get("type") == kind), "<none>")


def _node_state(obj: Obj) -> str:
    ready = [c for c in _conditions(obj) if c.get("type") == "Ready"]
    state = "Unknown" if not ready else "Ready" if ready[-1].get("status") == "True" else "NotReady"
    return f"{state},SchedulingDisabled" if (obj.get("spec") or {}).get("unschedulable") else state


_node_info = part("status.nodeInfo")


def _kernel(obj: Obj) -> str:
    info = _node_info(obj) or {}
    kernel, architecture = info.get("kernelVersion") or "<unknown>", info.get("architecture")
    return f"{kernel} ({architecture})" if architecture else kernel


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


_hard = part("status.hard")


def _quotas(*, limits: bool) -> Callable[[Obj], str]:
    def cell(obj: Obj) -> str:
        used = obj["status"].get("used") or {} if _hard(obj) else {}
        return ", ".join(
            f"{name}: {quantity_text(used.get(name, 0))}/{quantity_text(hard)}"
            for name, hard in sorted((_hard(obj) or {}).items())
            if name.startswith("limits.") is limits
        )

    return cell


def _healthy(field: str) -> Callable[[Obj], str]:
    """A field of the condition Healthy."""

    def cell(obj: Obj) -> str:
        return next((str(c.get(field, "")) for c in obj.get("conditions") or () if c.get("type") == "Healthy"), "")

    return cell


def _health(obj: Obj) -> str:
    if not any(c.get("type") == "Healthy" for c in obj.get("conditions") or ()):
        return "Unknown"
    return "Healthy" if _healthy("status")(obj) == "True" else "Unhealthy"


_EVENTS = printer(
    "v1/Event",
    Column("Last Seen", "@lastTimestamp"),
    Column("Type", "@type"),
    Column("Reason", "@reason"),
    Column("Object", "@involvedObject"),
    Column("Subobject", "@involvedObject.fieldPath", priority=1),
    Column("Source", "@source", priority=1),
    Column("Message", "@message"),
    Column("First Seen", "@firstTimestamp", priority=1),
    Column("Count", "@count", priority=1),
    Column("Name", "@meta:name", format="name", priority=1),
    row=_event,
)
_INFO = "status.nodeInfo"

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "nodes"): printer(
        "v1/Node",
        NAME,
        column("Status", "The status of the node", _node_state),
        column("Roles", "The roles of the node", _node_roles),
        AGE,
        field("Version", f"{_INFO}.kubeletVersion"),
        column("Internal-IP", "@status.addresses", _address("InternalIP"), wide=True),
        column("External-IP", "@status.addresses", _address("ExternalIP"), wide=True),
        field("OS-Image", f"{_INFO}.osImage", empty="<unknown>", wide=True),
        column("Kernel-Version", f"@{_INFO}.kernelVersion", _kernel, wide=True),
        field("Container-Runtime", f"{_INFO}.containerRuntimeVersion", empty="<unknown>", wide=True),
    ),
    ("", "namespaces"): printer(
        "v1/Namespace", NAME, field("Status", "status.phase", doc="The status of the namespace"), AGE
    ),
    ("", "events"): _EVENTS,
    ("events.k8s.io", "events"): _EVENTS,
    ("", "secrets"): printer("v1/Secret", NAME, field("Type", "type"), count("Data", "data"), AGE),
    ("", "configmaps"): printer(
        "v1/ConfigMap",
        NAME,
        column("Data", "@data", lambda obj: len(obj.get("data") or ()) + len(obj.get("binaryData") or ())),
        AGE,
    ),
    ("", "serviceaccounts"): printer("v1/ServiceAccount", NAME, AGE),
    ("", "resourcequotas"): printer(
        "v1/ResourceQuota",
        NAME,
        column(
            "Request",
            "Request represents a minimum amount of cpu/memory that a container may consume.",
            _quotas(limits=False),
        ),
        column(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention"
            " on the node.",
            _quotas(limits=True),
        ),
        AGE,
    ),
    ("", "componentstatuses"): printer(
        "v1/ComponentStatus",
        NAME,
        column("Status", "Status of the component conditions", _health),
        column("Message", "Message of the component conditions", _healthy("message")),
        column("Error", "Error of the component conditions", _healthy("error")),
    ),
}
