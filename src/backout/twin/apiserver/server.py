# SPDX-License-Identifier: Apache-2.0
"""One cluster's API server: routes a request to its handler and owns the state."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from backout.twin.apiserver import auth, certs, encode, paths
from backout.twin.apiserver.discovery import Discovery
from backout.twin.apiserver.faults import Faults
from backout.twin.apiserver.http import BODY_LIMIT, HttpsServer, Request, Response, User
from backout.twin.apiserver.resources import Registry
from backout.twin.apiserver.rest import delete, patching, read, watch, write
from backout.twin.apiserver.rest.call import Call
from backout.twin.apiserver.status import (
    ApiError,
    internal_error,
    method_not_allowed,
    path_not_found,
    too_large,
)
from backout.twin.apiserver.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What a client asked of ``pods/NAME/log``; times in seconds and RFC 3339, sizes in bytes."""

    follow: bool = False
    previous: bool = False
    since_seconds: int | None = None
    since_time: str = ""
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str = "All"


LogSource = Callable[[dict[str, Any], str, LogOptions], Awaitable[AsyncIterator[bytes]]]


@dataclass(slots=True)
class Settings:
    """``bookmark_interval`` in seconds; ``history_limit`` in changes of one resource."""

    name: str = "twin"
    git_version: str = "v1.36.0"
    admin_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    bookmark_interval: float = 60.0
    history_limit: int = 4096


class ApiServer:
    """One cluster. :meth:`handle` answers requests from anywhere; :meth:`start` serves them over HTTPS."""

    def __init__(
        self, settings: Settings | None = None, *, identity: certs.Identity | None = None, faults: Faults | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.faults = faults
        self.registry = Registry()
        self.store = Store(self.settings.history_limit)
        self.discovery = Discovery(self.registry)
        self.log_source: LogSource | None = None
        self.tokens: dict[str, User] = {self.settings.admin_token: auth.ADMIN}
        self._identity = identity
        self._https: HttpsServer | None = None

    @property
    def identity(self) -> certs.Identity:
        """Certificates and keys, made on first use."""
        if self._identity is None:
            self._identity = certs.new_identity(self.settings.name)
        return self._identity

    @property
    def url(self) -> str:
        """The address of the started server."""
        return f"https://127.0.0.1:{self._https.port}" if self._https else ""

    async def start(self, port: int = 0) -> str:
        """Serve on a loopback port (0: any free one) and return the URL; raises OSError when it is taken."""
        self._https = HttpsServer(self.handle, certs.tls_context(self.identity))
        await self._https.start(port=port)
        return self.url

    async def stop(self) -> None:
        if self._https is not None:
            await self._https.close()
            self._https = None

    async def handle(self, request: Request) -> Response:
        """The answer to a request; errors become Status answers, nothing is raised."""
        try:
            response = await self._route(request)
        except ApiError as error:
            response = encode.error_response(error)
        except Exception as error:
            _log.exception("%s %s failed", request.method, request.path)
            response = encode.error_response(internal_error(type(error).__name__))
        if response.stream is None:
            encode.compress(response, request.headers.get("accept-encoding", ""))
        return response

    async def _route(self, request: Request) -> Response:
        user = auth.authenticate(self, request)
        info = paths.parse(request)
        if len(request.body) > BODY_LIMIT:
            raise too_large(BODY_LIMIT)
        if not info.is_resource:
            return self._non_resource(request)
        if not info.resource:
            raise path_not_found()
        resource_type = self.registry.get(info.group, info.version, info.resource)
        if resource_type is None:
            raise path_not_found()
        call = Call(self, request, info, resource_type, user)
        response = self._dispatch(call)
        response.warnings.extend(call.warnings)
        return response

    def _dispatch(self, call: Call) -> Response:
        verb, sub = call.info.verb, call.info.subresource
        if verb not in call.type.verbs and not sub:
            raise method_not_allowed(call.type.group_resource, verb)
        if sub in ("status",):
            match verb:
                case "get":
                    return read.get(call)
                case "update":
                    return write.update(call, sub)
                case "patch":
                    return patching.patch(call, sub)
        if sub:
            raise path_not_found()
        match verb:
            case "get":
                return read.get(call)
            case "list":
                return read.list_objects(call)
            case "watch":
                return watch.watch(call)
            case "create":
                return write.create(call)
            case "update":
                return write.update(call)
            case "patch":
                return patching.patch(call)
            case "delete":
                return delete.delete(call)
            case "deletecollection":
                return delete.delete_collection(call)
        raise method_not_allowed(call.type.group_resource, verb)

    def _non_resource(self, request: Request) -> Response:
        path = request.path.rstrip("/") or "/"
        if path == "/version":
            return encode.json_response(self._version())
        if path in ("/healthz", "/livez", "/readyz") or path.startswith(("/healthz/", "/livez/", "/readyz/")):
            return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, b"ok")
        if path == "/api" or path == "/apis" or path.startswith(("/api/", "/apis/")):
            return self.discovery.answer(request, self.url.removeprefix("https://"))
        raise path_not_found()

    def _version(self) -> dict[str, str]:
        major, minor = self.settings.git_version.removeprefix("v").split(".")[:2]
        return {
            "major": major,
            "minor": minor,
            "emulationMajor": major,
            "emulationMinor": minor,
            "minCompatibilityMajor": major,
            "minCompatibilityMinor": str(int(minor) - 1),
            "gitVersion": self.settings.git_version,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "",
        }

    # What the write handlers ask of the cluster.

    def admit_create(self, call: Call, obj: dict[str, Any], dry_run: bool) -> None: ...

    def admit_update(
        self, call: Call, new: dict[str, Any], old: dict[str, Any], subresource: str, dry_run: bool
    ) -> None: ...

    def admit_delete(self, call: Call, obj: dict[str, Any]) -> None: ...

    def authorize_create(self, call: Call) -> None: ...

    def validate(self, call: Call, new: dict[str, Any], old: dict[str, Any] | None, subresource: str = "") -> None: ...

    def grace_period(self, resource_type: Any, obj: dict[str, Any], wanted: int | None) -> int | None:
        return None

    def holds(self, resource_type: Any, obj: dict[str, Any]) -> bool:
        return False

    def may_remove(self, resource_type: Any, obj: dict[str, Any]) -> bool:
        return True

    def begin_delete(self, resource_type: Any, obj: dict[str, Any]) -> None: ...
