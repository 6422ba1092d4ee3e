# SPDX-License-Identifier: Apache-2.0
"""One cluster's API server: authenticates and authorises a request, and routes it to its handler."""

from __future__ import annotations

import logging
from collections import Counter

from kubetwin.apiserver import auth, bootstrap, encode, paths, routes
from kubetwin.apiserver.call import Call
from kubetwin.apiserver.discovery import Discovery
from kubetwin.apiserver.faults import Faults
from kubetwin.apiserver.openapi import OpenApi
from kubetwin.apiserver.rbac import Attributes
from kubetwin.apiserver.state import ClusterState, Settings
from kubetwin.apiserver.status import ApiError, bad_request, internal_error, path_not_found, too_large
from kubetwin.kubeconfig import Entry
from kubetwin.serving import certs, metrics, query
from kubetwin.serving.http import BODY_LIMIT, HttpsServer, Request, Response

_log = logging.getLogger(__name__)
_REQUEST_LABELS = ("verb", "group", "version", "resource", "subresource", "code")
_COUNTED_AS = {"create": "post", "update": "put"}
_HEALTH = ("/healthz", "/livez", "/readyz")


def _healthy(path: str, verbose: bool) -> Response:
    """What a health endpoint says; its checks can be asked for one by one (`/readyz/ping`)."""
    name, text = path.split("/")[1], "ok"
    if verbose:
        checks = "".join(f"[+]{check} ok\n" for check in ("ping", "log", "etcd"))
        text = f"{checks}{name} check passed\n"
    return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, text.encode())


class ApiServer:
    """One cluster. :meth:`handle` answers requests from anywhere; :meth:`start` serves them over HTTPS."""

    def __init__(
        self, settings: Settings | None = None, *, identity: certs.Identity | None = None, faults: Faults | None = None
    ) -> None:
        self.cluster = ClusterState(settings or Settings(), identity, faults)
        self._discovery = Discovery(self.cluster.registry)
        self._openapi = OpenApi(self.cluster.registry, self.cluster.settings.git_version)
        self._https: HttpsServer | None = None
        self._requests: Counter[tuple[str, ...]] = Counter()

    @property
    def url(self) -> str:
        """The address of the started server."""
        return f"https://127.0.0.1:{self._https.port}" if self._https else ""

    @property
    def access(self) -> Entry:
        """How the administrator reaches the started server."""
        settings = self.cluster.settings
        return Entry(settings.name, self.url, self.cluster.identity.ca, settings.admin_token)

    async def start(self, port: int = 0) -> str:
        """Serve on a loopback port (0: any free one) and return the URL; raises OSError when it is taken."""
        self._https = HttpsServer(self.handle, certs.tls_context(self.cluster.identity))
        bootstrap.publish_address(self.cluster.store, await self._https.start(port=port))
        return self.url

    async def stop(self) -> None:
        if self._https is not None:
            await self._https.close()
            self._https = None

    async def handle(self, request: Request) -> Response:
        """The answer to a request; errors become Status answers, nothing is raised."""
        fault = faults.take(request) if (faults := self.cluster.faults) is not None else None
        if fault is not None and (early := await fault.before()) is not None:
            return early
        try:
            response = await self._route(request)
        except ApiError as error:
            response = encode.error_response(error)
        except Exception as error:
            _log.exception("%s %s failed", request.method, request.path)
            response = encode.error_response(internal_error(type(error).__name__))
        if response.stream is None:
            if query.pretty(request):
                encode.indent(response)
            encode.compress(response, request.headers.get("accept-encoding", ""))
        if fault is not None:
            fault.after(response)
        return response

    async def _route(self, request: Request) -> Response:
        user = auth.authenticate(self.cluster, request)
        info = paths.parse(request)
        attributes = Attributes(info.verb, path=info.path)
        if info.is_resource:
            attributes = Attributes(info.verb, info.group, info.resource, info.subresource, info.namespace, info.name)
        if request.user is None:
            user = auth.impersonate(self.cluster, request, user, attributes)
        self.cluster.authorizer.require(user, attributes)
        if len(request.body) > BODY_LIMIT:
            raise too_large(BODY_LIMIT)
        if not info.is_resource:
            return self._non_resource(request)
        resource_type = self.cluster.registry.get(info.group, info.version, info.resource)
        if resource_type is None:
            known = self.cluster.registry.is_built_in(info.group) or self.cluster.registry.has_group_version(
                info.group, info.version
            )
            if not known:
                return Response(404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
            raise path_not_found()
        call = Call(self.cluster, request, info, resource_type, user)
        try:
            response = await routes.dispatch(call)
        except ApiError as error:
            response = encode.error_response(error)
        except query.Unreadable as error:
            response = encode.error_response(bad_request(str(error)))
        response.warnings.extend(call.warnings)
        verb = _COUNTED_AS.get(info.verb, info.verb).upper()
        self._requests[verb, info.group, info.version, info.resource, info.subresource, str(response.status)] += 1
        return response

    def _non_resource(self, request: Request) -> Response:
        path = request.path.rstrip("/") or "/"
        if path == "/version":
            return encode.pretty_response(self._version())
        if path in _HEALTH or path.startswith(tuple(f"{p}/" for p in _HEALTH)):
            return _healthy(path, "verbose" in request.query)
        if path in ("/api", "/apis") or path.startswith(("/api/", "/apis/")):
            found = self._discovery.answer(request, self.url.removeprefix("https://"))
            if found is not None:
                return found
        if path.startswith("/openapi/"):
            return self._openapi.answer(request)
        if path == "/":
            served = {"/metrics", "/version", "/openapi/v2", "/openapi/v3", *_HEALTH}
            return encode.pretty_response({"paths": sorted(served)})
        if path == "/metrics":
            return Response(200, {"Content-Type": metrics.CONTENT_TYPE}, metrics.exposition(self._metrics()))
        return Response(404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")

    def _metrics(self) -> list[metrics.Metric]:
        """Those of a real server's that say what it holds and what it was asked."""
        stored = [
            ({"group": group, "resource": resource}, len(collection.entries))
            for (group, resource), collection in self.cluster.store.collections.items()
        ]
        asked = [(dict(zip(_REQUEST_LABELS, key, strict=True)), count) for key, count in self._requests.items()]
        objects = "Number of stored objects at the time of last check split by kind."
        requests = (
            "Counter of apiserver requests broken out for each verb, group, version, resource, subresource and HTTP"
            " response code."
        )
        return [
            metrics.gauge("apiserver_resource_objects", objects, *stored),
            metrics.counter("apiserver_request_total", requests, *asked),
        ]

    def _version(self) -> dict[str, str]:
        major, minor = self.cluster.settings.git_version.removeprefix("v").split(".")[:2]
        return {
            "major": major,
            "minor": minor,
            "emulationMajor": major,
            "emulationMinor": minor,
            "minCompatibilityMajor": major,
            "minCompatibilityMinor": str(int(minor) - 1),
            "gitVersion": self.cluster.settings.git_version,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "",
        }
