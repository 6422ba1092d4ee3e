# SPDX-License-Identifier: Apache-2.0
"""What an Ingress answers to the outside: each of its routes asked at the address that its controller published.

Straight to ``status.loadBalancer`` with the rule's host as ``Host`` (and as TLS server name), so that neither DNS nor a
proxy of the environment plays a part, and no credentials are sent. Only a redirect to HTTPS of the very same host and
path is followed. Certificates are not verified but compared with those of the TLS Secret. Facts: networking.k8s.io/v1
Ingress (``tls``, ``pathType``, ``loadBalancer.ingress[].ports``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import re
import ssl
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from backout.cluster.port import SECRETS, ClusterReader, Object
from backout.errors import BackoutError, ObjectNotFound
from backout.model.message import Message, msg
from backout.probes.service import marker

LIMIT = 256 * 1024
TIMEOUT = 5.0
ROUTES = 20
AT_ONCE = 8
REDIRECTS = 2
_PATTERN = re.compile(r"[()\[\]|*+?$^\\]")

Certificate = Literal["", "same", "other", "default", "missing", "unread"]
_DEFAULTS = (b"Ingress Controller Fake Certificate", b"TRAEFIK DEFAULT CERT")


class Route(msgspec.Struct, frozen=True):
    """A host and a path of an Ingress, and the Service behind it."""

    host: str
    path: str
    service: str = ""
    port: int | str = 0
    tls: str = ""
    """The TLS Secret of the host."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one route answered. ``error``: nothing did; ``status`` is 0 then.

    ``certificate``: the ``same`` as in the TLS Secret, an ``other`` one, the controller's own (``default``); the Secret
    is ``missing``, or it could not be read (``unread``); empty without HTTPS.
    """

    host: str
    path: str
    address: str = ""
    status: int = 0
    marker: str = ""
    error: Message | None = None
    certificate: Certificate = ""
    service: str = ""
    port: int | str = 0


def routes(ingress: Object) -> tuple[Route, ...]:
    """The first 20 routes of an Ingress. A pattern is asked for up to its first special sign."""
    spec = ingress.get("spec") or {}
    secrets = {
        host: str(entry.get("secretName") or "")
        for entry in spec.get("tls") or ()
        for host in entry.get("hosts") or ("",)
    }
    found: dict[tuple[str, str], Route] = {}
    for rule in spec.get("rules") or ():
        host = str(rule.get("host") or "")
        for entry in (rule.get("http") or {}).get("paths") or ():
            path = str(entry.get("path") or "/")
            if entry.get("pathType") not in ("Exact", "Prefix"):
                path = _PATTERN.split(path)[0] or "/"
            _add(found, host, path, entry.get("backend") or {}, secrets)
    if spec.get("defaultBackend") and not found:
        _add(found, "", "/", spec["defaultBackend"], secrets)
    return tuple(found.values())[:ROUTES]


def _add(found: dict[tuple[str, str], Route], host: str, path: str, backend: Any, secrets: dict[str, str]) -> None:
    service = backend.get("service") or {}
    port = service.get("port") or {}
    asked = f"backout{host[1:]}" if host.startswith("*.") else host
    tls = secrets.get(host, secrets.get(f"*.{host.partition('.')[2]}", secrets.get("", "")))
    if path.startswith("/"):
        found.setdefault(
            (asked, path),
            Route(asked, path, str(service.get("name") or ""), port.get("name") or port.get("number") or 0, tls),
        )


async def ask(cluster: ClusterReader, ingress: Object, *, timeout: float = TIMEOUT) -> list[Answer]:
    """Asks every route (see `routes`), all within ``timeout`` seconds each. Never raises."""
    wanted = routes(ingress)
    address, problem = _address(cluster, ingress)
    if problem is not None:
        return [_failed(route, "", problem) for route in wanted]
    gate = asyncio.Semaphore(AT_ONCE)
    certificates = _Certificates(cluster, str(ingress["metadata"].get("namespace", "")))

    async def one(route: Route) -> Answer:
        async with gate:
            return (await _in_time(route, address, certificates, timeout))[0]

    return list(await asyncio.gather(*(one(route) for route in wanted)))


async def fetch(
    cluster: ClusterReader, ingress: Object, path: str, *, host: str = "", timeout: float = TIMEOUT
) -> tuple[Answer, bytes]:
    """Asks one path, of the first host when none is named, and gives at most 256 KiB of the body. Never raises."""
    known = routes(ingress)
    same = next((route for route in known if not host or route.host == host), None)
    if same is None:
        return Answer(host=host, path=path, error=msg("it has no rule for host {host}", host=host or "-")), b""
    route = Route(same.host, path, "", 0, same.tls)
    address, problem = _address(cluster, ingress)
    if problem is not None:
        return _failed(route, "", problem), b""
    certificates = _Certificates(cluster, str(ingress["metadata"].get("namespace", "")))
    return await _in_time(route, address, certificates, timeout)


async def _in_time(
    route: Route, address: _Address, certificates: _Certificates, timeout: float
) -> tuple[Answer, bytes]:
    try:
        async with asyncio.timeout(timeout):
            return await _ask(route, address, certificates)
    except TimeoutError:
        return _failed(route, address.host, msg("no answer within {seconds} s", seconds=timeout)), b""


class _Address(msgspec.Struct, frozen=True):
    host: str
    http: int = 80
    https: int = 443


def _address(cluster: ClusterReader, ingress: Object) -> tuple[_Address, Message | None]:
    """The first address of its status. An address is somebody else's word: only what may be an Ingress is asked."""
    nothing = _Address("")
    points = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    point = next((entry for entry in points if entry.get("ip") or entry.get("hostname")), None)
    if point is None:
        return nothing, msg("no controller has published an address for it")
    host = str(point.get("ip") or point.get("hostname"))
    literal: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host):
            return nothing, msg("its published address is no host name")
    local = literal.is_loopback if literal is not None else host.lower() == "localhost"
    if local and not _is_local(cluster):
        return nothing, msg("its published address {address} is this computer itself", address=host)
    if literal is not None and (literal.is_link_local or literal.is_unspecified or literal.is_multicast):
        return nothing, msg("its published address {address} is no address of an Ingress", address=host)
    ports = [int(entry["port"]) for entry in point.get("ports") or () if entry.get("protocol", "TCP") == "TCP"]
    if not ports:
        return _Address(host), None
    plain = [port for port in ports if port not in (443, 8443)]
    secure = [port for port in ports if port in (443, 8443)]
    return _Address(host, plain[0] if plain else 0, secure[0] if secure else 0), None


