# SPDX-License-Identifier: Apache-2.0
"""Services: cluster addresses and node ports (pkg/registry/core/service)."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from typing import Any

from kubetwin.apiserver.status import Cause, internal_error, invalid
from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies.context import Context

ADDRESSES = ipaddress.ip_network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_WITH_PORTS = ("NodePort", "LoadBalancer")


def _others(obj: Object, context: Context) -> Iterator[dict[str, Any]]:
    uid = obj["metadata"].get("uid")
    for entry in context.store.collection(("", "services")).scan():
        if entry.obj["metadata"]["uid"] != uid:
            yield entry.obj["spec"]


def _has_address(spec: dict[str, Any]) -> bool:
    return bool(spec.get("type", "ClusterIP") != "ExternalName")


def create(obj: Object, context: Context) -> None:
    obj["status"] = {"loadBalancer": {}}
    assign(obj, None, context)


def update(new: Object, old: Object, subresource: str, context: Context) -> None:
    if subresource == "status":
        return
    spec, before = new["spec"], old["spec"]
    _follow_address(spec, before)
    if _has_address(spec) and _has_address(before):
        # What was allocated is kept by clients that do not send it.
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and before.get(name):
                spec[name] = before[name]
        if spec.get("type") in _WITH_PORTS and before.get("type") in _WITH_PORTS:
            _keep_ports(spec, before)
        if not spec.get("healthCheckNodePort") and before.get("healthCheckNodePort") and _needs_health_port(spec):
            spec["healthCheckNodePort"] = before["healthCheckNodePort"]
    elif not _has_address(spec):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            if spec.get(name) == before.get(name):
                spec.pop(name, None)
    if spec.get("type") not in _WITH_PORTS:
        old_ports = {p.get("nodePort") for p in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in old_ports:
                port.pop("nodePort", None)
        spec.pop("allocateLoadBalancerNodePorts", None)
        new["status"] = {"loadBalancer": {}}
    if not _needs_health_port(spec):
        spec.pop("healthCheckNodePort", None)
    _drop_unneeded(spec, before)
    assign(new, before, context)


def _follow_address(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """The list of addresses follows the single one when only that was changed (as normalizeClusterIPs)."""
    address = spec.get("clusterIP") or ""
    if address == (before.get("clusterIP") or "") or (spec.get("clusterIPs") or []) != (before.get("clusterIPs") or []):
        return
    if address:
        spec["clusterIPs"] = [address]
    else:
        spec.pop("clusterIPs", None)


def _drop_unneeded(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Fields that the new type cannot have, unless the client changed them too (as dropTypeDependentFields)."""
    for name, applies in (("externalTrafficPolicy", _external), ("loadBalancerClass", _balanced)):
        if applies(before) and not applies(spec) and spec.get(name) == before.get(name):
            spec.pop(name, None)


def _external(spec: dict[str, Any]) -> bool:
    plain = spec.get("type", "ClusterIP") == "ClusterIP"
    return spec.get("type") in _WITH_PORTS or (plain and bool(spec.get("externalIPs")))


