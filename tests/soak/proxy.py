# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of an API server that makes it fail as real ones, and what stands before them, do.

One seed is one sequence of faults. A fault strikes where its kind can: a conflict answers a write, an expired version a
watch. No request fails more than twice in a row, so that who tries again, as a client has to, gets on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from kubetwin.serving.certs import Identity, tls_context

IN_A_ROW = 2
"""So often at most the same request fails."""
READS = frozenset({"GET", "HEAD"})
LOGIN = b"<!doctype html><html><body>Sign in to continue</body></html>"


@dataclass(slots=True)
class Request:
    """The head of one request."""

    method: str
    target: str
    headers: dict[str, str]
    head: bytes
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def watches(self) -> bool:
        return bool({"watch", "follow"} & set(self.query))

    @property
    def writes(self) -> bool:
        """What leaves something behind: reviews and dry runs do not."""
        return self.method not in READS and "dryRun" not in self.query and "accessreview" not in self.path


Applies = Callable[[Request], bool]
FAULTS: dict[str, Applies] = {
    "refused": lambda request: True,
    "reset-before": lambda request: True,
    "reset-after": lambda request: not request.watches,
    "gateway-timeout-after": lambda request: request.writes,
    "unavailable": lambda request: True,
    "internal-error": lambda request: not request.writes,
    "too-many": lambda request: True,
    "conflict": lambda request: request.method in ("PUT", "PATCH") and request.writes,
    "html": lambda request: not request.writes and not request.watches,
    "empty": lambda request: not request.writes and not request.watches,
    "truncated": lambda request: not request.writes and not request.watches,
    "slow": lambda request: not request.watches,
    "gone": lambda request: request.watches,
    "half-open": lambda request: "watch" in request.query,
    "bookmarks-only": lambda request: "watch" in request.query,
    "cut-watch": lambda request: "watch" in request.query,
}
"""Each fault, and the requests that it can strike."""


