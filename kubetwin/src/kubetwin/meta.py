# SPDX-License-Identifier: Apache-2.0
"""Reading and building the parts of objects that every controller touches."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubetwin.client import Obj

SERVICE_NAME = "kubernetes.io/service-name"
"""The label that names an EndpointSlice's Service."""
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def stamp(when: dt.datetime | None = None) -> str:
    """RFC 3339 with seconds, as metav1.Time."""
    return (when or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(when: dt.datetime | None = None) -> str:
    """RFC 3339 with microseconds, as metav1.MicroTime."""
    return (when or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def age_seconds(text: str | None, at: dt.datetime | None = None) -> float:
    """Seconds since ``text``; infinity when it is not set."""
    when = parse_time(text)
    return ((at or now()) - when).total_seconds() if when else float("inf")


def name_of(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Obj) -> str:
    return str(obj["metadata"].get("namespace") or "")


def uid_of(obj: Obj) -> str:
    return str(obj["metadata"].get("uid") or "")


def labels_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def deleting(obj: Obj) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def status_of(obj: Obj) -> Obj:
    return obj.get("status") or {}


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference with ``controller: true``."""
    for ref in obj["metadata"].get("ownerReferences") or ():
        if ref.get("controller"):
            return dict(ref)
    return None


def owner_reference(owner: Obj, *, controller: bool = True, block: bool = True) -> Obj:
    ref: Obj = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name_of(owner), "uid": uid_of(owner)}
    if controller:
        ref["controller"] = True
    if block:
        ref["blockOwnerDeletion"] = True
    return ref


def owner_index(obj: Obj) -> Iterable[str]:
    """Index: uid of the controller; objects without one under ``orphan/<namespace>``."""
    ref = controller_of(obj)
    return (ref["uid"] if ref else f"orphan/{namespace_of(obj)}",)


def service_index(piece: Obj) -> Iterable[str]:
    """Index of EndpointSlices: the key of their Service."""
    service = labels_of(piece).get(SERVICE_NAME)
    return (f"{namespace_of(piece)}/{service}",) if service else ()


def namespace_index(obj: Obj) -> Iterable[str]:
    return (namespace_of(obj),)


def node_index(obj: Obj) -> Iterable[str]:
    """Index: the node that a pod is bound to."""
    node = obj["spec"].get("nodeName")
    return (node,) if node else ()


def with_meta(obj: Obj, **changes: Any) -> Obj:
    """A copy of ``obj`` with other metadata fields; the original is left alone."""
    return {**obj, "metadata": {**obj["metadata"], **changes}}


# -- selectors -----------------------------------------------------------------------------------------------------

Selector = Callable[[Mapping[str, str]], bool]


def equality_selector(wanted: Mapping[str, str] | None) -> Selector:
    """Matches labels that contain ``wanted``; an empty one matches everything."""
    pairs = tuple((wanted or {}).items())
    return lambda labels: all(labels.get(k) == v for k, v in pairs)


def label_selector(selector: Obj | None) -> Selector:
    """metav1.LabelSelector: None matches nothing, an empty one everything."""
    if selector is None:
        return lambda labels: False
    equal = equality_selector(selector.get("matchLabels"))
    expressions = [
        (e["key"], e["operator"], frozenset(e.get("values") or ())) for e in selector.get("matchExpressions") or ()
    ]

    def matches(labels: Mapping[str, str]) -> bool:
        return equal(labels) and all(_expression(labels, *e) for e in expressions)

    return matches


def _expression(labels: Mapping[str, str], key: str, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt":
            try:
                actual, bound = int(labels[key]), int(next(iter(values)))
            except (KeyError, ValueError, StopIteration):
                return False
            return actual > bound if operator == "Gt" else actual < bound
    return False


def node_selector_term(term: Obj, node: Obj) -> bool:
    """One term of a NodeSelector; a term without any requirement matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = labels_of(node)
    names = {"metadata.name": name_of(node)}
    return all(
        _expression(labels, e["key"], e["operator"], frozenset(e.get("values") or ())) for e in expressions
    ) and all(_expression(names, e["key"], e["operator"], frozenset(e.get("values") or ())) for e in fields)


# -- conditions ----------------------------------------------------------------------------------------------------


def condition(obj_or_status: Obj, kind: str) -> Obj | None:
    status = obj_or_status.get("status", obj_or_status)
    for item in (status or {}).get("conditions") or ():
        if item["type"] == kind:
            return dict(item)
    return None


def condition_true(obj: Obj, kind: str) -> bool:
    item = condition(obj, kind)
    return bool(item) and item is not None and item["status"] == "True"


def new_condition(kind: str, status: str, reason: str, message: str, *also: str) -> Obj:
    """A condition that begins now; ``also`` are fields beside lastTransitionTime that have the same time."""
    times = dict.fromkeys((*also, "lastTransitionTime"), stamp())
    return {"type": kind, "status": status, **times, "reason": reason, "message": message}


def set_condition(conditions: list[Obj], new: Obj, *, keep_transition: bool = True) -> list[Obj]:
    """Replaced in place; lastTransitionTime is kept while the status stays the same."""
    out: list[Obj] = []
    placed = False
    for item in conditions:
        if item["type"] != new["type"]:
            out.append(item)
            continue
        if keep_transition and item["status"] == new["status"] and "lastTransitionTime" in item:
            new = {**new, "lastTransitionTime": item["lastTransitionTime"]}
        out.append(new)
        placed = True
    if not placed:
        out.append(new)
    return out


# -- pods ----------------------------------------------------------------------------------------------------------


def pod_phase(pod: Obj) -> str:
    return str(status_of(pod).get("phase") or "")


def pod_ready(pod: Obj) -> bool:
    return condition_true(pod, "Ready")


def pod_ended(pod: Obj) -> bool:
    return pod_phase(pod) in ("Succeeded", "Failed")


def pod_active(pod: Obj) -> bool:
    return not pod_ended(pod) and not deleting(pod)


def pod_available(pod: Obj, min_ready_seconds: int, at: dt.datetime | None = None) -> bool:
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return False
    return min_ready_seconds <= 0 or age_seconds(ready.get("lastTransitionTime"), at) >= min_ready_seconds


def availability_delay(pod: Obj, min_ready_seconds: int) -> float:
    """Seconds until a ready pod counts as available; 0 when it does already."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True" or min_ready_seconds <= 0:
        return 0.0
    # Stamps have whole seconds, so one more is needed to be surely past.
    return max(0.0, min_ready_seconds - age_seconds(ready.get("lastTransitionTime")) + 0.05)


def total_restarts(pod: Obj) -> int:
    return max((s.get("restartCount", 0) for s in status_of(pod).get("containerStatuses") or ()), default=0)


# -- numbers and hashes --------------------------------------------------------------------------------------------


def scaled_value(value: int | str | None, total: int, *, round_up: bool) -> int:
    """IntOrString: a number, or a percentage of ``total``."""
    if value is None:
        return 0
    if isinstance(value, str) and value.endswith("%"):
        percent = int(value[:-1]) * total
        return -(-percent // 100) if round_up else percent // 100
    return int(value)


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, and <, > and & escaped, as Go's encoding/json writes maps."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escaped)
    return text.encode()


def fnv32(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = (value * 0x01000193) & 0xFFFFFFFF
        value ^= byte
    return value


def fnv32a(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value ^= byte
        value = (value * 0x01000193) & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    """Letters that can't form words, as apimachinery's rand.SafeEncodeString."""
    return "".join(_SAFE[ord(c) % len(_SAFE)] for c in text)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value
