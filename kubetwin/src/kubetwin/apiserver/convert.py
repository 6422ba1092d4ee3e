# SPDX-License-Identifier: Apache-2.0
"""Conversion between the API version of a request and the stored one.

Custom resources convert by apiVersion alone (conversion strategy ``None``). Of the built-in types two are served in
more than one shape: Events (core and events.k8s.io) and HorizontalPodAutoscalers (v1 and v2).
"""

from __future__ import annotations

import json
from typing import Any

from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.store import Object

# core name → events.k8s.io name. Source: pkg/apis/events/v1/conversion.go.
_EVENT = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENT_BACK = {new: old for old, new in _EVENT.items()}
_HPA_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_HPA_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_HPA_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_HPA_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def from_storage(obj: Object, resource_type: ResourceType) -> Object:
    """A view of a stored object in the version of ``resource_type``; shares parts with ``obj``."""
    if not resource_type.converts:
        return obj
    out = dict(obj)
    if resource_type.group == "events.k8s.io":
        # The core group shows empty names of the reporter, this one does not.
        out = {_EVENT.get(k, k): v for k, v in obj.items() if v != "" or not k.startswith("reporting")}
    elif resource_type.kind == "HorizontalPodAutoscaler":
        out = _hpa_v1(obj)
    out["kind"] = resource_type.kind
    out["apiVersion"] = resource_type.api_version
    return out


def to_storage(obj: Object, resource_type: ResourceType) -> Object:
    """The stored form of an object written in the version of ``resource_type``; shares parts with ``obj``."""
    if not resource_type.converts:
        return obj
    out = dict(obj)
    if resource_type.group == "events.k8s.io":
        out = {_EVENT_BACK.get(k, k): v for k, v in obj.items()}
    elif resource_type.kind == "HorizontalPodAutoscaler":
        out = _hpa_v2(obj)
    out["apiVersion"] = resource_type.storage_api_version
    return out


def _cpu_utilization(metric: dict[str, Any]) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or resource.get("current") or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in target


def _hpa_v1(obj: Object) -> Object:
    """Source: pkg/apis/autoscaling/v1/conversion.go: what v1 cannot say travels in annotations."""
    out = dict(obj)
    meta = out["metadata"] = dict(obj["metadata"])
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    notes: dict[str, str] = {}
    others = []
    for metric in spec.pop("metrics", None) or ():
        if _cpu_utilization(metric) and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
        else:
            others.append(metric)
    if others:
        notes[_HPA_METRICS] = json.dumps(others, separators=(",", ":"))
    if behavior := spec.pop("behavior", None):
        notes[_HPA_BEHAVIOR] = json.dumps(behavior, separators=(",", ":"))
    current = []
    for metric in status.pop("currentMetrics", None) or ():
        if _cpu_utilization(metric):
            status["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"]
        current.append(metric)
    if current:
        notes[_HPA_CURRENT] = json.dumps(current, separators=(",", ":"))
    if conditions := status.pop("conditions", None):
        notes[_HPA_CONDITIONS] = json.dumps(conditions, separators=(",", ":"))
    if notes:
        meta["annotations"] = {**(meta.get("annotations") or {}), **notes}
    out["spec"] = spec
    if "status" in obj:
        # v2 leaves out the zero that v1 shows.
        out["status"] = {"currentReplicas": 0, **status}
    return out


def _hpa_v2(obj: Object) -> Object:
    out = dict(obj)
    meta = out["metadata"] = dict(obj.get("metadata") or {})
    annotations = dict(meta.get("annotations") or {})
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metrics = _annotated(annotations, _HPA_METRICS) or []
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        spec["metrics"] = metrics
    if behavior := _annotated(annotations, _HPA_BEHAVIOR):
        spec["behavior"] = behavior
    status.pop("currentCPUUtilizationPercentage", None)
    if current := _annotated(annotations, _HPA_CURRENT):
        status["currentMetrics"] = current
    if conditions := _annotated(annotations, _HPA_CONDITIONS):
        status["conditions"] = conditions
    if "annotations" in meta:
        meta["annotations"] = annotations
        if not annotations:
            del meta["annotations"]
    out["spec"] = spec
    if "status" in obj:
        out["status"] = status
    return out


def _annotated(annotations: dict[str, str], key: str) -> Any:
    text = annotations.pop(key, None)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