def _is_local(cluster: ClusterReader) -> bool:
    """Whether the cluster itself runs on this computer."""
    from backout.cluster import kubeconfig
    from backout.cluster.tls import is_loopback

    try:
        return is_loopback(kubeconfig.connection(cluster.kubeconfig, cluster.context).server)
    except BackoutError:
        return False


class _Certificates:
    """The certificates of TLS Secrets, each read once."""

    def __init__(self, cluster: ClusterReader, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._found: dict[str, asyncio.Task[bytes | Certificate]] = {}

    async def compare(self, secret: str, served: bytes) -> Certificate:
        if not secret or not served:
            return ""
        if any(name in served for name in _DEFAULTS):
            return "default"
        if secret not in self._found:
            self._found[secret] = asyncio.create_task(self._read(secret))
        own = await asyncio.shield(self._found[secret])
        if isinstance(own, str):
            return own
        return "same" if own == served else "other"

    async def _read(self, name: str) -> bytes | Certificate:
        try:
            secret = await self._cluster.get(SECRETS, name, self._namespace)
            pem = base64.b64decode((secret.get("data") or {}).get("tls.crt", "")).decode("ascii")
            begin = pem.index("-----BEGIN CERTIFICATE-----")
            end = pem.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")
            return ssl.PEM_cert_to_DER_cert(pem[begin:end])
        except ObjectNotFound:
            return "missing"
        except (BackoutError, binascii.Error, UnicodeDecodeError, ValueError):
            return "unread"


async def _ask(route: Route, address: _Address, certificates: _Certificates) -> tuple[Answer, bytes]:
    secure = bool(address.https) and (bool(route.tls) or not address.http)
    path = route.path
    for _ in range(REDIRECTS + 1):
        port = address.https if secure else address.http
        host = f"[{address.host}]" if ":" in address.host else address.host
        url = f"{'https' if secure else 'http'}://{host}:{port}{quote(path, safe='/:@!$&()*+,;=~-._%')}"
        try:
            status, kind, body, location, served = await _get(url, route.host)
        except (httpx2.HTTPError, OSError, ssl.SSLError, ValueError) as error:
            return _failed(route, f"{address.host}:{port}", _words(error)), b""
        if 300 <= status < 400 and not secure and address.https and _same_but_secure(location, route):
            secure = True
            continue
        break
    compared = await certificates.compare(route.tls, served)
    answer = Answer(
        host=route.host,
        path=route.path,
        address=f"{address.host}:{port}",
        status=status,
        marker=marker(body, kind),
        certificate=compared,
        service=route.service,
        port=route.port,
    )
    return answer, body


async def _get(url: str, host: str) -> tuple[int, str, bytes, str, bytes]:
    """Status, type, at most 256 KiB of the body, Location, and the served certificate."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE  # it is compared with the Secret's, and nothing that is secret is sent
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "backout", "Connection": "close"}
    if host:
        headers["Host"] = host
    request = httpx2.Request("GET", url, headers=headers)
    if host:
        request.extensions["sni_hostname"] = host
    transport = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False)
    async with transport:
        request.extensions["timeout"] = {"connect": TIMEOUT, "read": TIMEOUT, "write": TIMEOUT, "pool": TIMEOUT}
        response = await transport.handle_async_request(request)
        stream = response.extensions.get("network_stream")
        tls = stream.get_extra_info("ssl_object") if stream is not None else None
        served = (tls.getpeercert(binary_form=True) or b"") if tls is not None else b""
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) >= LIMIT:
                    break
        finally:
            await response.aclose()
    head = response.headers
    return (
        response.status_code,
        head.get("content-type", "")[:200],
        bytes(body[:LIMIT]),
        head.get("location", ""),
        served,
    )


def _same_but_secure(location: str, route: Route) -> bool:
    try:
        found = urlsplit(location)
        return (
            found.scheme == "https"
            and (found.hostname or "") == route.host.lower()
            and (found.path or "/") == route.path
        )
    except ValueError:
        return False


def _failed(route: Route, address: str, error: Message) -> Answer:
    return Answer(
        host=route.host, path=route.path, address=address, error=error, service=route.service, port=route.port
    )


def _words(error: Exception) -> Message:
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 10:
        chain.append(cause)
    if any(isinstance(item, ConnectionRefusedError) for item in chain):
        return msg("connection refused")
    if any(isinstance(item, ssl.SSLError) for item in chain):
        return msg("the TLS handshake failed")
    if isinstance(error, httpx2.TimeoutException):
        return msg("no answer in time")
    if isinstance(error, httpx2.ConnectError):
        return msg("no connection to its address")
    return msg("the connection was cut")
