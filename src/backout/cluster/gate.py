# SPDX-License-Identifier: Apache-2.0
"""A gate to one API server for another program, such as helm: what it writes is asked of us first, request by request.

The program gets a kubeconfig that leads to a port of this machine, with a word that nobody else has. So it needs, and
holds, no credentials of the user; and it can't write any more the moment we are stopped, killed or refuse to let it.

The port speaks HTTP/1.1 as a forward proxy (``proxy-url`` of a kubeconfig, kubernetes.io/docs/concepts/configuration/
organize-cluster-access-kubeconfig), since the server's own address then stays what the program keeps its discovery
cache by. The word is that of the proxy: client-go sends a user's credentials to no server without TLS. What the program
says of itself (User-Agent) is passed on, as the API server makes the field manager of it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec

from backout.cluster.listing import path_of
from backout.cluster.port import Fence, GatedRequest, Instead, Object, Resource
from backout.cluster.wire import Wire, asks
from backout.errors import BackoutError

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = 64 * 1024
BODY = 64 * 1024 * 1024
"""Bytes of one request; an API server takes 3 MiB."""
ANSWER = 90.0
"""Seconds until a request must be answered: an API server gives up after 60."""
WATCH = 3600.0
_OURS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection (RFC 9110, 7.6.1), and what the gate answers for itself."""


