# SPDX-License-Identifier: Apache-2.0
"""An ingress controller: HTTP on a loopback port, routed by host and path to the programs behind Services.

It answers as ingress-nginx does where no backend can: 404 ``default backend - 404`` when no rule matches, 503 when the
Service or its ready endpoints are missing, 502 when nobody listens on the endpoint's port. It serves HTTP only and
never redirects to HTTPS; a TLS Secret that is not there is told by an Event (ingress-nginx only logs it), since nothing
here reads a controller's log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from kubetwin.client import Obj
from kubetwin.controllers.base import Context, ObjectController
from kubetwin.informer import key_of
from kubetwin.kinds import ENDPOINTSLICES, INGRESSCLASSES, INGRESSES, SECRETS, SERVICES
from kubetwin.meta import annotations_of, namespace_of, service_index, status_of, uid_of
from kubetwin.serving.http import HttpsServer, Request, Response
from kubetwin.serving.proxying import Dialer, PodRequest, Unreachable

CONTROLLER = "twin.backout.dev/ingress"
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_ADDRESS = "127.0.0.1"
_HTML = {"Content-Type": "text/html"}
_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "date"))


@dataclass(frozen=True, slots=True)
class _Backend:
    namespace: str
    service: str
    port: int | str


class IngressController(ObjectController):
    """One cluster's. ``dial`` reaches its pods; ``port`` 0 is any free one."""

    name = "ingress"
    component = "ingress-controller"
    user_agent = "ingress-controller"
    resource = INGRESSES

    def __init__(self, ctx: Context, dial: Dialer, port: int = 0) -> None:
        super().__init__(ctx)
        self.port = port
        self._dial = dial
        self._server: HttpsServer | None = None
        self._turn = 0
        self._told: set[tuple[str, str]] = set()

    def setup(self) -> None:
        super().setup()
        self.classes = self.inform(INGRESSCLASSES)
        self.services = self.inform(SERVICES)
        self.secrets = self.inform(SECRETS)
        self.secrets.add_handler(self._secret_changed)
        self.slices = self.inform(ENDPOINTSLICES)
        self.slices.add_index("service", service_index)

    def _secret_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None:
            return
        name, namespace = (new or old or {})["metadata"]["name"], namespace_of(new or old or {})
        for ingress in self.objects.all():
            if namespace_of(ingress) == namespace and name in _tls_secrets(ingress):
                self.queue.add(key_of(ingress))

    async def listen(self) -> int:
        """Start answering, and return the port; :meth:`run` does it if nobody has. Raises OSError when it is taken."""
        if self._server is None:
            server = HttpsServer(self.handle, None)
            self.port = await server.start(_ADDRESS, self.port)
            self._server = server
        return self.port

    async def run(self) -> None:
        await self.listen()
        assert self._server is not None
        try:
            await super().run()
        finally:
            await self._server.close()
            self._server = None

    async def reconcile(self, obj: Obj) -> None:
        if not self._serves(obj):
            return
        self._tell_missing(obj)
        wanted = [{"ip": _ADDRESS, "ports": [{"port": self.port, "protocol": "TCP"}]}]
        if (status_of(obj).get("loadBalancer") or {}).get("ingress") != wanted:
            self.recorder.event(obj, "Normal", "Sync", "Scheduled for sync")
            await self.write_status(obj, {**status_of(obj), "loadBalancer": {"ingress": wanted}})

    def _serves(self, ingress: Obj) -> bool:
        """All but those that name a class of another controller."""
        name = ingress["spec"].get("ingressClassName") or annotations_of(ingress).get(_CLASS_ANNOTATION)
        found = self.classes.get(name) if name else None
        return found is None or found["spec"].get("controller") == CONTROLLER

    def _tell_missing(self, ingress: Obj) -> None:
        for secret in _tls_secrets(ingress):
            known = (uid_of(ingress), secret)
            if self.secrets.get(secret, namespace_of(ingress)) is not None:
                self._told.discard(known)
            elif known not in self._told:
                self._told.add(known)
                text = f'TLS secret "{namespace_of(ingress)}/{secret}" was not found. Using the default certificate'
                self.recorder.event(ingress, "Warning", "SecretNotFound", text)

    # -- requests --------------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """The answer to a request from outside."""
        host = request.headers.get("host", "").rpartition("@")[2]
        host = host.partition(":")[0].lower()
        backend = self._route(host, request.path)
        if backend is None:
            return Response(404, {"Content-Type": "text/plain; charset=utf-8"}, b"default backend - 404")
        targets = self._ready(backend)
        if not targets:
            return _page(503, "Service Temporarily Unavailable")
        self._turn += 1
        ip, port = targets[self._turn % len(targets)]
        query = urlencode(request.query, doseq=True)
        path = f"{quote(request.path)}{'?' if query else ''}{query}"
        try:
            answer = await self._dial(ip, port, "http", PodRequest(request.method, path, request.headers, request.body))
        except Unreachable:
            return _page(502, "Bad Gateway")
        return Response(answer.status, {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}, answer.body)

    def _route(self, host: str, path: str) -> _Backend | None:
        """The backend of the best rule: exact hosts before wildcards before none, exact paths before long prefixes."""
        best: tuple[tuple[int, int, int], _Backend] | None = None
        for ingress in sorted(self.objects.all(), key=_age):
            if not self._serves(ingress):
                continue
            for rank, backend in _matches(ingress, host, path):
                if best is None or rank > best[0]:
                    best = rank, backend
        return best[1] if best is not None else None

    def _ready(self, backend: _Backend) -> list[tuple[str, int]]:
        service = self.services.get(backend.service, backend.namespace)
        if service is None:
            return []
        by = "port" if isinstance(backend.port, int) else "name"
        found = next((p for p in service["spec"].get("ports") or () if p.get(by) == backend.port), None)
        if found is None:
            return []
        out: list[tuple[str, int]] = []
        for piece in self.slices.by_index("service", f"{backend.namespace}/{backend.service}"):
            name = found.get("name") or ""
            port = next((p for p in piece.get("ports") or () if (p.get("name") or "") == name), None)
            if port is None:
                continue
            for endpoint in piece.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    out += [(address, int(port["port"])) for address in endpoint["addresses"]]
        return sorted(out)


