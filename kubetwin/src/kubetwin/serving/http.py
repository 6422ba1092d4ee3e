# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of the API server, and their way over HTTPS (uvicorn's HTTP/1.1 protocol on httptools)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of the largest request body accepted, as the real server's default."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class User:
    """Who makes a request."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Request:
    """One request. ``user`` preset means a trusted caller in the process; otherwise the headers authenticate."""

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User | None = None

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default


@dataclass(slots=True)
class Response:
    """An answer: ``body``, or ``stream`` for one that goes on (watches and followed logs).

    ``abort`` makes the network side cut the connection: ``"before"`` nothing is sent, ``"middle"`` after half the body.
    ``fixed``: the body is a document or another server's answer, not an object that has several representations.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    stream: AsyncIterator[bytes] | None = None
    warnings: list[str] = field(default_factory=list)
    abort: str = ""
    fixed: bool = False


Handler = Callable[[Request], Awaitable[Response]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_Receive = Callable[[], Awaitable[dict[str, Any]]]


class _Asgi:
    """The API server as an ASGI application."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected scope {scope['type']}")
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            # Of repeated headers only those of impersonation are lists here; they stay apart by line breaks. Of any
            # other the first counts, as in Go's Header.Get.
            if name not in headers:
                headers[name] = value
            elif name.startswith("impersonate-"):
                headers[name] = f"{headers[name]}\n{value}"
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if len(body) <= BODY_LIMIT:
                body += message.get("body", b"")
            more = message.get("more_body", False)
        request = Request(
            method=scope["method"],
            path=scope["path"],
            query=parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers=headers,
            body=bytes(body),
        )
        response = await self._handler(request)
        await self._answer(scope, response, receive, send)

    async def _answer(self, scope: dict[str, Any], response: Response, receive: _Receive, send: _Send) -> None:
        transport: asyncio.Transport | None = scope.get("extensions", {}).get("transport")
        if response.abort == "before" and transport is not None:
            transport.abort()
            return
        headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in response.headers.items()]
        headers.append((b"date", formatdate(usegmt=True).encode()))
        headers += [(b"warning", b'299 - "' + _quoted(text) + b'"') for text in response.warnings]
        if response.stream is None:
            body = response.body or b""
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if response.stream is not None:
            await _stream(response.stream, receive, send)
        elif response.abort == "middle" and transport is not None:
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            transport.abort()
        else:
            await send({"type": "http.response.body", "body": body, "more_body": False})


def _quoted(text: str) -> bytes:
    return text.replace("\\", "\\\\").replace('"', '\\"').encode()


async def _stream(stream: AsyncIterator[bytes], receive: _Receive, send: _Send) -> None:
    """Send chunks until the stream ends or the client goes away."""

    async def pump() -> None:
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    # The headers must reach a watcher before the first event.
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    tasks = [asyncio.ensure_future(pump()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        close = getattr(stream, "aclose", None)
        if close is not None:
            with contextlib.suppress(RuntimeError):
                await close()
    if isinstance(results[0], Exception):
        raise results[0]
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _protocol_class() -> type[HttpToolsProtocol]:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        def on_headers_complete(self) -> None:
            # Fault injection has to be able to cut the connection.
            self.scope["extensions"] = {"transport": self.transport}  # type: ignore[dict-item]
            super().on_headers_complete()

    return Protocol


class HttpsServer:
    """Serves one handler on one loopback port until :meth:`close`."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None) -> None:
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._state: Any = None
        self.port = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and return the port; raises OSError when the port is taken."""
        # Names the protocol, since asyncio switches Nagle off only where it sees TCP: small answers would wait 40 ms.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        except BaseException:
            sock.close()
            raise
        return await self.serve(sock)

    async def serve(self, sock: socket.socket) -> int:
        """Listen at a socket that is bound already, which becomes the server's; returns the port."""
        from uvicorn.config import Config
        from uvicorn.server import ServerState

        config = Config(
            _Asgi(self._handler),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=300,
        )
        config.load()
        self._state = state = ServerState()
        protocol = _protocol_class()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: protocol(config=config, server_state=state, app_state={}),
                sock=sock,
                ssl=self._tls,
                backlog=1024,
            )
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        return self.port

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
