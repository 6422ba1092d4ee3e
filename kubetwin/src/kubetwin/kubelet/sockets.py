# SPDX-License-Identifier: Apache-2.0
"""Real sockets of simulated pods: what a program answers, at podIP:containerPort of this machine.

An API server that is not ours can then reach the pods as its proxies always do, by their addresses. Only addresses that
are local to the machine's loopback interface can be used: sockets are bound to that interface, never to all addresses,
so nothing is reached from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol
from urllib.parse import quote, urlencode

from kubetwin.kubelet.machine import PodMachine
from kubetwin.kubelet.network import HTTP2_GREETING, Network, listening, ports_of, speaks_http2
from kubetwin.serving.http import Handler, HttpsServer, Request, Response
from kubetwin.serving.proxying import PodRequest, Unreachable

log = logging.getLogger(__name__)
_INTERFACE = "lo"
_CHECK_SECONDS = 2.0
_CLAIM_PORT = 10250
"""Bound, but not listened at, by whose pods have the addresses; a kubelet's own port."""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    ip: str
    port: int
    http2: bool


class _Listener(Protocol):
    async def close(self) -> None: ...


class PodSockets:
    """The sockets of all pods of one kubelet."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._open: dict[str, dict[_Endpoint, _Listener]] = {}
        self._failed: dict[_Endpoint, str] = {}
        # An address may go from one pod to another at once: who gives it up is served before who wants it.
        self._lock = asyncio.Lock()

    async def follow(self, key: str, machine: PodMachine, now: float) -> float:
        """Listen where the pod's programs do at this moment, and nowhere else; returns when that may change.

        An address that cannot be bound is told once, and tried again the next time.
        """
        wanted = set(_endpoints(machine, now))
        if wanted != self._open.get(key, {}).keys():
            async with self._lock:
                await self._change(key, wanted)
        running = (c for c in (*machine.mains, *machine.inits) if c.running)
        return min((at for c in running if (at := c.started_at + c.program.up_after) > now), default=math.inf)

    async def release(self, key: str) -> None:
        """The pod is gone."""
        if key in self._open:
            async with self._lock:
                await self._change(key, set())

    async def close(self) -> None:
        """Stop listening everywhere."""
        for key in list(self._open):
            await self.release(key)

    async def _change(self, key: str, wanted: set[_Endpoint]) -> None:
        here = self._open.setdefault(key, {})
        for endpoint in [e for e in here if e not in wanted]:
            await here.pop(endpoint).close()
        for endpoint in wanted - here.keys():
            try:
                here[endpoint] = await self._listen(endpoint)
                self._failed.pop(endpoint, None)
            except OSError as error:
                problem = error.strerror or str(error)
                if self._failed.get(endpoint) != problem:
                    log.warning("pod %s cannot listen at %s:%d: %s", key, endpoint.ip, endpoint.port, problem)
                self._failed[endpoint] = problem
        if not here:
            del self._open[key]

    async def _listen(self, endpoint: _Endpoint) -> _Listener:
        sock = loopback_socket(endpoint.ip, endpoint.port)
        server = _Http2Server() if endpoint.http2 else HttpsServer(self._program(endpoint), None)
        await server.serve(sock)
        return server

    def _program(self, endpoint: _Endpoint) -> Handler:
        async def handle(request: Request) -> Response:
            query = urlencode(request.query, doseq=True)
            path = f"{quote(request.path)}{'?' if query else ''}{query}"
            asked = PodRequest(request.method, path, request.headers, request.body)
            try:
                answer = await self._network.request(endpoint.ip, endpoint.port, "http", asked)
            except Unreachable:
                # It ended since the connection was made.
                return Response(502, abort="before")
            return Response(answer.status, dict(answer.headers), answer.body)

        return handle


class _Http2(asyncio.Protocol):
    """Greets as an HTTP/2 server does, and understands nothing: enough to be told from a closed port."""

    def __init__(self, connections: set[asyncio.Transport]) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)
        transport.write(HTTP2_GREETING)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._connections.discard(self._transport)


class _Http2Server:
    def __init__(self) -> None:
        self._connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Http2(self._connections), sock=sock)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for transport in list(self._connections):
                transport.abort()
            await self._server.wait_closed()


def _endpoints(machine: PodMachine, now: float) -> Iterator[_Endpoint]:
    """Where the programs of a pod listen."""
    if not machine.pod_ip or not machine.sandbox:
        return
    taken: set[int] = set()
    for container in (*machine.mains, *machine.inits):
        if listening(container, now):
            for port, name in ports_of(container).items():
                if port not in taken:
                    taken.add(port)
                    yield _Endpoint(machine.pod_ip, port, speaks_http2(name))


def loopback_socket(ip: str, port: int, *, shared: bool = True) -> socket.socket:
    """Bound to one address of the loopback interface. Raises OSError when this machine has no such address.

    ``shared``: others may bind it as well, though only one listens.
    """
    device = getattr(socket, "SO_BINDTODEVICE", None)
    if device is None:
        raise OSError(errno.EADDRNOTAVAIL, "sockets of one interface are known on Linux only")
    # Names the protocol, since asyncio switches Nagle off only where it sees TCP.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(shared))
        sock.setsockopt(socket.SOL_SOCKET, device, _INTERFACE.encode())
        sock.bind((ip, port))
    except BaseException:
        sock.close()
        raise
    return sock


class NoSockets(Exception):
    """Pods cannot listen in a network; the message says why."""


@contextlib.asynccontextmanager
async def claimed(networks: Iterable[IPv4Network]) -> AsyncIterator[None]:
    """Keeps these networks for the pods of this process, as long as it lasts.

    Tries the first and the last address of each, with a connection: there are kernels set to bind any address.

    Raises:
        NoSockets: their addresses are not local to the loopback interface, or belong to another process's pods.
    """
    with contextlib.ExitStack() as held:
        for network in networks:
            for address in (network[1], network[-2]):
                problem = f"{address} of {network} is not on this machine's loopback interface"
                try:
                    await asyncio.wait_for(_try(str(address)), _CHECK_SECONDS)
                except TimeoutError:
                    raise NoSockets(f"{problem}: no connection") from None
                except OSError as error:
                    raise NoSockets(f"{problem}: {error.strerror or error}") from None
            try:
                # No pod gets the first address.
                held.enter_context(loopback_socket(str(network[1]), _CLAIM_PORT, shared=False))
            except OSError:
                raise NoSockets(f"another kubelet's pods listen in {network}: take another --pod-cidr") from None
        yield


async def _try(ip: str) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), sock=loopback_socket(ip, 0))
    try:
        reader, writer = await asyncio.open_connection(ip, server.sockets[0].getsockname()[1])
        await reader.read()
        writer.close()
    finally:
        server.close()
