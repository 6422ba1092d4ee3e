# SPDX-License-Identifier: Apache-2.0
"""Ports that go by a name: who asks for one, of whom, and who has it. Pure.

Whoever asks is not checked against whoever answers: a name that no container of the selected pods has leads nowhere, and nobody is
told (kubernetes pkg/api/v1/pod/util.go: FindPort; a NetworkPolicy's port, a monitor's endpoint are resolved the same way).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

Object = Mapping[str, Any]


class Asked(NamedTuple):
    """A port by its name, asked of the pods, or the Services, that ``selector`` (with matchLabels, matchExpressions) selects.
    ``field``: a pattern of the fields that say so."""

    of: Literal["pods", "services"]
    selector: Mapping[str, Any]
    name: str
    field: str


MONITORING = "monitoring.coreos.com/v1"


def asked_by(obj: Object, namespace: str) -> tuple[Asked, ...]:
    """Every port that an object asks for by name in ``namespace``."""
    spec = obj.get("spec") or {}
    kind = obj.get("kind")
    if kind == "Service":
        found = _by_service(spec)
    elif kind == "NetworkPolicy":
        found = _by_policy(spec)
    elif kind == "PodMonitor":
        found = _by_monitor(spec, namespace, obj, "podMetricsEndpoints", ("port", "pods"))
    elif kind == "ServiceMonitor":
        found = _by_monitor(spec, namespace, obj, "endpoints", ("port", "services"))
    else:
        return ()
    return tuple({(one.of, repr(one.selector), one.name): one for one in found}.values())


def _by_service(spec: Object) -> Iterator[Asked]:
    if not spec.get("selector") or spec.get("type") == "ExternalName":
        return
    for port in spec.get("ports") or ():
        if _named(port.get("targetPort")):
            yield Asked("pods", {"matchLabels": spec["selector"]}, port["targetPort"], "ports|targetPort")


def _by_policy(spec: Object) -> Iterator[Asked]:
    """What is let in by a name is let into pods that have it; what is let out, to pods of this namespace that have it."""
    for rule in spec.get("ingress") or ():
        for port in rule.get("ports") or ():
            if _named(port.get("port")):
                yield Asked("pods", spec.get("podSelector") or {}, port["port"], "ingress")
    for rule in spec.get("egress") or ():
        peers = [peer.get("podSelector") for peer in rule.get("to") or () if "namespaceSelector" not in peer]
        for selector in (peer for peer in peers if peer is not None):
            for port in rule.get("ports") or ():
                if _named(port.get("port")):
                    yield Asked("pods", selector, port["port"], "egress")


def _by_monitor(
    spec: Object, namespace: str, obj: Object, field: str, way: tuple[str, Literal["pods", "services"]]
) -> Iterator[Asked]:
    spaces = spec.get("namespaceSelector") or {}
    own = str((obj.get("metadata") or {}).get("namespace") or namespace)
    if not spaces.get("any") and namespace not in (spaces.get("matchNames") or [own]):
        return
    key, of = way
    for endpoint in spec.get(field) or ():
        if _named(endpoint.get(key)):
            yield Asked(of, spec.get("selector") or {}, endpoint[key], field)


def _named(port: Any) -> bool:
    return isinstance(port, str) and bool(port) and not port.isdecimal()


def offered(obj: Object) -> frozenset[str]:
    """The names of the ports that a workload's pods, or a Service, have."""
    spec = obj.get("spec") or {}
    if obj.get("kind") == "Service":
        return frozenset(str(port["name"]) for port in spec.get("ports") or () if port.get("name"))
    return of_template(spec.get("template") or {})


def of_template(template: Object) -> frozenset[str]:
    """The names of the ports of pods that are made from a template."""
    pod = template.get("spec") or {}
    containers = (*(pod.get("containers") or ()), *(pod.get("initContainers") or ()))
    return frozenset(str(port["name"]) for one in containers for port in one.get("ports") or () if port.get("name"))
