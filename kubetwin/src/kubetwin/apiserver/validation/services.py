# SPDX-License-Identifier: Apache-2.0
"""Validation of Services. Source: pkg/apis/core/validation."""

from __future__ import annotations

import ipaddress
from typing import Any

from kubetwin.apiserver.validation import metadata, names
from kubetwin.apiserver.validation.errors import Errors, Struct
from kubetwin.apiserver.validation.pods import port_or_name

Object = dict[str, Any]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICIES = ("Cluster", "Local")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_DAY = 86400


def service(errors: Errors, new: Object, old: Object | None) -> None:
    """The spec of a new or changed Service."""
    spec = new.get("spec") or {}
    if old is not None:
        _addresses_kept(errors, spec, old.get("spec") or {})
        _health_port_kept(errors, spec, old.get("spec") or {})
    _shape(errors, spec)
    ports = spec.get("ports") or []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        _port(errors, port, f"spec.ports[{index}]", seen, named=len(ports) > 1)
    metadata.labels(errors, spec.get("selector"), "spec.selector")
    _affinity(errors, spec)
    _addresses(errors, spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        _address(errors, address, f"spec.externalIPs[{index}]")
    kind = spec.get("type") or ""
    errors.one_of("spec.type", kind, _TYPES)
    _port_clashes(errors, ports, kind)
    _balancer(errors, spec, kind)
    _traffic(errors, spec, kind)


def _is_headless(spec: Object) -> bool:
    return spec.get("clusterIP") == "None" or (spec.get("clusterIPs") or [""])[0] == "None"


def _addresses_kept(errors: Errors, new: Object, old: Object) -> None:
    if "ExternalName" in (new.get("type"), old.get("type")) or (_is_headless(new) and _is_headless(old)):
        return
    before, after = old.get("clusterIPs") or [], new.get("clusterIPs") or []
    if len(before) == len(after):
        for index, address in enumerate(before):
            if address != after[index]:
                errors.invalid(f"spec.clusterIPs[{index}]", after, "may not change once set")
        return
    if not after:
        errors.invalid("spec.clusterIPs[0]", None, "primary clusterIP can not be unset")
    elif before and after[0] != before[0]:
        errors.invalid("spec.clusterIPs[0]", after, "may not change once set")
    if len(before) > len(after) == 1 and new.get("ipFamilyPolicy") != "SingleStack":
        text = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        errors.invalid("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), text)


def _health_port_kept(errors: Errors, new: Object, old: Object) -> None:
    name = "healthCheckNodePort"
    needed = [s.get("type") == "LoadBalancer" and s.get("externalTrafficPolicy") == "Local" for s in (new, old)]
    if all(needed) and new.get(name) != old.get(name):
        errors.forbidden(f"spec.{name}", "field is immutable")


def _shape(errors: Errors, spec: Object) -> None:
    kind = spec.get("type")
    if not spec.get("ports") and not _is_headless(spec) and kind != "ExternalName":
        errors.required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and _is_headless(spec):
        errors.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(field):
                errors.forbidden(f"spec.{field}", "may not be set for ExternalName services")
        name = (spec.get("externalName") or "").removesuffix(".")
        if name:
            errors.invalid_all("spec.externalName", name, names.dns_subdomain(name))
        else:
            errors.required("spec.externalName")


def _port(errors: Errors, port: Object, path: str, seen: set[str], *, named: bool) -> None:
    name = port.get("name") or ""
    if name:
        errors.invalid_all(f"{path}.name", name, names.dns_label(name))
        if name in seen:
            errors.duplicate(f"{path}.name", name)
        seen.add(name)
    elif named:
        errors.required(f"{path}.name")
    errors.invalid_all(f"{path}.port", port.get("port", 0), names.port_number(port.get("port", 0)))
    protocol = port.get("protocol") or ""
    errors.one_of(f"{path}.protocol", protocol, _PROTOCOLS)
    port_or_name(errors, port.get("targetPort", 0), f"{path}.targetPort")
    if port.get("appProtocol"):
        errors.invalid_all(f"{path}.appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))


def _affinity(errors: Errors, spec: Object) -> None:
    affinity = spec.get("sessionAffinity") or ""
    errors.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    if affinity == "None" and config is not None:
        errors.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")
    if affinity == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        if seconds is None:
            errors.required(path, "when session affinity type is ClientIP")
        elif not 0 < seconds <= _DAY:
            errors.invalid(path, seconds, f"must be greater than 0 and less than {_DAY}")


def _address(errors: Errors, value: str, path: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        errors.invalid(path, value, text)
        return False
    return True


def _addresses(errors: Errors, spec: Object) -> None:
    if spec.get("type") == "ExternalName":
        return
    first, all_of_them = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if first and not all_of_them:
        errors.required("spec.clusterIPs")
    elif first and all_of_them[0] != first:
        errors.invalid("spec.clusterIPs", all_of_them, "first value must match `clusterIP`")
    elif all_of_them and not first:
        errors.invalid("spec.clusterIPs", all_of_them, "must be empty when `clusterIP` is not specified")
    families = spec.get("ipFamilies") or []
    _check_families(errors, families, spec.get("ipFamilyPolicy"))
    good = _are_addresses(errors, all_of_them)
    if len(all_of_them) > 2:
        errors.invalid("spec.clusterIPs", all_of_them, "may only hold up to 2 values")
    if good and not _is_headless(spec):
        _in_families(errors, all_of_them, families)


def _check_families(errors: Errors, families: list[str], policy: str | None) -> None:
    for index, family in enumerate(families):
        if family not in _FAMILIES:
            errors.not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES)
        if family in families[:index]:
            errors.duplicate(f"spec.ipFamilies[{index}]", family)
    if policy and policy not in _FAMILY_POLICIES:
        errors.not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES)


def _are_addresses(errors: Errors, given: list[str]) -> bool:
    """Whether each is an address, or the only one is None."""
    good = True
    for index, address in enumerate(given):
        if index == 0 and address == "None":
            if len(given) > 1:
                good = False
                errors.invalid("spec.clusterIPs", given, "'None' must be the first and only value")
            continue
        good &= _address(errors, address, f"spec.clusterIPs[{index}]")
    return good


def _in_families(errors: Errors, addresses: list[str], families: list[str]) -> None:
    versions = [ipaddress.ip_address(address).version for address in addresses]
    if len(versions) == 2 and versions[0] == versions[1]:
        text = "may specify no more than one IP for each IP family"
        errors.invalid("spec.clusterIPs", addresses, text)
    for index, (version, family) in enumerate(zip(versions, families, strict=False)):
        if family != f"IPv{version}":
            text = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            errors.invalid(f"spec.clusterIPs[{index}]", addresses[index], text)


def _port_clashes(errors: Errors, ports: list[Object], kind: str) -> None:
    if kind == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                errors.forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
    nodes: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        node = port.get("nodePort")
        if node:
            key = (port.get("protocol", ""), node)
            if key in nodes:
                errors.duplicate(f"spec.ports[{index}].nodePort", node)
            nodes.add(key)
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            # The server prints its own form of the port here.
            value = Struct(Name="", Protocol=key[0], AppProtocol=None, Port=key[1], TargetPort=0, NodePort=0)
            errors.duplicate(f"spec.ports[{index}]", value)
        seen.add(key)


def _balancer(errors: Errors, spec: Object, kind: str) -> None:
    if spec.get("loadBalancerSourceRanges") and kind != "LoadBalancer":
        errors.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
    for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if spec.get(field) is not None and kind != "LoadBalancer":
            errors.forbidden(f"spec.{field}", "may only be used when `type` is 'LoadBalancer'")


def _traffic(errors: Errors, spec: Object, kind: str) -> None:
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    policy = spec.get("externalTrafficPolicy") or ""
    if not external:
        if policy:
            text = "may only be set for externally-accessible services"
            errors.invalid("spec.externalTrafficPolicy", policy, text)
    elif not policy:
        errors.required("spec.externalTrafficPolicy")
    elif policy not in _POLICIES:
        errors.not_supported("spec.externalTrafficPolicy", policy, _POLICIES)
    health = spec.get("healthCheckNodePort")
    if health and not (kind == "LoadBalancer" and policy == "Local"):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.invalid("spec.healthCheckNodePort", health, text)
    internal = spec.get("internalTrafficPolicy")
    if internal is None:
        if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
            errors.required("spec.internalTrafficPolicy")
    elif internal not in _POLICIES:
        errors.not_supported("spec.internalTrafficPolicy", internal, _POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        errors.not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS)