def _page(status: int, text: str) -> Response:
    page = f"<html><head><title>{status} {text}</title></head><body><h1>{status} {text}</h1></body></html>\n"
    return Response(status, _HTML, page.encode())


def _tls_secrets(ingress: Obj) -> list[str]:
    return [tls["secretName"] for tls in ingress["spec"].get("tls") or () if tls.get("secretName")]


def _age(ingress: Obj) -> tuple[str, str]:
    return str(ingress["metadata"].get("creationTimestamp") or ""), key_of(ingress)


def _matches(ingress: Obj, host: str, path: str) -> Iterator[tuple[tuple[int, int, int], _Backend]]:
    """(rank, backend) of all that match; a higher rank is a better match."""
    spec, namespace = ingress["spec"], namespace_of(ingress)
    for rule in spec.get("rules") or ():
        closeness = _host_rank(rule.get("host") or "", host)
        if closeness is None:
            continue
        for item in (rule.get("http") or {}).get("paths") or ():
            exact, wanted = item.get("pathType") == "Exact", item.get("path") or "/"
            backend = _backend(namespace, item.get("backend"))
            if backend is not None and (path == wanted if exact else _prefix(wanted, path)):
                yield (closeness, int(exact), len(wanted)), backend
    default = _backend(namespace, spec.get("defaultBackend"))
    if default is not None:
        yield (-1, 0, 0), default


def _host_rank(wanted: str, host: str) -> int | None:
    if not wanted:
        return 0
    if wanted.startswith("*."):
        return 1 if host.partition(".")[2] == wanted[2:] else None
    return 2 if wanted == host else None


def _prefix(wanted: str, path: str) -> bool:
    """By whole elements: /a matches /a and /a/b, not /ab."""
    stem = wanted.rstrip("/")
    return path == stem or path.startswith(f"{stem}/")


def _backend(namespace: str, backend: Obj | None) -> _Backend | None:
    service = (backend or {}).get("service")
    if not service:
        return None
    port = service.get("port") or {}
    return _Backend(namespace, service["name"], port.get("number") or port.get("name") or "")
