# SPDX-License-Identifier: Apache-2.0
"""Faults an API server can be told to show, as constructor argument or attribute (never a patch)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from kubetwin.apiserver import encode
from kubetwin.apiserver.status import ApiError, internal_error, service_unavailable, too_many_requests, unauthorized
from kubetwin.serving.http import Request, Response

Match = Callable[[Request], bool]


def any_request(request: Request) -> bool:
    return True


def on(method: str = "", path_contains: str = "") -> Match:
    """Matches requests by method and by a part of the path."""
    return lambda request: (not method or request.method == method) and path_contains in request.path


@dataclass
class Fault:
    """One fault, shown to the first ``times`` requests that ``match``.

    ``code`` answers 401, 429, 500 or 503 (with ``retry_after`` seconds for 429 and 503); ``delay`` waits first
    (seconds); ``cut`` resets the connection: ``"before"`` the request is applied, ``"after"`` it was applied, or
    ``"middle"`` of the answer; ``html`` answers 200 with a proxy's page.
    """

    match: Match = any_request
    times: int = 1
    code: int = 0
    retry_after: int = 1
    delay: float = 0.0
    cut: str = ""
    html: bool = False

    async def before(self) -> Response | None:
        """What the request meets before anything is applied: an answer in its place, or None to go on."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.cut == "before":
            return Response(503, abort="before")
        if self.html:
            return Response(200, {"Content-Type": "text/html"}, b"<html><body>proxy</body></html>")
        error = self.error()
        return encode.error_response(error) if error is not None else None

    def after(self, response: Response) -> None:
        """What the answer meets after the request was applied, in place."""
        if self.cut == "after":
            response.abort = "before"
        elif self.cut == "middle":
            response.abort = "middle"

    def error(self) -> ApiError | None:
        match self.code:
            case 0:
                return None
            case 401:
                return unauthorized()
            case 429:
                return too_many_requests("the server has received too many requests", self.retry_after)
            case 503:
                return service_unavailable("the server is currently unable to handle the request", self.retry_after)
            case _:
                return internal_error("injected fault")


@dataclass
class Faults:
    """The faults of one server. ``half_open`` matches watches that fall silent without being closed."""

    pending: list[Fault] = field(default_factory=list)
    half_open: Match | None = None
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, fault: Fault) -> None:
        self.pending.append(fault)

    def take(self, request: Request) -> Fault | None:
        """The fault to show to this request, used up by it."""
        for fault in self.pending:
            if fault.times > 0 and fault.match(request):
                fault.times -= 1
                return fault
        return None

    def freeze_watches(self, match: Match = any_request) -> None:
        """Matching watches send nothing more, events and bookmarks alike, and stay open."""
        self._released.clear()
        self.half_open = match

    def release_watches(self) -> None:
        self.half_open = None
        self._released.set()

    async def watch_gate(self, request: Request) -> None:
        """Passes at once, or when :meth:`release_watches` is called, if the watch is half-open."""
        while self.half_open is not None and self.half_open(request):
            await self._released.wait()
