# SPDX-License-Identifier: Apache-2.0
"""What controllers, kubelet and lab speak: a small asynchronous Kubernetes client over plain dictionaries.

The same code talks to a twin in this process (:class:`LocalTransport`) and to any cluster over HTTPS
(:class:`HttpTransport`). Objects are ``dict`` as decoded from JSON and must be treated as immutable once read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from kubetwin.decoding import UNREADABLE

Obj = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as the API names it; ``group`` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name:
            parts.append(name)
            if subresource:
                parts.append(subresource)
        return "/".join(parts)


class ApiException(Exception):
    """An answer other than 2xx. ``reason`` and ``message`` are those of the server's Status object."""

    def __init__(self, code: int, reason: str, message: str, details: Obj | None = None) -> None:
        super().__init__(message or reason or str(code))
        self.code = code
        self.reason = reason
        self.message = message
        self.details: Obj = details or {}

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def conflict(self) -> bool:
        return self.code == 409 and self.reason == "Conflict"

    @property
    def already_exists(self) -> bool:
        return self.code == 409 and self.reason == "AlreadyExists"

    @property
    def expired(self) -> bool:
        return self.code == 410

    @property
    def namespace_terminating(self) -> bool:
        return any(c.get("reason") == "NamespaceTerminating" for c in self.details.get("causes") or ())

    @classmethod
    def from_status(cls, status: Obj, code: int = 0) -> ApiException:
        return cls(
            int(status.get("code") or code or 500),
            str(status.get("reason") or ""),
            str(status.get("message") or ""),
            status.get("details"),
        )


@dataclass(frozen=True, slots=True)
class RawResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes


Query = Sequence[tuple[str, str]]


class Transport(Protocol):
    """Moves one request; raises ``OSError`` when the server cannot be reached."""

    async def send(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes | None
    ) -> RawResponse: ...

    def stream(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Chunks of a streaming answer. Raises :class:`ApiException` when the answer is not 200."""
        ...

    async def close(self) -> None: ...


def error_of(status: int, body: bytes) -> ApiException:
    try:
        doc = _decode(body)
    except UNREADABLE:
        doc = None
    if isinstance(doc, dict) and doc.get("kind") == "Status":
        return ApiException.from_status(doc, status)
    return ApiException(status, "", body[:400].decode("utf-8", "replace"))


class Api:
    """Typed verbs over a transport. ``user_agent`` decides the field manager the server records."""

    def __init__(self, transport: Transport, *, user_agent: str = "twin") -> None:
        self.transport = transport
        self.user_agent = user_agent

    def as_component(self, user_agent: str) -> Api:
        """The same connection under another client name."""
        return Api(self.transport, user_agent=user_agent)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Obj:
        headers = {"accept": accept, "user-agent": self.user_agent}
        data: bytes | None = None
        if body is not None:
            data = _encode(body)
            headers["content-type"] = content_type
        response = await self.transport.send(method, path, query, headers, data)
        if response.status >= 300:
            raise error_of(response.status, response.body)
        result: Obj = _decode(response.body) if response.body else {}
        return result

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Obj:
        return await self.request("GET", resource.path(namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        accept: str = "application/json",
        page: int = 0,
        resource_version: str = "",
    ) -> Obj:
        """The whole list; ``page`` > 0 reads it in pages of that size (one consistent resourceVersion)."""
        query: list[tuple[str, str]] = []
        if label_selector:
            query.append(("labelSelector", label_selector))
        if field_selector:
            query.append(("fieldSelector", field_selector))
        if resource_version:
            query.append(("resourceVersion", resource_version))
        if page:
            query.append(("limit", str(page)))
        path = resource.path(namespace)
        result = await self.request("GET", path, query=query, accept=accept)
        items: list[Obj] = result.get("items") or []
        token = (result.get("metadata") or {}).get("continue")
        base = [q for q in query if q[0] != "resourceVersion"]
        while token:
            more = await self.request("GET", path, query=[*base, ("continue", token)], accept=accept)
            items.extend(more.get("items") or [])
            token = (more.get("metadata") or {}).get("continue")
        result["items"] = items
        return result

    async def create(
        self,
        resource: Resource,
        obj: Obj,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Obj:
        namespace = namespace or (obj.get("metadata") or {}).get("namespace")
        return await self.request("POST", resource.path(namespace, name, subresource), body=obj)

    async def replace(self, resource: Resource, obj: Obj, *, subresource: str | None = None) -> Obj:
        meta = obj["metadata"]
        return await self.request("PUT", resource.path(meta.get("namespace"), meta["name"], subresource), body=obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        content_type: str = MERGE_PATCH,
        subresource: str | None = None,
    ) -> Obj:
        return await self.request(
            "PATCH", resource.path(namespace, name, subresource), body=patch, content_type=content_type
        )

    async def apply(self, resource: Resource, obj: Obj, *, field_manager: str, force: bool = False) -> Obj:
        """Server-side apply (JSON is YAML)."""
        meta = obj["metadata"]
        return await self.request(
            "PATCH",
            resource.path(meta.get("namespace"), meta["name"]),
            query=[("fieldManager", field_manager), ("force", "true" if force else "false")],
            body=obj,
            content_type=APPLY_PATCH,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: str | None = None,
    ) -> Obj:
        options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}
        if preconditions:
            options["preconditions"] = preconditions
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        return await self.request("DELETE", resource.path(namespace, name), body=options)

    async def delete_collection(self, resource: Resource, namespace: str | None = None) -> Obj:
        return await self.request(
            "DELETE", resource.path(namespace), body={"kind": "DeleteOptions", "apiVersion": "v1"}
        )

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
        accept: str = "application/json",
    ) -> AsyncIterator[tuple[str, Obj]]:
        """Events ``(type, object)`` until the server ends the stream; an ERROR event is raised as ApiException."""
        query = [("watch", "true"), ("allowWatchBookmarks", "true")]
        if resource_version:
            query.append(("resourceVersion", resource_version))
        if label_selector:
            query.append(("labelSelector", label_selector))
        if field_selector:
            query.append(("fieldSelector", field_selector))
        if timeout_seconds:
            query.append(("timeoutSeconds", str(timeout_seconds)))
        headers = {"accept": accept, "user-agent": self.user_agent}
        stream = self.transport.stream("GET", resource.path(namespace), query, headers)
        async with aclosing(stream) as chunks:  # type: ignore[type-var]
            async for line in _lines(chunks):
                event = _decode(line)
                if event["type"] == "ERROR":
                    raise ApiException.from_status(event["object"])
                yield event["type"], event["object"]

    async def close(self) -> None:
        await self.transport.close()


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        data = rest + chunk if rest else chunk
        *whole, rest = data.split(b"\n")
        for line in whole:
            if line:
                yield line


def retry_delay(attempt: int, *, initial: float = 0.2, maximum: float = 15.0) -> float:
    """Seconds before try number ``attempt`` (from 0): exponential, capped."""
    return min(maximum, initial * (2.0 ** min(attempt, 16)))
