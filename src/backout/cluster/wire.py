# SPDX-License-Identifier: Apache-2.0
"""HTTP to one API server: pooled connections, credentials, time limits, gentle retries, errors of the house.

What may be repeated: reads (and reviews, which only ask) after resets, timeouts and 5xx; anything after 429, and after
a connection that never came about, since then the server did nothing. A write whose answer was lost is not repeated:
the caller looks at the object again.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx2

from backout.cluster import answers, tls
from backout.cluster.answers import Subject
from backout.cluster.credentials import Credentials
from backout.cluster.kubeconfig import Connection
from backout.cluster.pacing import AT_ONCE, LONGEST_HOLD, pace_of
from backout.effects import passing
from backout.errors import BackoutError, ClusterUnreachable, ServerError, UntrustedServer

CONNECT = 5.0
READ = 30.0
ATTEMPTS = 4
FIRST_WAIT = 0.1
BUDGET = 30.0
"""Seconds after which nothing is tried again, whatever the number of attempts; so also what a server says must wait longer."""
CONNECTIONS = 48
ERROR_BODY = 64 * 1024
MOST_TEXT = 16 * 1024 * 1024
"""Bytes of a log that are read to get at its end."""
READS = frozenset({"GET", "HEAD", "OPTIONS"})
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_SLOW_DOWN = frozenset({429, 503})
_ASKS = "backout-asks"
"""The extension of a request that changes nothing, whatever its method: a review, a dry run."""


class Wire:
    """Sends requests to one API server."""

    def __init__(
        self, connection: Connection, *, user_agent: str, read_timeout: float = READ, attempts: int = ATTEMPTS
    ) -> None:
        self.connection = connection
        self.server = connection.server
        self._read_timeout = read_timeout
        self._attempts = attempts
        self._tls = tls.context(connection)
        self._credentials = Credentials(connection, self._take_certificate)
        self._proxy = tls.proxy_for(connection)
        self._transport = self._open()
        self._pace = pace_of(connection.server)
        self._retired: list[httpx2.AsyncHTTPTransport] = []
        compress = connection.compress and not tls.is_loopback(connection.server)
        self._headers = [
            ("User-Agent", user_agent),
            ("Accept-Encoding", "gzip" if compress else "identity"),
            *connection.impersonate,
        ]

    def _open(self) -> httpx2.AsyncHTTPTransport:
        transport = httpx2.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            proxy=self._proxy or None,
            socket_options=_keepalive(),
            limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=AT_ONCE, keepalive_expiry=60),
        )
        from backout.cluster import sockets  # imports the library below, which the transport just did

        # The pool takes a backend, but the transport passes none on. Another name there: all works, only slower.
        transport._pool._network_backend = sockets.Backend()
        return transport

    def _take_certificate(self, cert: bytes, key: bytes) -> None:
        """Connections that are open keep their old certificate, so that new ones are opened in a new pool."""
        tls.load_certificate(self._tls, cert, key)
        self._retired.append(self._transport)
        self._transport = self._open()

    async def close(self) -> None:
        """Closes all connections."""
        for transport in (*self._retired, self._transport):
            await transport.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        read_only: bool | None = None,
    ) -> httpx2.Response:
        """Sends and reads the whole answer, which is a success.

        Raises:
            BackoutError: see `backout.cluster.port`.
        """
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        request = httpx2.Request(method, self.server + path, params=params or None, content=body, headers=headers)
        return await self.send(request, read_only=method == "GET" if read_only is None else read_only)

    async def send(self, request: httpx2.Request, *, read_only: bool) -> httpx2.Response:
        """The same for a request that is already built."""
        request.extensions = {**request.extensions, _ASKS: read_only or "dryRun" in request.url.params}
        subject = subject_of(request.method, request.url.path, self.server)
        started = time.monotonic()
        for attempt in range(1, self._attempts + 1):
            try:
                async with self._pace.slots:
                    return await self._once(request, subject, self._read_timeout)
            except _Failed as failed:
                wait = failed.wait(attempt, read_only)
                last = attempt == self._attempts or time.monotonic() + wait - started > BUDGET
                if wait < 0 or last:
                    raise failed.error from None
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, request: httpx2.Request, subject: Subject, read_timeout: float) -> httpx2.Response:
        response = await self._headers_of(request, subject, read_timeout)
        try:
            try:
                await response.aread()
            finally:
                await response.aclose()
        except (httpx2.HTTPError, OSError) as error:
            raise self._lost(error) from None
        _require_kubernetes(response, request, subject)
        return response

    async def last_bytes(self, path: str, *, params: Mapping[str, str], limit: int) -> bytes:
        """GETs a text and keeps the end of it: ``limitBytes`` is the server's to obey, and one that does not sends gigabytes.

        Raises:
            BackoutError: see `backout.cluster.port`.
        """
        headers = {"Accept": "text/plain, */*", "Accept-Encoding": "identity"}
        request = httpx2.Request("GET", self.server + path, params=params, headers=headers)
        subject = subject_of("GET", request.url.path, self.server)
        kept, read, started = bytearray(), 0, time.monotonic()
        try:
            response = await self._headers_of(request, subject, self._read_timeout)
            try:
                async for chunk in response.aiter_bytes():
                    kept += chunk
                    read += len(chunk)
                    del kept[:-limit]
                    if read > MOST_TEXT or time.monotonic() - started > self._read_timeout:
                        break
            finally:
                await response.aclose()
        except (httpx2.HTTPError, OSError) as error:
            raise self._lost(error).error from None
        except _Failed as failed:
            raise failed.error from None
        return bytes(kept)

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], read_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A GET whose lines arrive one by one; ``read_timeout`` is the longest silence between two.

        Raises:
            ClusterUnreachable: also when the silence was longer.
        """
        request = httpx2.Request("GET", self.server + path, params=params, headers={"Accept": "application/json"})
        subject = subject_of("WATCH", request.url.path, self.server)
        try:
            response = await self._headers_of(request, subject, read_timeout)
        except _Failed as failed:
            raise failed.error from None
        try:
            if not answers.is_json(response.headers.get("content-type", "")):
                raise _no_kubernetes(request, subject, response)
            yield self._lines(response)
        finally:
            await response.aclose()

    async def _lines(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Own splitting, since a line of JSON may be large and need not be decoded to text first."""
        rest: list[bytes] = []
        try:
            async for chunk in response.aiter_bytes():
                head, newline, tail = chunk.partition(b"\n")
                while newline:
                    yield b"".join((*rest, head))
                    rest = []
                    head, newline, tail = tail.partition(b"\n")
                if head:
                    rest.append(head)
        except (httpx2.HTTPError, OSError) as error:
            raise self._lost(error).error from None

    async def _headers_of(self, request: httpx2.Request, subject: Subject, read_timeout: float) -> httpx2.Response:
        """Sends and reads the head; a 401 refreshes the credentials once; an error answer is raised."""
        for refreshed in (False, True):
            response, generation = await self._sent(request, read_timeout)
            if response.status_code < 300:
                return response
            try:
                body = await _head_of(response)
            except (httpx2.HTTPError, OSError) as error:
                raise self._lost(error) from None
            if response.status_code == 401 and not refreshed and await self._credentials.refresh(generation):
                continue
            raise self._refused(response, body, subject)
        raise AssertionError("the second round returns or raises")

    async def _sent(self, request: httpx2.Request, read_timeout: float) -> tuple[httpx2.Response, int]:
        """The head of whatever is answered, and which credentials were used."""
        request.extensions = {
            **request.extensions,
            "timeout": {"connect": CONNECT, "read": read_timeout, "write": READ, "pool": READ},
            **({"sni_hostname": self.connection.tls_server_name} if self.connection.tls_server_name else {}),
        }
        for name, value in self._headers:
            if name not in request.headers:
                request.headers[name] = value
        authorization = await self._credentials.header()
        if authorization:
            request.headers["Authorization"] = authorization
        generation = self._credentials.generation
        await self._pace.turn()
        target = request.extensions.get("target", request.url.raw_path).partition(b"?")[0].decode()
        silent = request.method in READS or request.extensions.get(_ASKS)
        try:
            with nullcontext() if silent else passing("cluster", f"{request.method} {target}"):
                response = await self._transport.handle_async_request(request)
        except (httpx2.HTTPError, OSError) as error:
            raise self._lost(error) from None
        if response.status_code != 401:
            self._credentials.accepted(generation)
        if response.status_code in _SLOW_DOWN and (seconds := _retry_after(response)):
            self._pace.hold(seconds)
        response.request = request
        return response, generation

    @asynccontextmanager
    async def relayed(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, read_timeout: float
    ) -> AsyncIterator[httpx2.Response]:
        """A request of another program, as it made it (``target`` with the server's own path and the query), and what
        is answered, whatever that is; only a 401 refreshes the credentials once.

        Raises:
            ClusterUnreachable: there is no answer. Not tried again.
        """
        there = urlsplit(self.server)
        base = f"{there.scheme}://{there.netloc}/"
        for refreshed in (False, True):
            request = httpx2.Request(
                method,
                base,
                headers=dict(headers),
                content=body or None,
                extensions={"target": target.encode(), _ASKS: asks(method, target)},
            )
            try:
                response, generation = await self._sent(request, read_timeout)
            except _Failed as failed:
                raise failed.error from None
            try:
                if response.status_code == 401 and not refreshed and await self._credentials.refresh(generation):
                    continue
                yield response
                return
            finally:
                await response.aclose()

    async def passed_on(self, path: str, *, limit: int, read_timeout: float) -> PassedOn:
        """GETs what somebody behind the API server answers, whatever its status: nothing is followed or decompressed.

        Asked again once after a lost connection, and once after a 401 of the API server itself. Status 0: the answer
        was cut off, by whomever.

        Raises:
            ClusterUnreachable, UntrustedServer: the API server itself can't be reached.
        """
        lost = refreshed = False
        while True:
            # Without "identity" a few kilobytes could become gigabytes here.
            headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
            request = httpx2.Request("GET", self.server + path, headers=headers)
            try:
                response, generation = await self._sent(request, read_timeout)
                try:
                    answer = await _passed_on(response, limit)
                except (httpx2.HTTPError, OSError) as error:
                    raise self._lost(error) from None
            except _Failed as failed:
                if not failed.error.retryable or (lost and failed.never_sent):
                    raise failed.error from None
                if lost or failed.slow:
                    return PassedOn(0, "", b"", False)
                lost = True
                continue
            own = answer.status == 401 and answers.read_status(answer.body, answer.content_type) is not None
            if not own or refreshed or not await self._credentials.refresh(generation):
                return answer
            refreshed = True

    def _refused(self, response: httpx2.Response, body: bytes, subject: Subject) -> _Failed:
        status = answers.read_status(body, response.headers.get("content-type", ""))
        error = answers.error_for(response.status_code, status, subject, server=self.server)
        seconds = _retry_after(response)
        if status and status.details and not seconds:
            seconds = float(status.details.retry_after_seconds)
        if seconds > BUDGET and error.retryable:
            error = answers.asked_to_wait(error, seconds)
        return _Failed(error, response.status_code, seconds)

    def _lost(self, error: Exception) -> _Failed:
        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 10:
            chain.append(cause)
        untrusted = next((item for item in chain if isinstance(item, ssl.SSLCertVerificationError)), None)
        if untrusted is not None:
            return _Failed(
                UntrustedServer(
                    "The certificate of {server} can't be trusted: {reason}.",
                    server=self.server,
                    reason=untrusted.verify_message or "verification failed",
                    hint="The kubeconfig's authority did not sign it. Get a new kubeconfig from a safe place.",
                )
            )
        lost = ClusterUnreachable(
            "The API server {server} can't be reached: {reason}.",
            server=self.server,
            reason=_words(error, chain),
            hint="Check the address in the kubeconfig, the network and the VPN.",
        )
        never = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        return _Failed(lost, never_sent=never, slow=isinstance(error, httpx2.TimeoutException))


def asks(method: str, target: str) -> bool:
    """Whether a request of another program changes nothing."""
    return method in READS or bool(parse_qs(urlsplit(target).query).get("dryRun"))


class _Failed(Exception):
    """An error of the house, and what decides about another attempt."""

    def __init__(
        self, error: BackoutError, code: int = 0, after: float = 0.0, *, never_sent: bool = False, slow: bool = False
    ) -> None:
        super().__init__(error)
        self.error, self.code, self.after, self.never_sent, self.slow = error, code, after, never_sent, slow

    def wait(self, attempt: int, read_only: bool) -> float:
        """Seconds until the next attempt; negative when there must be none."""
        if not self.error.retryable:
            return -1.0
        if self.code:
            safe = self.code == 429 or (read_only and self.code in _TRANSIENT)
        else:
            safe = (read_only or self.never_sent) and not (self.slow and attempt > 1)
        if not safe:
            return -1.0
        wait: float = FIRST_WAIT * 3 ** (attempt - 1) * random.uniform(0.8, 1.4)
        return max(min(wait, LONGEST_HOLD), self.after)


def _retry_after(response: httpx2.Response) -> float:
    """Seconds that the server asks to wait: a number, or a date, which is compared with the server's own clock (RFC 9110 10.2.3)."""
    text = response.headers.get("retry-after", "")
    if text.isdigit():
        return float(text[:9])
    try:
        now = parsedate_to_datetime(response.headers["date"])
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0


class PassedOn(NamedTuple):
    """What somebody behind the API server answered, or the API server instead of them."""

    status: int
    content_type: str
    body: bytes
    truncated: bool


async def _passed_on(response: httpx2.Response, limit: int) -> PassedOn:
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                break
    finally:
        await response.aclose()
    kind = response.headers.get("content-type", "")[:200]
    return PassedOn(response.status_code, kind, bytes(body[:limit]), len(body) > limit)


async def _head_of(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ERROR_BODY:
                break
    finally:
        await response.aclose()
    return bytes(body)


def _require_kubernetes(response: httpx2.Response, request: httpx2.Request, subject: Subject) -> None:
    """A proxy's login page is answered with 200, too."""
    wanted = request.headers.get("accept", "")
    found = response.headers.get("content-type", "")
    if "json" in wanted and not answers.is_json(found):
        raise _no_kubernetes(request, subject, response)


def _no_kubernetes(request: httpx2.Request, subject: Subject, response: httpx2.Response) -> ServerError:
    return ServerError(
        "{server} answered {code} with {type} instead of JSON, and not as a Kubernetes API server does.",
        server=f"{request.url.scheme}://{request.url.host}",
        code=response.status_code,
        type=response.headers.get("content-type", "").partition(";")[0][:60] or "no type",
        hint="A proxy or a login page may stand in between.",
    )


def _words(error: Exception, chain: list[BaseException]) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {CONNECT:.0f} s"
    if isinstance(error, httpx2.PoolTimeout):
        return "all connections are busy"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    for item in reversed(chain):
        if isinstance(item, socket.gaierror):
            return "its name is not known"
        if isinstance(item, ssl.SSLError):
            return f"TLS: {(item.reason or 'handshake failed').lower().replace('_', ' ')}"
        if isinstance(item, ConnectionRefusedError):
            return "connection refused"
        if isinstance(item, OSError) and item.strerror:
            return item.strerror.lower().replace("{", "(").replace("}", ")")
    return "the connection was cut"


def subject_of(method: str, path: str, server: str = "") -> Subject:
    """What a path is about: ``/apis/apps/v1/namespaces/shop/deployments/web`` → deployments.apps web in shop."""
    prefix = urlsplit(server).path
    parts = path.removeprefix(prefix).strip("/").split("/")
    group = ""
    if parts[0] == "api":
        rest = parts[2:]
    elif parts[0] == "apis":
        group, rest = (parts[1] if len(parts) > 1 else ""), parts[3:]
    else:
        return Subject("read")
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest:
        return Subject("read")
    resource = f"{rest[0]}.{group}" if group else rest[0]
    name = rest[1] if len(rest) > 1 else ""
    if len(rest) > 2:
        resource = f"{rest[0]}/{rest[2]}"
    read = "get" if name else "list"
    verbs = {"GET": read, "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "WATCH": "watch"}
    return Subject(verbs.get(method, method.lower()), resource, name, namespace)


def _keepalive() -> list[tuple[int, int, int]]:
    """The kernel finds out within 30 s that the other side of a silent connection is gone."""
    options: list[tuple[str, int]] = [("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)]
    found: list[Any] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    found += [(socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in options if hasattr(socket, name)]
    return found


def decode_failed(subject: str) -> ServerError:
    """The error for an answer that is cut off, or not what the API promises."""
    return ServerError("The API server's answer about {what} is cut off or not valid JSON.", what=subject)
