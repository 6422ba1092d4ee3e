# SPDX-License-Identifier: Apache-2.0
"""HTTP and names among simulated pods: who listens where, and what a program answers.

A running container listens on the ports it declares and on those its flags name (``--…address=HOST:PORT``). Every
program answers ``/-/ready`` and ``/-/healthy`` as its probes see it, ``/metrics``, and ``/`` with a page whose title is
the container's name. Everything else is 404.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import escape
from typing import Protocol

from kubetwin.client import Obj
from kubetwin.kubelet.apps.base import process_metrics
from kubetwin.kubelet.container import Container
from kubetwin.kubelet.machine import PodMachine
from kubetwin.meta import equality_selector, labels_of, namespace_of, pod_ready
from kubetwin.serving.metrics import CONTENT_TYPE, exposition
from kubetwin.serving.proxying import PodAnswer, PodRequest, Unreachable

_ADDRESS_FLAG = re.compile(r"^--[a-z0-9.-]*(?:address|listen)=[^/]*:([0-9]+)$")
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
HTTP2_GREETING = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"
"""What an HTTP/2 server sends first: its settings, a largest frame of 16 kB."""
# As Go's HTTP/1 client complains about it.
_HTTP2 = (
    'net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x00\\x00\\x06\\x04\\x00\\x00\\x00'
    '\\x00\\x00\\x00\\x05\\x00\\x00@\\x00"'
)


class Directory(Protocol):
    """What the network knows of the cluster."""

    def at(self, ip: str, /) -> Iterator[PodMachine]: ...

    def machine(self, namespace: str, name: str, /) -> PodMachine | None: ...

    def service(self, namespace: str, name: str, /) -> Obj | None: ...

    def machines(self, namespace: str, /) -> Iterator[PodMachine]: ...


def ports_of(container: Container) -> dict[int, str]:
    """Port → its name, for what a container listens on."""
    out = {int(p["containerPort"]): str(p.get("name") or "") for p in container.spec.get("ports") or ()}
    for word in (*(container.spec.get("command") or ()), *(container.spec.get("args") or ())):
        found = _ADDRESS_FLAG.match(word)
        if found:
            out.setdefault(int(found.group(1)), "grpc" if "grpc" in word else "")
    return out


def speaks_http2(name: str) -> bool:
    """By the name of a port."""
    return name.startswith("grpc")


def listening(container: Container, now: float) -> bool:
    """The program is there, and has come up."""
    return container.running and now - container.started_at >= container.program.up_after


class Network:
    """The pod network of one cluster."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def _find(self, ip: str, port: int) -> tuple[Container, str]:
        now = time.time()
        known = False
        for machine in self._directory.at(ip):
            known = True
            for container in (*machine.mains, *machine.inits):
                name = ports_of(container).get(port) if listening(container, now) else None
                if name is not None:
                    return container, name
        if not known:
            raise Unreachable(f"dial tcp {ip}:{port}: connect: no route to host")
        raise Unreachable(f"dial tcp {ip}:{port}: connect: connection refused")

    async def request(self, ip: str, port: int, scheme: str, request: PodRequest) -> PodAnswer:
        """Raises Unreachable with the words of Go's HTTP client."""
        container, name = self._find(ip, port)
        if scheme == "https":
            raise Unreachable("tls: first record does not look like a TLS handshake")
        if speaks_http2(name):
            raise Unreachable(_HTTP2)
        return answer(container, request)

    def dial(self, namespace: str, address: str) -> str:
        """Why a pod of that namespace cannot connect to ``host:port``; empty when it can."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            return f"dial tcp: address {address}: missing port in address"
        ips = self._resolve(namespace, host)
        if not ips:
            return f"dial tcp: lookup {host}: no such host"
        problem = ""
        for ip in ips:
            try:
                self._find(ip, int(port))
                return ""
            except Unreachable as error:
                problem = str(error)
        return problem

    def _resolve(self, namespace: str, host: str) -> list[str]:
        """Pod addresses behind a name: the cluster's DNS, and the Service's address taken as its pods'."""
        if re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:]*", host):
            return [host]
        parts = host.removesuffix(".").removesuffix(".cluster.local").removesuffix(".svc").split(".")
        for start in (0, 1):
            names = parts[start:]
            if len(names) not in (1, 2):
                continue
            where = names[1] if len(names) == 2 else namespace
            service = self._directory.service(where, names[0])
            if service is None:
                continue
            if start == 0:
                return [machine.pod_ip for machine in self._behind(service) if machine.pod_ip]
            machine = self._directory.machine(where, parts[0])
            member = machine is not None and machine.pod["spec"].get("subdomain") == names[0]
            return [machine.pod_ip] if machine is not None and member and machine.pod_ip else []
        return []

    def _behind(self, service: Obj) -> Iterator[PodMachine]:
        selector = service["spec"].get("selector")
        if not selector:
            return
        matches = equality_selector(selector)
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        for machine in self._directory.machines(namespace_of(service)):
            if matches(labels_of(machine.pod)) and (publish or pod_ready(machine.pod)):
                yield machine


def answer(container: Container, request: PodRequest) -> PodAnswer:
    """What the program in a running container says."""
    path = request.path.partition("?")[0]
    if request.method not in ("GET", "HEAD"):
        return PodAnswer(405, b"Method Not Allowed\n", {**_TEXT, "Allow": "GET, HEAD"})
    program = container.program
    if path == "/-/ready":
        return _plain(200, "OK") if program.ready else _plain(503, "Service Unavailable\n")
    if path == "/-/healthy":
        return _plain(200, "OK") if program.live else _plain(503, "Service Unavailable\n")
    if path == "/metrics":
        metrics = process_metrics(container.started_at)
        if container.app is not None:
            metrics += container.app.metrics()
        return PodAnswer(200, exposition(metrics), {"Content-Type": CONTENT_TYPE})
    if path == "/":
        page = f"<!doctype html><title>{escape(container.name)}</title><h1>{escape(container.name)}</h1>\n"
        return PodAnswer(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
    return _plain(404, "404 page not found\n")


def _plain(status: int, text: str) -> PodAnswer:
    return PodAnswer(status, text.encode(), _TEXT)