def _balanced(spec: dict[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer"


def _keep_ports(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """By the names of the ports, whatever else of them was changed (as patchAllocatedValues)."""
    old = {p.get("name") or "": p.get("nodePort") for p in before.get("ports") or ()}
    used = set(old.values()) & {p.get("nodePort") for p in spec.get("ports") or ()}
    for port in spec.get("ports") or ():
        kept = old.get(port.get("name") or "")
        if not port.get("nodePort") and kept and kept not in used:
            port["nodePort"] = kept


def _needs_health_port(spec: dict[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def assign(obj: Object, before: dict[str, Any] | None, context: Context) -> None:
    """Give the service what it lacks; raises ApiError 422 when what it asks for is taken."""
    spec = obj["spec"]
    if _has_address(spec):
        _assign_address(obj, before, context)
    if spec.get("type") in _WITH_PORTS and spec.get("allocateLoadBalancerNodePorts", True):
        _assign_ports(obj, before, context)


def _assign_address(obj: Object, before: dict[str, Any] | None, context: Context) -> None:
    spec = obj["spec"]
    wanted = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    if not wanted or (wanted != "None" and wanted != (before or {}).get("clusterIP")):
        taken = {other.get("clusterIP") for other in _others(obj, context)}
        if not wanted:
            # A dry run looks for no free one.
            wanted = str(ADDRESSES[0]) if context.dry_run else _free_address(taken)
        elif not (before or {}).get("clusterIP"):  # a change of one that is set is for validation to refuse
            _check_address(obj, wanted, set() if context.dry_run else taken, context)
    spec["clusterIP"] = wanted
    if not spec.get("clusterIPs"):
        spec["clusterIPs"] = [wanted]
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = ["IPv4"]
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = "SingleStack"


def _free_address(taken: set[str | None]) -> str:
    while True:
        # The low addresses are kept for those who ask for one by name.
        address = str(ADDRESSES[random.randint(256, ADDRESSES.num_addresses - 2)])
        if address not in taken:
            return address


def _check_address(obj: Object, wanted: str, taken: set[str | None], context: Context) -> None:
    """A dry run does not find out that an address is taken (dryRunAllocator of ipallocator.go)."""
    name = obj["metadata"]["name"]
    try:
        inside = ipaddress.ip_address(wanted) in ADDRESSES
    except ValueError:
        return
    if not inside and context.dry_run:
        where = f"the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {ADDRESSES}"
        why = f"failed to allocate IP {wanted}: {where}"
    elif not inside:
        why = f"failed to allocate IP {wanted}: the provided network does not match the current range"
    elif wanted in taken:
        why = f"failed to allocate IP {wanted}: provided IP is already allocated"
    else:
        return
    raise invalid("Service", name, [Cause.invalid("spec.clusterIPs", [wanted], why)])


def _assign_ports(obj: Object, before: dict[str, Any] | None, context: Context) -> None:
    spec = obj["spec"]
    mine = {p.get("nodePort") for p in (before or {}).get("ports") or ()}
    taken = {p.get("nodePort") for other in _others(obj, context) for p in other.get("ports") or ()}
    taken |= {other["healthCheckNodePort"] for other in _others(obj, context) if other.get("healthCheckNodePort")}
    for index, port in enumerate(spec.get("ports") or ()):
        wanted = port.get("nodePort")
        if not wanted:
            continue
        why = "" if wanted in mine else _refusal(wanted, taken, context)
        if why:
            raise invalid(
                "Service", obj["metadata"]["name"], [Cause.invalid(f"spec.ports[{index}].nodePort", wanted, why)]
            )
    chosen = set() if context.dry_run else {p["nodePort"] for p in spec.get("ports") or () if p.get("nodePort")}
    for port in spec.get("ports") or ():
        port["nodePort"] = port.get("nodePort") or _free_port(taken, chosen, context)
        chosen.add(port["nodePort"])
    if not _needs_health_port(spec):
        return
    health = spec.get("healthCheckNodePort")
    if not health:
        spec["healthCheckNodePort"] = _free_port(taken, chosen, context)
    elif not _needs_health_port(before or {}) and (why := _refusal(health, taken | chosen, context)):
        raise internal_error(f"failed to allocate requested HealthCheck NodePort {health}: {why}")


def _refusal(wanted: int, taken: set[Any], context: Context) -> str:
    """Why that number cannot be had; a dry run does not look at the range."""
    if wanted not in NODE_PORTS and not context.dry_run:
        return "provided port is not in the valid range. The range of valid ports is 30000-32767"
    return "provided port is already allocated" if wanted in taken else ""


def _free_port(taken: set[Any], chosen: set[int], context: Context) -> int:
    if context.dry_run:
        # A number that is no node port, since none is looked for (AllocateNext of portallocator/operation.go).
        return max(chosen, default=32768) + 1
    return random.choice([port for port in NODE_PORTS if port not in taken and port not in chosen])
