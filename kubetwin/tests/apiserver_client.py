# SPDX-License-Identifier: Apache-2.0
"""A bare API server in the process and short ways to ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.serving.http import Request, Response, User

ADMIN = User("admin", ("system:masters", "system:authenticated"))
CORE = "/api/v1/namespaces/default"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class Server:
    """``ask`` returns (status, decoded body)."""

    def __init__(self, server: ApiServer | None = None) -> None:
        self.api = server or ApiServer(Settings(history_limit=64, bookmark_interval=3600))

    async def raw(
        self, method: str, path: str, body: Any = None, *, user: User | None = ADMIN, **headers: str
    ) -> Response:
        path, _, query = path.partition("?")
        parameters: dict[str, list[str]] = {}
        for part in filter(None, query.split("&")):
            key, _, value = part.partition("=")
            parameters.setdefault(key, []).append(value)
        data = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        named = {"user-agent": "test/1", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await self.api.handle(Request(method, path, parameters, named, data, user))

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        response = await self.raw(method, path, body, **options)
        return response.status, msgspec.json.decode(response.body or b"null")

    async def create(self, path: str, body: Any, **options: Any) -> Any:
        status, answer = await self.ask("POST", path, body, **options)
        assert status == 201, answer
        return answer

    async def get(self, path: str, **options: Any) -> Any:
        status, answer = await self.ask("GET", path, **options)
        assert status == 200, answer
        return answer

    async def patch(self, path: str, body: Any, kind: str = MERGE, **options: Any) -> tuple[int, Any]:
        return await self.ask("PATCH", path, body, content_type=kind, **options)

    async def account(self, namespace: str = "default") -> None:
        """The default service account, which a controller makes on a whole cluster."""
        await self.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})

    async def watch(self, path: str, **options: Any) -> Events:
        response = await self.raw("GET", path, **options)
        assert response.stream is not None, response.body
        return Events(response.stream)


class Events:
    """The events of a watch, one by one."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._waiting: list[dict[str, Any]] = []

    async def next(self) -> tuple[str, dict[str, Any]]:
        while not self._waiting:
            chunk = await asyncio.wait_for(anext(self._stream), 240)
            self._waiting = [msgspec.json.decode(line) for line in chunk.splitlines()]
        event = self._waiting.pop(0)
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        found = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"].get("name", "")) for kind, obj in found]

    async def ended(self) -> bool:
        try:
            chunk = await asyncio.wait_for(anext(self._stream), 240)
        except StopAsyncIteration:
            return True
        raise AssertionError(chunk)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "registry.example/app:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
