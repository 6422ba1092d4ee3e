# SPDX-License-Identifier: Apache-2.0
"""Validation of networking, policy, RBAC, autoscaling, storage, scheduling and coordination kinds."""

from __future__ import annotations

import ipaddress
from typing import Any

from kubetwin.apiserver.validation import metadata, names
from kubetwin.apiserver.validation.errors import Errors, Struct
from kubetwin.apiserver.validation.workloads import at_most_all, int_or_percent

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_EVICTION = ("AlwaysAllow", "IfHealthyBudget")
_SYSTEM_PRIORITY = 1_000_000_000


def ingress(errors: Errors, new: Object, old: Object | None) -> None:
    """An Ingress."""
    spec = new.get("spec") or {}
    rules, default = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and default is None:
        errors.invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if default is not None:
        _backend(errors, default, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        _rule(errors, rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(tls.get("hosts") or ()):
            rule_of_name = names.wildcard_subdomain if "*" in host else names.dns_subdomain
            errors.invalid_all(f"spec.tls[{index}].hosts[{number}]", host, rule_of_name(host))
        secret = tls.get("secretName")
        if secret:
            errors.invalid_all(f"spec.tls[{index}].secretName", secret, names.dns_subdomain(secret))
    class_name = spec.get("ingressClassName")
    if class_name is not None:
        errors.invalid_all("spec.ingressClassName", class_name, names.dns_subdomain(class_name))
        annotation = "kubernetes.io/ingress.class"
        other = ((new.get("metadata") or {}).get("annotations") or {}).get(annotation)
        if old is None and other is not None and other != class_name:
            text = "must match `ingressClassName` when both are specified"
            errors.invalid(f"annotations.{annotation}", other, text)


def _rule(errors: Errors, rule: Object, path: str) -> None:
    host = rule.get("host") or ""
    if host:
        try:
            ipaddress.ip_address(host)
            errors.invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        except ValueError:
            pass
        reasons = names.wildcard_subdomain(host) if "*" in host else names.dns_subdomain(host)
        errors.invalid_all(f"{path}.host", host, reasons)
    http = rule.get("http")
    if http is None:
        return
    paths = http.get("paths") or []
    if not paths:
        errors.required(f"{path}.http.paths")
    for index, item in enumerate(paths):
        _path(errors, item, f"{path}.http.paths[{index}]")


def _path(errors: Errors, item: Object, path: str) -> None:
    kind, text = item.get("pathType"), item.get("path") or ""
    if kind is None:
        errors.required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errors.invalid(f"{path}.path", text, "must be an absolute path")
        for bad in _BAD_PATHS:
            if bad in text:
                errors.invalid(f"{path}.path", text, f"must not contain '{bad}'")
        for bad in _BAD_ENDS:
            if text.endswith(bad):
                errors.invalid(f"{path}.path", text, f"cannot end with '{bad}'")
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errors.invalid(f"{path}.path", text, "must be an absolute path")
    else:
        errors.not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    _backend(errors, item.get("backend") or {}, f"{path}.backend")


def _backend(errors: Errors, backend: Object, path: str) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errors.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        for field in ("kind", "name"):
            if not resource.get(field):
                errors.required(f"{path}.resource.{field}")
    elif service is not None:
        name = service.get("name") or ""
        errors.well_named(f"{path}.service.name", name, names.dns_label)
        port = service.get("port") or {}
        port_name, number = port.get("name") or "", port.get("number") or 0
        if port_name and number:
            errors.invalid(path, "", "cannot set both port name & port number")
        elif port_name:
            errors.invalid_all(f"{path}.service.port.name", port_name, names.port_name(port_name))
        elif number:
            errors.invalid_all(f"{path}.service.port.number", number, names.port_number(number))
        else:
            errors.required(path, "port name or number is required")
    else:
        errors.invalid(path, "", "resource or service backend is required")


def network_policy(errors: Errors, new: Object, _old: Object | None) -> None:
    """A NetworkPolicy."""
    spec = new.get("spec") or {}
    metadata.selector(errors, spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                _policy_port(errors, port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or ()):
                _peer(errors, peer, f"{path}.{peers}[{number}]")
    types = spec.get("policyTypes") or []
    for index, kind in enumerate(types):
        if kind not in ("Egress", "Ingress"):
            errors.not_supported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress"))


def _policy_port(errors: Errors, port: Object, path: str) -> None:
    protocol = port.get("protocol")
    if protocol is not None and protocol not in ("SCTP", "TCP", "UDP"):
        errors.not_supported(f"{path}.protocol", protocol, ("SCTP", "TCP", "UDP"))
    value, end = port.get("port"), port.get("endPort")
    if isinstance(value, int):
        errors.invalid_all(f"{path}.port", value, names.port_number(value))
        if end is not None:
            if end < value:
                errors.invalid(f"{path}.endPort", value, "must be greater than or equal to `port`")
            errors.invalid_all(f"{path}.endPort", end, names.port_number(end))
    elif value is not None:
        if end is not None:
            errors.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        errors.invalid_all(f"{path}.port", value, names.port_name(value))
    elif end is not None:
        errors.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")


def _peer(errors: Errors, peer: Object, path: str) -> None:
    found = 0
    for field in ("podSelector", "namespaceSelector"):
        if peer.get(field) is not None:
            found += 1
            metadata.selector(errors, peer[field], f"{path}.{field}")
    block = peer.get("ipBlock")
    if block is not None:
        cidr = block.get("cidr") or ""
        if not cidr:
            errors.required(f"{path}.ipBlock.cidr")
        else:
            try:
                ipaddress.ip_network(cidr, strict=False)
            except ValueError:
                text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
                errors.invalid(f"{path}.ipBlock.cidr", cidr, text)
        if found:
            errors.forbidden(path, "may not specify both ipBlock and another peer")
        found += 1
    if not found:
        errors.required(path, "must specify a peer")


def disruption_budget(errors: Errors, new: Object, _old: Object | None) -> None:
    """A PodDisruptionBudget."""
    spec = new.get("spec") or {}
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    if low is not None and high is not None:
        shown = Struct(MinAvailable=low, Selector=spec.get("selector"), MaxUnavailable=high)
        shown["UnhealthyPodEvictionPolicy"] = spec.get("unhealthyPodEvictionPolicy")
        errors.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for field, value in (("minAvailable", low), ("maxUnavailable", high)):
        if value is not None:
            int_or_percent(errors, value, f"spec.{field}")
            at_most_all(errors, value, f"spec.{field}")
    metadata.selector(errors, spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION:
        errors.not_supported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION)


def role(errors: Errors, new: Object, _old: Object | None) -> None:
    """A Role or ClusterRole."""
    namespaced = new.get("kind") == "Role"
    for index, rule in enumerate(new.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.required(f"{path}.verbs", "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            if namespaced:
                errors.invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                errors.invalid(f"{path}.nonResourceURLs", urls, text)
            continue
        if not rule.get("apiGroups"):
            errors.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            errors.required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(errors: Errors, new: Object, old: Object | None) -> None:
    """A RoleBinding or ClusterRoleBinding."""
    namespaced = new.get("kind") == "RoleBinding"
    reference = new.get("roleRef") or {}
    if reference.get("apiGroup") != _RBAC:
        errors.not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), (_RBAC,))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        errors.not_supported("roleRef.kind", reference.get("kind", ""), kinds)
    name = reference.get("name") or ""
    errors.well_named("roleRef.name", name, names.path_segment)
    for index, subject in enumerate(new.get("subjects") or ()):
        _subject(errors, subject, f"subjects[{index}]", namespaced=namespaced)
    if old is not None and reference != (old.get("roleRef") or {}):
        shown = Struct(APIGroup=reference.get("apiGroup", ""), Kind=reference.get("kind", ""), Name=name)
        errors.invalid("roleRef", shown, "cannot change roleRef")


def _subject(errors: Errors, subject: Object, path: str, *, namespaced: bool) -> None:
    name, group, kind = (subject.get(field) or "" for field in ("name", "apiGroup", "kind"))
    if not name:
        errors.required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            errors.invalid_all(f"{path}.name", name, names.dns_subdomain(name))
        if group:
            errors.not_supported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            errors.required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != _RBAC:
            errors.not_supported(f"{path}.apiGroup", group, (_RBAC,))
    else:
        errors.not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def autoscaler(errors: Errors, new: Object, _old: Object | None) -> None:
    """A HorizontalPodAutoscaler."""
    spec = new.get("spec") or {}
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        errors.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high == 0:
        errors.required("spec.maxReplicas", "must be set and greater than 0")
    elif high < 0:
        errors.invalid("spec.maxReplicas", high, "must be greater than or equal to 1")
    if low is not None and high < low:
        errors.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        value = target.get(field) or ""
        errors.well_named(f"spec.scaleTargetRef.{field}", value, names.path_segment)
    core_kind = target.get("kind") == "ReplicationController"
    if "/" not in (target.get("apiVersion") or "") and not core_kind and _old is None:
        api_version = target.get("apiVersion") or ""
        errors.invalid("spec.scaleTargetRef.apiVersion", api_version, "apiVersion must specify API group")


def storage_class(errors: Errors, new: Object, old: Object | None) -> None:
    """A StorageClass."""
    if old is not None:
        for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
            errors.immutable(field, new.get(field), old.get(field))
        return
    provisioner = new.get("provisioner") or ""
    if not provisioner:
        errors.required("provisioner")
    else:
        errors.invalid_all("provisioner", provisioner, names.qualified_name(provisioner.lower()))
    if new.get("reclaimPolicy") not in ("Delete", "Retain"):
        errors.not_supported("reclaimPolicy", new.get("reclaimPolicy"), ("Delete", "Retain"))
    mode = new.get("volumeBindingMode")
    if mode not in ("Immediate", "WaitForFirstConsumer"):
        errors.not_supported("volumeBindingMode", mode, ("Immediate", "WaitForFirstConsumer"))


def priority_class(errors: Errors, new: Object, old: Object | None) -> None:
    """A PriorityClass."""
    name, value = (new.get("metadata") or {}).get("name") or "", new.get("value") or 0
    if old is not None:
        if value != (old.get("value") or 0):
            errors.forbidden("value", "may not be changed in an update.")
        errors.immutable("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))
        return
    if name.startswith("system-") and name not in ("system-node-critical", "system-cluster-critical"):
        text = "priority class names with 'system-' prefix are reserved for system use only. error: "
        errors.forbidden("metadata.name", f"{text}{name} is not a known system priority class")
    elif value > _SYSTEM_PRIORITY and not name.startswith("system-"):
        text = f"maximum allowed value of a user defined priority is {_SYSTEM_PRIORITY}"
        errors.forbidden("value", text)


def lease(errors: Errors, new: Object, _old: Object | None) -> None:
    """A Lease."""
    spec = new.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        errors.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    errors.non_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def controller_revision(errors: Errors, new: Object, old: Object | None) -> None:
    """A ControllerRevision: its data never changes."""
    if new.get("data") is None:
        errors.required("data", "data is mandatory")
    errors.non_negative("revision", new.get("revision"))
    if old is not None:
        errors.immutable("data", new.get("data"), old.get("data"))
