# SPDX-License-Identifier: Apache-2.0
"""Defaults of pods and pod templates (pkg/apis/core/v1)."""

from __future__ import annotations

from typing import Any

_Object = dict[str, Any]

_FILE_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def pod(obj: _Object) -> None:
    """A Pod: its spec, and what only pods (not templates) get."""
    spec = obj.get("spec")
    if not spec:
        return
    pod_spec(spec)
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            resources = container.get("resources") or {}
            limits = resources.get("limits")
            if limits:
                requests = resources.get("requests")
                if requests is None:
                    requests = resources["requests"] = {}
                for name, amount in limits.items():
                    requests.setdefault(name, amount)
            if spec.get("hostNetwork"):
                for port in container.get("ports") or ():
                    if not port.get("hostPort"):
                        port["hostPort"] = port.get("containerPort", 0)
    pod_resources = spec.get("resources")
    if pod_resources and pod_resources.get("limits"):
        requests = pod_resources.setdefault("requests", {})
        for name, amount in pod_resources["limits"].items():
            if name not in requests and not _requested(spec, name):
                requests[name] = amount
    spec.setdefault("enableServiceLinks", True)


def _requested(spec: _Object, name: str) -> bool:
    return any(
        name in ((container.get("resources") or {}).get("requests") or {})
        for field in ("containers", "initContainers")
        for container in spec.get(field) or ()
    )


def pod_template_object(obj: _Object) -> None:
    """A PodTemplate object."""
    template(obj.get("template"))


def template(value: _Object | None) -> None:
    """A pod template of a workload."""
    if value:
        spec = value.get("spec")
        if spec is not None:
            pod_spec(spec)


def pod_spec(spec: _Object) -> None:
    """The spec of a pod or template."""
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for field in _CONTAINER_LISTS:
        for container in spec.get(field) or ():
            _container(container)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    # The conversion between versions mirrors the account's two names.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def pull_policy(image: str) -> str:
    """``Always`` for an image without tag or with ``latest``, else ``IfNotPresent``."""
    name, at, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if colon:
        return "Always" if tag == "latest" else "IfNotPresent"
    return "IfNotPresent" if at or not name else "Always"


def _container(container: _Object) -> None:
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source and source.get("fieldRef"):
            source["fieldRef"].setdefault("apiVersion", "v1")
    for name in _PROBES:
        probe = container.get(name)
        if probe is not None:
            _probe(probe)
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for name in _HOOKS:
            hook = lifecycle.get(name)
            if hook and hook.get("httpGet") is not None:
                _http_get(hook["httpGet"])
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")


def _probe(probe: _Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if probe.get("httpGet") is not None:
        _http_get(probe["httpGet"])
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _http_get(action: _Object) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


_OF_SOURCES: dict[str, _Object] = {
    **{source: {"defaultMode": _FILE_MODE} for source in ("secret", "configMap", "projected", "downwardAPI")},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def _volume(volume: _Object) -> None:
    if len(volume) <= 1:
        volume.setdefault("emptyDir", {})
        return
    for source, defaults in _OF_SOURCES.items():
        if volume.get(source) is not None:
            for name, default in defaults.items():
                volume[source].setdefault(name, default)
    if volume.get("downwardAPI"):
        _field_items(volume["downwardAPI"])
    for projection in (volume.get("projected") or {}).get("sources") or ():
        if projection.get("serviceAccountToken") is not None:
            projection["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        if projection.get("downwardAPI"):
            _field_items(projection["downwardAPI"])
    if volume.get("image") is not None:
        volume["image"].setdefault("pullPolicy", pull_policy(volume["image"].get("reference") or ""))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim and claim.get("spec") is not None:
        claim["spec"].setdefault("volumeMode", "Filesystem")


def _field_items(source: _Object) -> None:
    for item in source.get("items") or ():
        if item.get("fieldRef"):
            item["fieldRef"].setdefault("apiVersion", "v1")
