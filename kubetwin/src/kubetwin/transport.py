# SPDX-License-Identifier: Apache-2.0
"""Where a client's requests go: a server in this process, or any cluster over HTTPS."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from kubetwin.client import Query, RawResponse, error_of
from kubetwin.serving.http import Request, Response, User

if TYPE_CHECKING:
    import httpx2


class RequestHandler(Protocol):
    """A server in this process."""

    async def handle(self, request: Request) -> Response:
        """The answer; errors are answers, too."""


CONTROL_PLANE = User("system:kube-controller-manager", ("system:masters", "system:authenticated"))


class LocalTransport:
    """Calls a server of this process directly, as a trusted user."""

    def __init__(self, server: RequestHandler, user: User = CONTROL_PLANE) -> None:
        self.server = server
        self.user = user

    def _request(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes | None) -> Request:
        parameters: dict[str, list[str]] = {}
        for key, value in query:
            parameters.setdefault(key, []).append(value)
        return Request(method, path, parameters, dict(headers), body or b"", self.user)

    async def send(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes | None
    ) -> RawResponse:
        response = await self.server.handle(self._request(method, path, query, headers, body))
        data = response.body if response.body is not None else await _joined(response)
        return RawResponse(response.status, response.headers, data)

    async def stream(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        response = await self.server.handle(self._request(method, path, query, headers, None))
        if response.status != 200:
            raise error_of(response.status, response.body or b"")
        if response.stream is None:
            yield response.body or b""
            return
        async with aclosing(response.stream) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """Nothing is open."""


async def _joined(response: Response) -> bytes:
    return b"".join([chunk async for chunk in response.stream]) if response.stream is not None else b""


class KubeconfigError(ValueError):
    """The kubeconfig lacks what is needed, or cannot be read."""


class HttpTransport:
    """A cluster reached by a kubeconfig context with a token or a client certificate."""

    def __init__(self, client: httpx2.AsyncClient, server: str) -> None:
        self.client = client
        self.url = server

    @classmethod
    def from_kubeconfig(cls, path: Path | str, context: str | None = None) -> HttpTransport:
        """Raises KubeconfigError."""
        import httpx2

        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise KubeconfigError(f"{path}: {error}") from error
        name = context or document.get("current-context") or ""
        chosen = _named(document, "contexts", name, "context", path)
        cluster = _named(document, "clusters", chosen.get("cluster", ""), "cluster", path)
        user = _named(document, "users", chosen["user"], "user", path) if chosen.get("user") else {}
        base = Path(path).parent
        headers: dict[str, str] = {}
        token = user.get("token")
        if not token and user.get("tokenFile"):
            token = (base / user["tokenFile"]).read_text(encoding="utf-8").strip()
        if token:
            headers["authorization"] = f"Bearer {token}"
        client = httpx2.AsyncClient(
            base_url=cluster["server"],
            headers=headers,
            verify=_tls(cluster, user, base),
            timeout=httpx2.Timeout(30.0, read=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            trust_env=False,
        )
        return cls(client, cluster["server"])

    async def send(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes | None
    ) -> RawResponse:
        import httpx2

        try:
            response = await self.client.request(
                method, path, params=list(query), headers=dict(headers), content=body, timeout=60.0
            )
        except httpx2.TransportError as error:
            raise ConnectionError(str(error)) from error
        return RawResponse(response.status_code, response.headers, response.content)

    async def stream(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        import httpx2

        try:
            async with self.client.stream(method, path, params=list(query), headers=dict(headers)) as response:
                if response.status_code != 200:
                    raise error_of(response.status_code, await response.aread())
                async for chunk in response.aiter_raw():
                    yield chunk
        except httpx2.TransportError as error:
            raise ConnectionError(str(error)) from error

    async def close(self) -> None:
        await self.client.aclose()


def _named(document: dict[str, Any], section: str, name: str, key: str, path: Path | str) -> dict[str, Any]:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            found: dict[str, Any] = entry.get(key) or {}
            return found
    raise KubeconfigError(f"{path}: no {key} named {name!r}")


def _tls(cluster: dict[str, Any], user: dict[str, Any], base: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if cluster.get("certificate-authority-data"):
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif cluster.get("certificate-authority"):
        context = ssl.create_default_context(cafile=str(base / cluster["certificate-authority"]))
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if user.get("client-certificate") and user.get("client-key"):
        context.load_cert_chain(str(base / user["client-certificate"]), str(base / user["client-key"]))
    elif user.get("client-certificate-data") and user.get("client-key-data"):
        _load_inline(context, user["client-certificate-data"], user["client-key-data"])
    return context


def _load_inline(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """The ssl module reads certificates from files only: a private one lives for a moment."""
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="backout-", suffix=".pem") as file:
        file.write(base64.b64decode(certificate) + b"\n" + base64.b64decode(key))
        file.flush()
        context.load_cert_chain(file.name)
