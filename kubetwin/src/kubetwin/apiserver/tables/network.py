# SPDX-License-Identifier: Apache-2.0
"""Tables of services, endpoints, ingresses, policies and addresses."""

from __future__ import annotations

from collections.abc import Sequence

from kubetwin.apiserver.tables.columns import AGE, CREATED, NAME, Printer, column, field, items, part, printer
from kubetwin.apiserver.tables.columns import name_with_default as named
from kubetwin.apiserver.tables.text import Obj, cut_list, labels_text, selector_or_none, since

_spec = part("spec")


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


def _ports(obj: Obj) -> str:
    return ",".join(map(_service_port, obj["spec"].get("ports") or ())) or "<none>"


def _cluster_ip(obj: Obj) -> str:
    spec = obj["spec"]
    return str(next(iter(spec.get("clusterIPs") or ()), None) or spec.get("clusterIP") or "<none>")


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


def _slice_port(port: Obj) -> str:
    if (number := port.get("port")) is not None:
        return str(number)
    name = port.get("name")
    return "*" if name is None else str(name)


_slice_ports, _slice_endpoints = items("ports"), items("endpoints")


def _slice_addresses(obj: Obj) -> str:
    return cut_list([a for endpoint in _slice_endpoints(obj) for a in endpoint.get("addresses") or ()])


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


def _parameters(obj: Obj) -> str:
    reference = (_spec(obj) or {}).get("parameters")
    if not reference:
        return "<none>"
    group = reference.get("apiGroup")
    kind = reference["kind"] if group is None else f"{reference['kind']}.{group}"
    return f"{kind}/{reference['name']}"


def _parent(obj: Obj) -> str:
    reference = (_spec(obj) or {}).get("parentRef")
    if not reference:
        return "<none>"
    group, resource = reference.get("group"), reference.get("resource", "")
    parts = [f"{resource}.{group}" if group else resource, reference.get("namespace"), reference.get("name", "")]
    return "/".join(text for text in (parts[0].lower(), *parts[1:]) if text)


_cidrs, _rules = items("spec.cidrs"), items("spec.rules")
_NETWORKING = "networking.k8s.io"

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "services"): printer(
        "v1/Service",
        NAME,
        field("Type", "spec.type"),
        column("Cluster-IP", "@spec.clusterIP", _cluster_ip),
        column("External-IP", "@spec.externalIPs", _external_ip),
        column("Port(s)", "@spec.ports", _ports),
        AGE,
        column("Selector", "@spec.selector", lambda obj: labels_text(obj["spec"].get("selector")), wide=True),
    ),
    ("", "endpoints"): printer(
        "v1/Endpoints", NAME, column("Endpoints", "@subsets", lambda obj: _endpoint_list(obj.get("subsets") or ())), AGE
    ),
    ("discovery.k8s.io", "endpointslices"): printer(
        "discovery.k8s.io/v1/EndpointSlice",
        NAME,
        field("AddressType", "addressType"),
        column("Ports", "@ports", lambda obj: cut_list([_slice_port(port) for port in _slice_ports(obj)])),
        column("Endpoints", "@endpoints", _slice_addresses),
        AGE,
    ),
    (_NETWORKING, "ingresses"): printer(
        f"{_NETWORKING}/v1/Ingress",
        NAME,
        field(
            "Class",
            "spec.ingressClassName",
            doc="The name of the IngressClass resource that should be used for additional configuration",
            empty="<none>",
        ),
        column(
            "Hosts",
            "Hosts that incoming requests are matched against before the ingress rule",
            lambda obj: _hosts(_rules(obj)),
        ),
        column("Address", "Address is a list containing ingress points for the load-balancer", _balancer),
        column(
            "Ports",
            "Ports of TLS configurations that open",
            lambda obj: "80, 443" if (_spec(obj) or {}).get("tls") else "80",
        ),
        AGE,
    ),
    (_NETWORKING, "ingressclasses"): printer(
        f"{_NETWORKING}/v1/IngressClass",
        named("ingressclass.kubernetes.io/is-default-class"),
        field("Controller", "spec.controller", doc="Controller that is responsible for handling this class"),
        column("Parameters", "A reference to a resource with additional parameters", _parameters),
        AGE,
    ),
    (_NETWORKING, "networkpolicies"): printer(
        f"{_NETWORKING}/v1/NetworkPolicy",
        NAME,
        column(
            "Pod-Selector", "@spec.podSelector", lambda obj: selector_or_none((_spec(obj) or {}).get("podSelector"))
        ),
        AGE,
    ),
    (_NETWORKING, "servicecidrs"): printer(
        f"{_NETWORKING}/v1/ServiceCIDR", NAME, column("CIDRs", "@spec.cidrs", lambda obj: ",".join(_cidrs(obj))), AGE
    ),
    # The server prints an age here though its header has no such column.
    (_NETWORKING, "ipaddresses"): printer(
        f"{_NETWORKING}/v1/IPAddress",
        NAME,
        column("ParentRef", "@spec.parentRef", _parent),
        row=lambda obj, now: [obj["metadata"]["name"], _parent(obj), since(CREATED(obj), now)],
    ),
}
