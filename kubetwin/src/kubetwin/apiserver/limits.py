# SPDX-License-Identifier: Apache-2.0
"""LimitRanger: defaults and bounds of resources in a namespace (plugin/pkg/admission/limitranger)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubetwin.apiserver.amounts import Amounts, pod_total
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.status import aggregate, forbidden
from kubetwin.apiserver.store import Object
from kubetwin.quantity import value_of

_ANNOTATION = "kubernetes.io/limit-ranger"


def _limits(call: Call, kind: str) -> Iterator[dict[str, Any]]:
    for entry in call.cluster.store.collection(("", "limitranges")).scan(call.namespace):
        for limit in (entry.obj.get("spec") or {}).get("limits") or ():
            if limit.get("type") == kind:
                yield limit


def complete(call: Call, pod: Object) -> None:
    """Give the pod's containers the namespace's default requests and limits, in place."""
    notes: list[str] = []
    for limit in _limits(call, "Container"):
        for container in pod["spec"].get("containers") or ():
            _fill(container, limit, "container", notes)
        for container in pod["spec"].get("initContainers") or ():
            _fill(container, limit, "init container", notes)
    if notes:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(notes)


def _fill(container: dict[str, Any], limit: dict[str, Any], label: str, notes: list[str]) -> None:
    resources = container.setdefault("resources", {})
    for part, source, word in (("requests", "defaultRequest", "request"), ("limits", "default", "limit")):
        missing = {k: v for k, v in (limit.get(source) or {}).items() if k not in (resources.get(part) or {})}
        if missing:
            resources[part] = {**(resources.get(part) or {}), **missing}
            notes.append(f"{', '.join(sorted(missing))} {word} for {label} {container['name']}")


def check(call: Call, obj: Object) -> None:
    """Raises ApiError 403 for a pod or claim outside the namespace's bounds."""
    problems: list[str] = []
    if call.type.storage_key == ("", "pods"):
        containers = [*(obj["spec"].get("containers") or ()), *(obj["spec"].get("initContainers") or ())]
        for limit in _limits(call, "Container"):
            for container in containers:
                resources = container.get("resources") or {}
                problems += _bounds(limit, resources.get("requests") or {}, resources.get("limits") or {})
        for limit in _limits(call, "Pod"):
            problems += _bounds(limit, pod_total(obj, "requests"), pod_total(obj, "limits"))
    elif call.type.storage_key == ("", "persistentvolumeclaims"):
        requests = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
        for limit in _limits(call, "PersistentVolumeClaim"):
            problems += _below(limit, requests, {})
            for name, bound in (limit.get("max") or {}).items():
                if name not in requests:
                    problems.append(f"maximum {name} usage per {limit['type']} is {bound}.  No request is specified")
                elif value_of(requests[name]) > value_of(bound):
                    problems.append(_over(limit, name, bound, "request", requests[name]))
    if problems:
        raise forbidden(call.type.group_resource, obj["metadata"]["name"], aggregate(problems))


def _over(limit: dict[str, Any], name: str, bound: str, word: str, value: str) -> str:
    return f"maximum {name} usage per {limit['type']} is {bound}, but {word} is {value}"


def _below(limit: dict[str, Any], requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, bound in (limit.get("min") or {}).items():
        prefix = f"minimum {name} usage per {limit['type']} is {bound}"
        if name not in requests:
            yield f"{prefix}.  No request is specified"
        elif value_of(requests[name]) < value_of(bound):
            yield f"{prefix}, but request is {requests[name]}"
        elif name in limits and value_of(limits[name]) < value_of(bound):
            yield f"{prefix}, but limit is {limits[name]}"


def _bounds(limit: dict[str, Any], requests: Amounts, limits: Amounts) -> Iterator[str]:
    yield from _below(limit, requests, limits)
    for name, bound in (limit.get("max") or {}).items():
        if name not in limits:
            yield f"maximum {name} usage per {limit['type']} is {bound}.  No limit is specified"
        elif value_of(limits[name]) > value_of(bound):
            yield _over(limit, name, bound, "limit", limits[name])
        elif name in requests and value_of(requests[name]) > value_of(bound):
            yield _over(limit, name, bound, "request", requests[name])
    for name, ratio in (limit.get("maxLimitRequestRatio") or {}).items():
        prefix = f"{name} max limit to request ratio per {limit['type']} is {ratio}"
        asked, allowed = value_of(requests.get(name, "0")), value_of(limits.get(name, "0"))
        if not asked:
            yield f"{prefix}, but no request is specified or request is 0"
        elif not allowed:
            yield f"{prefix}, but no limit is specified or limit is 0"
        elif allowed / asked > value_of(ratio):
            yield f"{prefix}, but provided ratio is {float(allowed / asked):f}"
