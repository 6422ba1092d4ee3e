# SPDX-License-Identifier: Apache-2.0
"""A whole embedded cluster in the test's own process, with fast settings."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import Api, Obj, Resource
from kubetwin.controlplane import ControlPlane, RunSettings
from kubetwin.kinds import EVENTS, PODS
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.transport import LocalTransport

PATIENCE = 240.0
NS = "default"


class Cluster:
    def __init__(self, server: ApiServer, api: Api, plane: ControlPlane) -> None:
        self.server = server
        self.api = api
        self.plane = plane

    async def until(self, resource: Resource, condition: Callable[[], Any], what: str = "") -> None:
        """Wait on the watch of ``resource`` until the condition holds."""
        informer = self.plane.informers.of(resource)
        await informer.synced.wait()
        try:
            await asyncio.wait_for(informer.wait_for(lambda: bool(condition())), PATIENCE)
        except TimeoutError:
            raise AssertionError(f"not reached: {what or condition}; {resource.plural}: {informer.all()}") from None

    def get(self, resource: Resource, name: str, namespace: str | None = NS) -> Obj | None:
        return self.plane.informers.of(resource).get(name, namespace if resource.namespaced else None)

    def pods(self, **labels: str) -> list[Obj]:
        found = self.plane.informers.of(PODS).all()
        return sorted(
            (p for p in found if all((p["metadata"].get("labels") or {}).get(k) == v for k, v in labels.items())),
            key=lambda p: p["metadata"]["name"],
        )

    async def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of an object's events, once all recorded ones are written."""
        for recorder in (*self.plane.ctx.recorders, *(n.recorder for n in self.plane.kubelet.nodes.values())):
            await asyncio.wait_for(recorder.flushed(), PATIENCE)
        found = (await self.api.list(EVENTS, NS))["items"]
        return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]

    async def event(self, name: str, reason: str, message: str) -> None:
        """Wait until the event is there."""
        async with asyncio.timeout(PATIENCE):
            listed = await self.api.list(EVENTS, NS)
            seen = listed["items"]
            if any(_is(e, name, reason, message) for e in seen):
                return
            version = listed["metadata"]["resourceVersion"]
            async for _, event in self.api.watch(EVENTS, NS, resource_version=version):
                if _is(event, name, reason, message):
                    return


def _is(event: Obj, name: str, reason: str, message: str) -> bool:
    about = event.get("involvedObject") or {}
    return about.get("name") == name and event.get("reason") == reason and message in event.get("message", "")


@asynccontextmanager
async def control_plane(settings: RunSettings) -> AsyncIterator[tuple[ApiServer, Api, ControlPlane]]:
    """One that is ready, with its API server in memory; ended in the end."""
    server = ApiServer()
    api = Api(LocalTransport(server), user_agent="test")
    plane = ControlPlane(api, settings, server=server)
    task = asyncio.create_task(plane.run())
    waiting = asyncio.create_task(plane.ready.wait())
    try:
        await asyncio.wait([task, waiting], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert plane.ready.is_set(), "the control plane did not start"
        yield server, api, plane
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


@asynccontextmanager
async def cluster(nodes: int = 2, *, ingress: bool = False, **changes: Any) -> AsyncIterator[Cluster]:
    """``changes`` are fields of KubeletSettings."""
    kubelet = dataclasses.replace(KubeletSettings.instant(), **changes)
    async with control_plane(RunSettings(nodes=nodes, kubelet=kubelet, ingress=ingress)) as parts:
        yield Cluster(*parts)


def container(image: str = "registry.example/app:1.0.0", **more: Any) -> Obj:
    return {"name": "app", "image": image, **more}


def pod_template(name: str, *containers: Obj, **spec: Any) -> Obj:
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": list(containers), **spec}}


def workload(kind: str, name: str, *containers: Obj, replicas: int | None = 3, pod: Any = None, **spec: Any) -> Obj:
    body: Obj = {"selector": {"matchLabels": {"app": name}}, "template": pod_template(name, *containers, **(pod or {}))}
    if replicas is not None:
        body["replicas"] = replicas
    if kind == "StatefulSet":
        body["serviceName"] = name
    body.update(spec)
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NS}, "spec": body}


def pod(name: str, *containers: Obj, **spec: Any) -> Obj:
    template = pod_template(name, *containers, **spec)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NS, **template["metadata"]},
        "spec": template["spec"],
    }


def image_patch(image: str) -> list[Obj]:
    return [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
