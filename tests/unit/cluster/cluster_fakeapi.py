# SPDX-License-Identifier: Apache-2.0
"""A small API server over a bare socket, so that it can also fail in ways that a web server never does.

Every fault is an argument of the constructor. It knows collections, single objects, pages and watches.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Obj = dict[str, Any]
Texts = dict[str, str]
Answers = dict[tuple[str, str], tuple[int, Obj]]


@dataclass
class Faults:
    """How it misbehaves. Numbers count requests; 0 is never."""

    errors: list[int] = field(default_factory=list)
    """Status codes of the first answers, one each."""
    retry_after: int = 0
    html: bool = False
    html_error: int = 0
    truncate: bool = False
    """Valid HTTP, half of the JSON."""
    short_body: int = 0
    """So many answers end before the promised length."""
    reset_before: int = 0
    reset_after_write: int = 0
    """So many writes are done, and then the connection is reset."""
    expire_continue: int = 0
    """So many requests for a further page answer 410."""
    watch_gone: int = 0
    """So many watches answer 410, as HTTP status."""
    watch_error_gone: int = 0
    """So many watches start with an ERROR event of 410."""
    watch_half_open: int = 0
    """So many watches say nothing at all and stay open."""
    watch_bookmarks: int = 0
    """So many watches bring bookmarks and no change."""
    watch_reset: int = 0
    """So many watches are reset after their first event."""
    good_tokens: tuple[str, ...] = ()


def status(code: int, reason: str, message: str, causes: list[Obj] | None = None) -> Obj:
    details: Obj = {"causes": causes} if causes else {}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class Reset(Exception):
    """The connection is to be reset."""


class FakeApi:
    """``objects`` by collection path and name. ``requests`` counts (method, path)."""

    def __init__(self, faults: Faults | None = None, *, answers: Answers | None = None) -> None:
        self.faults = faults or Faults()
        self.answers = answers or {}
        self.objects: dict[str, dict[str, Obj]] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.seen: list[tuple[str, str, dict[str, str], dict[str, str], Any]] = []
        self.version = 100
        self.events: list[tuple[int, str, Obj]] = []
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.compacted = 0
        self.connections = 0
        self.url = ""

    @asynccontextmanager
    async def serve(self, **options: Any) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, **options)
        scheme = "https" if "ssl" in options else "http"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self.url
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def put(self, collection: str, name: str, **body: Any) -> Obj:
        """Stores an object and tells the watches."""
        self.version += 1
        before = self.objects.setdefault(collection, {}).get(name)
        meta = {"name": name, "namespace": collection.split("/")[-2], **body.pop("metadata", {})}
        meta.setdefault("uid", before["metadata"]["uid"] if before else f"uid-{self.version}")
        meta["resourceVersion"] = str(self.version)
        obj = {**body, "metadata": meta}
        self.objects[collection][name] = obj
        self._tell(collection, "MODIFIED" if before else "ADDED", obj)
        return obj

    def remove(self, collection: str, name: str, *, silently: bool = False) -> None:
        self.version += 1
        obj = self.objects[collection].pop(name)
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        if not silently:
            self._tell(collection, "DELETED", obj)

    def compact(self) -> None:
        """Watches from an older position answer 410 from now on; open ones end."""
        self.version += 1
        self.compacted = self.version
        self.events = []
        for writer in list(self._writers):
            writer.transport.abort()

    def _tell(self, collection: str, kind: str, obj: Obj) -> None:
        self.events.append((self.version, collection, {"type": kind, "object": obj}))
        self._changed.set()
        self._changed = asyncio.Event()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (Reset, ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        lines = head.split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:] if line)}
        length = int(headers.get("content-length", 0))
        raw = await reader.readexactly(length) if length else b""
        url = urlsplit(target)
        params = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.requests[method, url.path] += 1
        self.seen.append((method, url.path, params, headers, json.loads(raw) if raw else None))
        await self._answer(writer, method, url.path, params, headers, json.loads(raw) if raw else None)
        return True

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        params: dict[str, str],
        headers: dict[str, str],
        body: Any,
    ) -> None:
        faults = self.faults
        if faults.reset_before:
            faults.reset_before -= 1
            raise Reset
        if faults.good_tokens and headers.get("authorization") not in {
            f"Bearer {token}" for token in faults.good_tokens
        }:
            return await self._send(writer, 401, status(401, "Unauthorized", "Unauthorized"))
        if faults.errors:
            code = faults.errors.pop(0)
            extra = {"Retry-After": str(faults.retry_after)} if faults.retry_after else {}
            return await self._send(writer, code, status(code, REASONS[code], "injected"), extra)
        if faults.html or faults.html_error:
            page = b"<html>please log in, password=hunter2</html>"
            return await self._raw(writer, faults.html_error or 200, page, "text/html")
        if found := self.answers.get((method, path)):
            return await self._send(writer, *found)
        if params.get("watch") == "true":
            return await self._watch(writer, path, params)
        code, answer = self._object(method, path, params, body)
        if method != "GET" and faults.reset_after_write:
            faults.reset_after_write -= 1
            raise Reset
        return await self._send(writer, code, answer)

    def _object(self, method: str, path: str, params: dict[str, str], body: Any) -> tuple[int, Obj]:
        if path in self.objects and method == "GET":
            return self._list(path, params)
        collection, _, name = path.rpartition("/")
        if method == "POST":
            if body["metadata"]["name"] in self.objects.get(path, {}):
                return 409, status(409, "AlreadyExists", "already exists")
            return 201, self.put(path, body["metadata"]["name"], **body)
        found = self.objects.get(collection, {}).get(name)
        if found is None:
            return 404, status(404, "NotFound", f"{name} not found")
        if method == "GET":
            return 200, found
        if method == "PUT":
            wanted = body["metadata"].get("resourceVersion")
            if wanted and wanted != found["metadata"]["resourceVersion"]:
                return 409, status(409, "Conflict", "the object has been modified")
            return 200, self.put(collection, name, **body)
        if method == "DELETE":
            preconditions = (body or {}).get("preconditions") or {}
            if any(found["metadata"][key] != value for key, value in preconditions.items()):
                return 409, status(409, "Conflict", "Precondition failed")
            self.remove(collection, name)
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return 200, {**found, "patched": body, "params": params}

    def _list(self, path: str, params: dict[str, str]) -> tuple[int, Obj]:
        items = [obj for _, obj in sorted(self.objects[path].items())]
        start = int(params.get("continue", "0"))
        if start and self.faults.expire_continue:
            self.faults.expire_continue -= 1
            return 410, status(410, "Expired", "the provided continue parameter is too old")
        limit = int(params.get("limit", "0")) or len(items)
        more = str(start + limit) if start + limit < len(items) else ""
        meta = {"resourceVersion": str(self.version), **({"continue": more} if more else {})}
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items[start : start + limit]}

    async def _watch(self, writer: asyncio.StreamWriter, path: str, params: dict[str, str]) -> None:
        faults = self.faults
        since = int(params["resourceVersion"])
        gone = status(410, "Expired", "too old resource version")
        if faults.watch_gone or since < self.compacted:
            faults.watch_gone = max(0, faults.watch_gone - 1)
            return await self._send(writer, 410, gone)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        if faults.watch_half_open:
            faults.watch_half_open -= 1
            await asyncio.sleep(3600)
        if faults.watch_bookmarks:
            faults.watch_bookmarks -= 1
            while True:
                mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}}
                await self._chunk(writer, mark)
                await asyncio.sleep(0.02)
        if faults.watch_error_gone:
            faults.watch_error_gone -= 1
            await self._chunk(writer, {"type": "ERROR", "object": gone})
            writer.write(b"0\r\n\r\n")
            return None
        sent = since
        end = asyncio.get_running_loop().time() + int(params.get("timeoutSeconds", "300"))
        while (left := end - asyncio.get_running_loop().time()) > 0:
            changed = self._changed
            for version, collection, event in list(self.events):
                if version > sent and collection == path:
                    sent = version
                    await self._chunk(writer, event)
                    if faults.watch_reset:
                        faults.watch_reset -= 1
                        raise Reset
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                break
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return None

    async def _chunk(self, writer: asyncio.StreamWriter, event: Obj) -> None:
        line = json.dumps(event).encode() + b"\n"
        # In two pieces, since a line need not arrive as one.
        for part in (line[:17], line[17:]):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()

    async def _send(self, writer: asyncio.StreamWriter, code: int, body: Obj, headers: Texts | None = None) -> None:
        raw = json.dumps(body).encode()
        if self.faults.truncate:
            raw = raw[: len(raw) // 2]
        await self._raw(writer, code, raw, "application/json", headers)

    async def _raw(
        self, writer: asyncio.StreamWriter, code: int, raw: bytes, kind: str, headers: Texts | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {code} X", f"Content-Type: {kind}", f"Content-Length: {len(raw)}"]
        lines += ["Date: Fri, 13 Nov 2026 03:04:05 GMT", *(f"{key}: {value}" for key, value in (headers or {}).items())]
        if self.faults.short_body:
            self.faults.short_body -= 1
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw[: len(raw) // 2])
            await writer.drain()
            raise Reset
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
        await writer.drain()
