# SPDX-License-Identifier: Apache-2.0
"""``pods/NAME/proxy`` and ``services/NAME/proxy``: HTTP to programs in pods through the API server.

Facts: pkg/registry/core/pod/strategy.go (ResourceLocation), pkg/registry/core/service/storage/storage.go,
apimachinery pkg/util/proxy (redirect of the empty path, 503 with the dial error).
"""

from __future__ import annotations

import ipaddress
import random
from urllib.parse import quote, urlencode

from kubetwin.apiserver.call import Call
from kubetwin.apiserver.status import bad_request, not_found, service_unavailable
from kubetwin.apiserver.store import Object
from kubetwin.serving.http import Response
from kubetwin.serving.proxying import PodRequest, Unreachable

_SCHEMES = ("", "http", "https")
_DROPPED = frozenset(("authorization", "connection", "host", "content-length", "accept-encoding"))
_LAST_PORT = 65535
_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "date"))


class _Panic(Exception):
    """The real server's handler ends by a nil pointer: nothing is answered."""


async def proxy(call: Call) -> Response:
    """Raises ApiError 400 for a bad address, 404 for a missing object, 503 when nothing answers.

    For a pod's port by name the connection is cut: Go parses no URL whose port is no number, and the server (1.36.2)
    goes on with what it has not got.
    """
    try:
        return await _proxy(call)
    except _Panic:
        return Response(500, abort="before")


async def _proxy(call: Call) -> Response:
    marker = f"/{call.name}/proxy"
    path = call.request.path.partition(marker)[2]
    query = urlencode(call.request.query, doseq=True)
    if not path and call.request.method in ("GET", "HEAD"):
        _locate(call)
        location = f"{call.request.path}/{'?' if query else ''}{query}"
        return Response(301, {"Location": location}, b"")
    scheme, ip, port = _locate(call)
    dial = call.cluster.dialer
    if dial is None:
        raise service_unavailable(f"error trying to reach service: dial tcp {ip}:{port}: connect: no route to host")
    headers = {k: v for k, v in call.request.headers.items() if k not in _DROPPED and not k.startswith("impersonate-")}
    request = PodRequest(
        call.request.method,
        f"{quote(path)}{'?' if query else ''}{query}",
        {**headers, "host": f"{ip}:{port}"},
        call.request.body,
    )
    try:
        answer = await dial(ip, port, scheme or "http", request)
    except Unreachable as error:
        raise service_unavailable(f"error trying to reach service: {error}") from None
    passed = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
    return Response(answer.status, passed, answer.body, fixed=True)


def _locate(call: Call) -> tuple[str, str, int]:
    kind = call.type.resource.removesuffix("s")
    parts = call.name.split(":")
    scheme, name, port = {
        1: ("", parts[0], ""),
        2: ("", parts[0], parts[-1]),
        3: (parts[0], parts[1 % len(parts)], parts[-1]),
    }.get(len(parts), ("", "", ""))
    if not name or scheme not in _SCHEMES:
        raise bad_request(f'invalid {kind} request "{call.name}"')
    return _pod(call, scheme, name, port) if kind == "pod" else _service(call, scheme, name, port)


def _pod(call: Call, scheme: str, name: str, port: str) -> tuple[str, str, int]:
    entry = call.collection.get(call.namespace, name)
    if entry is None:
        raise not_found("pods", name)
    ip = str((entry.obj.get("status") or {}).get("podIP") or "")
    if not _global_unicast(ip):
        raise bad_request("address not allowed")
    if not port:
        declared = (c["ports"][0]["containerPort"] for c in entry.obj["spec"].get("containers") or () if c.get("ports"))
        port = str(next(declared, 443 if scheme == "https" else 80))
    if not port.isdigit():
        raise _Panic
    if int(port) > _LAST_PORT:
        raise service_unavailable(f"error trying to reach service: dial tcp: address {port}: invalid port")
    return scheme, ip, int(port)


def _global_unicast(ip: str) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local)


def _service(call: Call, scheme: str, name: str, port: str) -> tuple[str, str, int]:
    if port.isdigit():
        entry = call.collection.get(call.namespace, name)
        if entry is None:
            raise not_found("services", name)
        ports: list[Object] = entry.obj["spec"].get("ports") or []
        found = next((p for p in ports if p["port"] == int(port)), None)
        if found is None:
            raise service_unavailable(f'no service port {port} found for service "{name}"')
        port = found.get("name") or ""
    endpoints = call.cluster.store.collection(("", "endpoints")).get(call.namespace, name)
    if endpoints is None:
        raise not_found("services", name)
    subsets = endpoints.obj.get("subsets") or []
    if not subsets:
        raise service_unavailable(f'no endpoints available for service "{name}"')
    for subset in random.sample(subsets, len(subsets)):
        for declared in subset.get("ports") or ():
            if (declared.get("name") or "") != port:
                continue
            for address in random.sample(subset.get("addresses") or [], len(subset.get("addresses") or ())):
                if (address.get("targetRef") or {}).get("kind") == "Pod":
                    return scheme, str(address["ip"]), int(declared["port"])
    raise service_unavailable(f'no endpoints available for service "{call.name}"')