class Gate:
    """An open gate. ``kubeconfig`` is a path for KUBECONFIG; ``keep``: descriptors that the program must inherit.

    ``shut`` is set when a write was refused, for the reason ``refusal``; nothing passes from then on. ``wrote`` is true
    when one was let through. ``failure`` is the last reason why the API server could not be asked.
    """

    def __init__(self, wire: Wire, context: str, fence: Fence, instead: Instead = ()) -> None:
        self._wire = wire
        self._context = context or "backout"
        self._fence = fence
        root = urlsplit(wire.server).path.rstrip("/")
        self._instead = {root + _path(resource, obj): msgspec.json.encode(obj) for resource, obj in instead}
        self._word = secrets.token_urlsafe(32)
        self._wanted = f"Basic {base64.b64encode(f'backout:{self._word}'.encode()).decode()}"
        self._talks: set[asyncio.Task[None]] = set()
        self.kubeconfig = ""
        self.keep: tuple[int, ...] = ()
        self.shut = asyncio.Event()
        self.refusal: BackoutError | None = None
        self.failure: BackoutError | None = None
        self.wrote = False

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Gate]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=HEAD)
        try:
            port = server.sockets[0].getsockname()[1]
            with _private(msgspec.json.encode(self._config(port))) as (self.kubeconfig, self.keep):
                yield self
        finally:
            self.shut.set()
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    def _config(self, port: int) -> dict[str, object]:
        there, name = urlsplit(self._wire.server), self._context
        cluster = {
            "server": f"http://{there.netloc}{there.path}",
            "proxy-url": f"http://backout:{self._word}@127.0.0.1:{port}",
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "contexts": [{"name": name, "context": {"cluster": name}}],
        }

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while (request := await _read(reader)) is not None:
                if not await self._answer(request, reader, writer):
                    break
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # whoever it was speaks no HTTP, or went away: nothing more can be said to it
        except asyncio.CancelledError:
            pass
        finally:
            self._talks.discard(task)
            writer.close()

    async def _answer(self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False when the connection is of no more use."""
        if not hmac.compare_digest(request.headers.get("proxy-authorization", ""), self._wanted):
            await _say(writer, 407, "Unauthorized", "this port is for one program alone")
            return False
        body = await reader.readexactly(request.length)
        target = urlsplit(request.target)
        path = target.path + (f"?{target.query}" if target.query else "")
        if not path.startswith("/") or request.method == "CONNECT" or "upgrade" in request.headers:
            await _say(writer, 405, "MethodNotAllowed", "only plain requests to the API server pass")
            return False
        if self.shut.is_set():
            await self._refuse(writer)
            return False
        query = parse_qs(target.query)
        if writes := not asks(request.method, path):
            try:
                await self._fence(GatedRequest(request.method, target.path, body))
            except BackoutError as error:
                self.refusal = self.refusal or error
                self.shut.set()
                await self._refuse(writer)
                return False
        if request.method == "GET" and (shown := self._instead.get(target.path)) is not None:
            _head(writer, 200, [("Content-Type", "application/json"), ("Content-Length", str(len(shown)))])
            writer.write(shown)
            await writer.drain()
            return True
        quiet = WATCH if query.get("watch") or query.get("follow") else ANSWER
        headers = {name: value for name, value in request.headers.items() if name not in _OURS}
        try:
            async with self._wire.relayed(request.method, path, headers, body, read_timeout=quiet) as answer:
                self.wrote |= writes and not 400 <= answer.status_code < 500
                return await _pass_on(request.method, answer, writer)
        except BackoutError as error:
            self.wrote |= writes  # it may have arrived
            self.failure = error
            await _say(writer, 503, "ServiceUnavailable", error.message)
            return True

    async def _refuse(self, writer: asyncio.StreamWriter) -> None:
        why = self.refusal.message if self.refusal else "the run that started this program is over"
        await _say(writer, 403, "Forbidden", f"refused by Backout: {why}")


def opened(
    wire: Wire, context: str, fence: Fence, instead: Instead = ()
) -> contextlib.AbstractAsyncContextManager[Gate]:
    """See `backout.cluster.port.Cluster.gate`."""
    return Gate(wire, context, fence, instead)._opened()


def _path(resource: Resource, obj: Object) -> str:
    meta = obj["metadata"]
    return path_of(resource, str(meta["name"]), str(meta.get("namespace") or ""))


class _Request(msgspec.Struct, frozen=True):
    method: str
    target: str
    headers: dict[str, str]
    length: int


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """The head of the next request, or None when there are no more.

    Raises:
        ValueError, EOFError: it is none, or too large.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("no header")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    # Programs that use client-go know how much they send.
    if "transfer-encoding" in headers or not 0 <= length <= BODY:
        raise ValueError("no length")
    return _Request(method, target, headers, length)


async def _pass_on(method: str, answer: httpx2.Response, writer: asyncio.StreamWriter) -> bool:
    """Passes an answer on as it comes, byte by byte what the server sent."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in _OURS]
    length = answer.headers.get("content-length")
    empty = method == "HEAD" or answer.status_code in (204, 304)
    if length is not None:
        headers.append(("Content-Length", length))
    elif not empty:
        headers.append(("Transfer-Encoding", "chunked"))
    _head(writer, answer.status_code, headers)
    if empty:
        await writer.drain()
        return True
    try:
        async for chunk in answer.aiter_raw():
            writer.write(chunk if length is not None else b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
    except (httpx2.HTTPError, OSError):
        return False  # cut off there, and so here
    if length is None:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return True


async def _say(writer: asyncio.StreamWriter, code: int, reason: str, message: str) -> None:
    """An answer of the gate itself, as a Kubernetes Status."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    body = msgspec.json.encode({**status, "metadata": {}, "code": code})
    _head(writer, code, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    writer.write(body)
    await writer.drain()


def _head(writer: asyncio.StreamWriter, code: int, headers: list[tuple[str, str]]) -> None:
    lines = [f"HTTP/1.1 {code} -", *(f"{name}: {value}" for name, value in headers), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))


@contextlib.contextmanager
def _private(text: bytes) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A file with ``text`` for a child: its path, and the descriptors that make it readable there.

    Where the system has files without a name, nothing of it is left whatever happens to us.
    """
    create: Callable[[str], int] | None = getattr(os, "memfd_create", None)
    if create is None:
        with tempfile.NamedTemporaryFile(prefix="backout-") as file:
            file.write(text)
            file.flush()
            yield file.name, ()
        return
    handle = create("kubeconfig")
    try:
        os.fchmod(handle, 0o600)  # helm warns of one that others could read
        os.write(handle, text)
        yield f"/proc/self/fd/{handle}", (handle,)
    finally:
        os.close(handle)
