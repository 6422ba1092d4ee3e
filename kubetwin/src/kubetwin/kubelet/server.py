# SPDX-License-Identifier: Apache-2.0
"""The kubelet's own HTTPS endpoint, as far as a real API server needs it: container logs and health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from kubetwin.client import Obj
from kubetwin.kubelet.agent import Kubelet
from kubetwin.kubelet.logs import LogQuery
from kubetwin.meta import name_of, namespace_of, parse_time
from kubetwin.serving import certs, query
from kubetwin.serving.http import HttpsServer, Request, Response
from kubetwin.serving.logs import LogOptions, LogSource, LogUnavailable


class KubeletServer:
    """GET /containerLogs/{namespace}/{pod}/{container} and /healthz on a loopback port."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self._https: HttpsServer | None = None

    async def start(self, port: int = 0) -> int:
        """Returns the port. The certificate is self-made: API servers verify it only when told to."""
        identity = await asyncio.to_thread(certs.new_identity, "kubelet")
        self._https = HttpsServer(self.handle, certs.tls_context(identity))
        return await self._https.start(port=port)

    async def close(self) -> None:
        if self._https is not None:
            await self._https.close()

    async def handle(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts == ["healthz"]:
            return _text(200, "ok")
        if len(parts) != 4 or parts[0] != "containerLogs" or request.method != "GET":
            return _text(404, "404 page not found\n")
        try:
            wanted = log_query(request)
        except ValueError:
            return _text(400, '{"message": "Unable to decode query."}')
        try:
            stream = self.kubelet.open_log(parts[1], parts[2], parts[3], wanted)
        except LogUnavailable as error:
            return _text(error.code, error.message)
        return Response(200, {"content-type": "text/plain"}, stream=_kept(stream))


async def _kept(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in stream:
        yield chunk


def _text(code: int, text: str) -> Response:
    return Response(code, {"content-type": "text/plain"}, text.encode())


def log_query(request: Request) -> LogQuery:
    """The options in a request's query. Raises ValueError when a number or time is malformed."""

    def number(name: str) -> int | None:
        text = request.param(name)
        return int(text) if text else None

    since = None
    if request.param("sinceSeconds"):
        since = time.time() - int(request.param("sinceSeconds"))
    elif request.param("sinceTime"):
        when = parse_time(request.param("sinceTime"))
        since = when.timestamp() if when else None
    return LogQuery(
        follow=query.flag(request, "follow"),
        previous=query.flag(request, "previous"),
        timestamps=query.flag(request, "timestamps"),
        tail_lines=number("tailLines"),
        limit_bytes=number("limitBytes"),
        since=since,
    )


def log_source(kubelet: Kubelet) -> LogSource:
    """The hook by which an embedded API server reads logs without a connection."""

    async def read(pod: Obj, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        since = None
        if options.since_seconds is not None:
            since = time.time() - options.since_seconds
        elif options.since_time:
            when = parse_time(options.since_time)
            since = when.timestamp() if when else None
        wanted = LogQuery(
            options.follow, options.previous, options.timestamps, options.tail_lines, options.limit_bytes, since
        )
        return kubelet.open_log(namespace_of(pod), name_of(pod), container, wanted)

    return read
