# SPDX-License-Identifier: Apache-2.0
"""Tables of services, endpoints, ingresses, policies and addresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubetwin.apiserver.tables.columns import AGE, NAME, Cell, Column, Printer, wide
from kubetwin.apiserver.tables.text import Obj, age, cut_list, labels_text, selector_or_none


def _balancer(obj: Obj) -> str:
    # Tables are always made in full: the server cuts this text only for a client that prints for itself.
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(sorted({i.get("ip") or i.get("hostname") or "" for i in ingress} - {""}))


def _external_ip(obj: Obj) -> str:
    spec = obj["spec"]
    kind, addresses = spec.get("type"), list(spec.get("externalIPs") or ())
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(addresses) or "<none>"
    if kind == "LoadBalancer":
        balancer = _balancer(obj)
        return ",".join([*(balancer.split(",") if balancer else ()), *addresses]) or "<pending>"
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    return "<unknown>"


def _service_port(port: Obj) -> str:
    node_port = port.get("nodePort")
    number = f"{port['port']}:{node_port}" if node_port else str(port["port"])
    return f"{number}/{port.get('protocol', 'TCP')}"


def _service(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj["spec"]
    cluster_ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else ())
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        cluster_ips[0] if cluster_ips else "<none>",
        _external_ip(obj),
        ",".join(map(_service_port, spec.get("ports") or ())) or "<none>",
        age(obj, now),
        labels_text(spec.get("selector")),
    ]


def _join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _endpoint_list(subsets: Sequence[Obj]) -> str:
    if not subsets:
        return "<none>"
    found: list[str] = []
    for subset in subsets:
        addresses = [address["ip"] for address in subset.get("addresses") or ()]
        ports = subset.get("ports")
        if not ports:
            found += addresses
        for port in ports or ():
            found += [_join_host_port(address, port["port"]) for address in addresses]
    text = ",".join(found[:3])
    return f"{text} + {len(found) - 3} more..." if len(found) > 3 else text


def _endpoints(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], _endpoint_list(obj.get("subsets") or ()), age(obj, now)]


def _slice_port(port: Obj) -> str:
    if (number := port.get("port")) is not None:
        return str(number)
    name = port.get("name")
    return "*" if name is None else str(name)


def _endpoint_slice(obj: Obj, now: datetime) -> list[Cell]:
    addresses = [a for endpoint in obj.get("endpoints") or () for a in endpoint.get("addresses") or ()]
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        cut_list([_slice_port(port) for port in obj.get("ports") or ()]),
        cut_list(addresses),
        age(obj, now),
    ]


def _hosts(rules: Sequence[Obj]) -> str:
    shown: list[str] = []
    more = False
    for rule in rules:
        if len(shown) == 3:
            more = True
        elif rule.get("host"):
            shown.append(rule["host"])
    if not shown:
        return "*"
    text = ",".join(shown)
    return f"{text} + {len(rules) - 3} more..." if more else text


def _ingress(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName") or "<none>",
        _hosts(spec.get("rules") or ()),
        _balancer(obj),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def _ingress_class(obj: Obj, now: datetime) -> list[Cell]:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    default = (metadata.get("annotations") or {}).get("ingressclass.kubernetes.io/is-default-class") == "true"
    parameters = "<none>"
    if reference := spec.get("parameters"):
        group = reference.get("apiGroup")
        kind = reference["kind"] if group is None else f"{reference['kind']}.{group}"
        parameters = f"{kind}/{reference['name']}"
    return [
        f"{metadata['name']} (default)" if default else metadata["name"],
        spec.get("controller", ""),
        parameters,
        age(obj, now),
    ]


def _network_policy(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], selector_or_none((obj.get("spec") or {}).get("podSelector")), age(obj, now)]


def _service_cidr(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], ",".join((obj.get("spec") or {}).get("cidrs") or ()), age(obj, now)]


def _ip_address(obj: Obj, now: datetime) -> list[Cell]:
    parent = "<none>"
    if reference := (obj.get("spec") or {}).get("parentRef"):
        group = reference.get("group")
        resource = reference.get("resource", "")
        parts = [f"{resource}.{group}" if group else resource, reference.get("namespace"), reference.get("name", "")]
        parent = "/".join(part for part in (parts[0].lower(), *parts[1:]) if part)
    # The server prints an age here though its header has no such column.
    return [obj["metadata"]["name"], parent, age(obj, now)]


PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "services"): Printer(
        (
            NAME,
            Column("Type", "@v1/Service:spec.type"),
            Column("Cluster-IP", "@v1/Service:spec.clusterIP"),
            Column("External-IP", "@v1/Service:spec.externalIPs"),
            Column("Port(s)", "@v1/Service:spec.ports"),
            AGE,
            wide("Selector", "@v1/Service:spec.selector"),
        ),
        _service,
    ),
    ("", "endpoints"): Printer((NAME, Column("Endpoints", "@v1/Endpoints:subsets"), AGE), _endpoints),
    ("discovery.k8s.io", "endpointslices"): Printer(
        (
            NAME,
            Column("AddressType", "@discovery.k8s.io/v1/EndpointSlice:addressType"),
            Column("Ports", "@discovery.k8s.io/v1/EndpointSlice:ports"),
            Column("Endpoints", "@discovery.k8s.io/v1/EndpointSlice:endpoints"),
            AGE,
        ),
        _endpoint_slice,
    ),
    ("networking.k8s.io", "ingresses"): Printer(
        (
            NAME,
            Column("Class", "The name of the IngressClass resource that should be used for additional configuration"),
            Column("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
            Column("Address", "Address is a list containing ingress points for the load-balancer"),
            Column("Ports", "Ports of TLS configurations that open"),
            AGE,
        ),
        _ingress,
    ),
    ("networking.k8s.io", "ingressclasses"): Printer(
        (
            NAME,
            Column("Controller", "Controller that is responsible for handling this class"),
            Column("Parameters", "A reference to a resource with additional parameters"),
            AGE,
        ),
        _ingress_class,
    ),
    ("networking.k8s.io", "networkpolicies"): Printer(
        (NAME, Column("Pod-Selector", "@networking.k8s.io/v1/NetworkPolicy:spec.podSelector"), AGE), _network_policy
    ),
    ("networking.k8s.io", "servicecidrs"): Printer(
        (NAME, Column("CIDRs", "@networking.k8s.io/v1/ServiceCIDR:spec.cidrs"), AGE), _service_cidr
    ),
    ("networking.k8s.io", "ipaddresses"): Printer(
        (NAME, Column("ParentRef", "@networking.k8s.io/v1/IPAddress:spec.parentRef")), _ip_address
    ),
}