@dataclass
class FaultProxy:
    """``rate``: the part of requests that fail; 0 lets everything through. ``aim``: which may fail, ``in_a_row``: how often at
    most one request does. ``struck`` counts faults by kind."""

    upstream: str
    authority: str
    seed: int
    rate: float = 0.15
    only: frozenset[str] = frozenset()
    aim: Applies = lambda request: True
    in_a_row: int = IN_A_ROW
    struck: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _row: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        there = urlsplit(self.upstream)
        self._host, self._there = there.hostname or "", there.port or 443
        self._trust = ssl.create_default_context(cadata=self.authority)

    @asynccontextmanager
    async def opened(self, identity: Identity) -> AsyncIterator[FaultProxy]:
        """Serves on a port of loopback until the end of the block."""
        talks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            try:
                await self._talk(reader, writer)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
                pass
            finally:
                talks.discard(task)
                with contextlib.suppress(OSError):
                    writer.transport.abort()

        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls_context(identity), limit=256 * 1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    def _fault(self, request: Request) -> str:
        key = (request.method, request.path)
        if not self.aim(request):
            return ""
        if self.rate <= 0 or self._random.random() >= self.rate or self._row[key] >= self.in_a_row:
            self._row[key] = 0
            return ""
        kinds = [name for name, applies in FAULTS.items() if applies(request) and (not self.only or name in self.only)]
        if not kinds:
            return ""
        self._row[key] += 1
        chosen = self._random.choice(kinds)
        self.struck[chosen] += 1
        return chosen

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await _read(reader)) is not None:
            fault = self._fault(request)
            if fault in ("refused", "reset-before"):
                return
            if fault in _ANSWERS:
                code, headers, body = _ANSWERS[fault]
                await _say(writer, code, body, headers)
                continue
            if "upgrade" in request.headers:
                await self._tunnel(request, reader, writer)
                return
            if not await self._forward(request, writer, fault):
                return

    async def _forward(self, request: Request, writer: asyncio.StreamWriter, fault: str) -> bool:
        """Passes a request on and its answer back, as the fault has it; False when the connection is over."""
        there, out = await asyncio.open_connection(self._host, self._there, ssl=self._trust, limit=1024 * 1024)
        try:
            out.write(request.head + request.body)
            await out.drain()
            if request.watches:
                return await self._stream(there, writer, fault)
            head = await there.readuntil(b"\r\n\r\n")
            body = await _body(there, head, request.method)
            if fault == "reset-after":
                return False
            if fault == "gateway-timeout-after":
                await _say(writer, 504, _status(504, "Timeout", "the gateway did not hear from the server in time"))
                return True
            answer = _plain(head, body)
            if fault == "truncated" and len(body) > 1:
                writer.write(answer[: -(len(body) // 2) - 1])
                await writer.drain()
                return False
            if fault == "slow":
                step = max(1, len(answer) // 8)
                for at in range(0, len(answer), step):
                    writer.write(answer[at : at + step])
                    await writer.drain()
                    await asyncio.sleep(0.1)
                return True
            writer.write(answer)
            await writer.drain()
            return True
        finally:
            out.close()

    async def _stream(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str) -> bool:
        """A watch, line by line of JSON; it ends with the server's own end."""
        head = await there.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            writer.write(_plain(head, await _body(there, head, "GET")))
            await writer.drain()
            return False
        writer.write(head)
        await writer.drain()
        left = self._random.randint(0, 3)
        async for line in _lines(there):
            if fault == "cut-watch" and left == 0:
                return False
            if fault == "half-open" and left == 0:
                await asyncio.sleep(3600)
            if fault == "bookmarks-only" and b'"BOOKMARK"' not in line:
                continue
            left -= 1
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return False

    async def _tunnel(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(self._host, self._there, ssl=self._trust)
        out.write(request.head + request.body)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

        pumps = [asyncio.ensure_future(pump(reader, out)), asyncio.ensure_future(pump(there, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for one in pumps:
            one.cancel()
        out.close()


def _status(code: int, reason: str, message: str) -> bytes:
    said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return json.dumps({**said, "reason": reason, "message": message, "code": code}).encode()


_JSON = (("Content-Type", "application/json"),)
_ANSWERS: dict[str, tuple[int, tuple[tuple[str, str], ...], bytes]] = {
    "unavailable": (503, _JSON, _status(503, "ServiceUnavailable", "apiserver not ready")),
    "internal-error": (500, _JSON, _status(500, "InternalError", "etcdserver: leader changed")),
    "too-many": (429, (*_JSON, ("Retry-After", "1")), _status(429, "TooManyRequests", "please try again later")),
    "conflict": (409, _JSON, _status(409, "Conflict", "the object has been modified; please apply your changes again")),
    "html": (200, (("Content-Type", "text/html; charset=utf-8"),), LOGIN),
    "empty": (200, _JSON, b"{}"),
    "gone": (410, _JSON, _status(410, "Expired", "too old resource version: 1 (2)")),
}


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length") or 0))
    hop = ("connection", "content-length", "transfer-encoding", "upgrade")
    kept = [line for line in lines if line.partition(":")[0].strip().lower() not in hop]
    if "upgrade" in headers:
        kept += ["Connection: Upgrade", f"Upgrade: {headers['upgrade']}"]
    else:
        kept += ["Connection: close"]
    if body or method not in READS:
        kept += [f"Content-Length: {len(body)}"]
    return Request(method, target, headers, "\r\n".join([first, *kept, "", ""]).encode("latin-1"), body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        found += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return found


async def _body(there: asyncio.StreamReader, head: bytes, method: str) -> bytes:
    code, lowered = head.split(b" ", 2)[1], head.lower()
    if method == "HEAD" or code in (b"204", b"304"):
        return b""
    if b"transfer-encoding: chunked" in lowered:
        return await _chunks(there)
    at = lowered.find(b"content-length:")
    return await (there.readexactly(int(lowered[at + 15 :].split(b"\r\n")[0])) if at >= 0 else there.read())


async def _lines(there: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a body in chunks."""
    held = b""
    while True:
        size = int((await there.readuntil(b"\r\n")).split(b";")[0], 16)
        if not size:
            return
        held += await there.readexactly(size)
        await there.readexactly(2)
        *whole, held = held.split(b"\n")
        for line in whole:
            yield line + b"\n"


def _plain(head: bytes, body: bytes) -> bytes:
    """An answer with its length, whatever the server gave."""
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    hop = (b"connection", b"content-length", b"transfer-encoding")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in hop]
    return b"\r\n".join([first, *kept, b"Content-Length: %d" % len(body), b"", b""]) + body


async def _say(
    writer: asyncio.StreamWriter, code: int, body: bytes, headers: tuple[tuple[str, str], ...] = _JSON
) -> None:
    lines = [f"HTTP/1.1 {code} -", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    await writer.drain()
