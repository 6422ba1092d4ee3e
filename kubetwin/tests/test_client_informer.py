# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from twin_cluster import NS, cluster, container, pod

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import Api, ApiException, Obj, RawResponse
from kubetwin.controlplane import ControlPlane, RunSettings
from kubetwin.informer import Informer
from kubetwin.kinds import CONFIGMAPS, PODS
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.transport import HttpTransport, KubeconfigError, LocalTransport
from kubetwin.workqueue import WorkQueue


def configmap(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NS}, "data": data}


class Flaky(LocalTransport):
    """Refuses, expires and cuts watches before it behaves."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server)
        self.troubles: list[BaseException] = []
        self.lists = 0

    async def send(self, method: str, path: str, query: Any, headers: Any, body: Any) -> RawResponse:
        if method == "GET":
            self.lists += 1
        return await super().send(method, path, query, headers, body)

    async def stream(self, method: str, path: str, query: Any, headers: Any) -> AsyncIterator[bytes]:
        if self.troubles:
            raise self.troubles.pop(0)
        async for chunk in super().stream(method, path, query, headers):
            yield chunk


def test_informer_survives_gone_and_broken_watches() -> None:
    async def main() -> None:
        transport = Flaky(ApiServer())
        api = Api(transport)
        await api.create(CONFIGMAPS, configmap("a"))
        await api.create(CONFIGMAPS, configmap("b"))
        transport.troubles = [ApiException(410, "Expired", "too old"), ConnectionError("cut"), EOFError()]
        informer = Informer(api, CONFIGMAPS)
        seen: list[tuple[str, str]] = []

        def note(old: Obj | None, new: Obj | None) -> None:
            kind = "deleted" if new is None else "changed" if old is not None else "added"
            seen.append((kind, (new or old or {})["metadata"]["name"]))

        informer.add_handler(note)
        task = asyncio.create_task(informer.run())
        try:
            async with asyncio.timeout(600):
                await informer.synced.wait()
                await api.delete(CONFIGMAPS, "a", NS)
                await informer.wait_for(lambda: informer.get("a", NS) is None and transport.lists >= 4)
                # What this process wrote is there before the watch tells, and told once.
                answer = await api.patch(CONFIGMAPS, "b", {"data": {"k": "v"}}, NS)
                informer.observe(answer)
                assert (informer.get("b", NS) or {})["data"] == {"k": "v"}
                await api.create(CONFIGMAPS, configmap("c"))
                await informer.wait_for(lambda: informer.get("c", NS) is not None)
            mine = [s for s in seen if s[1] in ("a", "b", "c")]
            assert mine == [("added", "a"), ("added", "b"), ("deleted", "a"), ("changed", "b"), ("added", "c")]
            # A late answer about a deleted object does not bring it back.
            gone = {"metadata": {"name": "a", "namespace": NS, "uid": "x", "resourceVersion": "1"}}
            informer.observe_deleted(gone)
            informer.observe(gone)
            assert informer.get("a", NS) is None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_indexes_follow_changes() -> None:
    informer = Informer(Api(LocalTransport(ApiServer())), CONFIGMAPS)
    informer.add_index("kind", lambda o: [o["data"]["kind"]])

    def put(name: str, kind: str, version: int) -> None:
        meta = {"name": name, "namespace": NS, "uid": name, "resourceVersion": str(version)}
        informer.observe({"metadata": meta, "data": {"kind": kind}})

    put("a", "x", 1)
    put("b", "x", 2)
    put("a", "y", 3)
    put("b", "z", 1)
    assert [o["metadata"]["name"] for o in informer.by_index("kind", "x")] == ["b"]
    assert informer.index_size("kind", "y") == 1
    assert informer.by_index("kind", "z") == []


def test_work_queue_is_fair_and_never_works_twice_at_once() -> None:
    async def main() -> None:
        queue = WorkQueue(retry_initial=0.001)
        queue.add("a")
        queue.add("a")
        queue.add("b")
        assert len(queue) == 2
        first = await queue.get()
        queue.add("a")
        assert (first, await queue.get()) == ("a", "b")
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.done("a")
        assert await asyncio.wait_for(waiting, 10) == "a"
        queue.done("a")
        queue.add_after("later", 60)
        queue.add_after("later", 0.01)
        queue.add_rate_limited("again")
        got = {await asyncio.wait_for(queue.get(), 10), await asyncio.wait_for(queue.get(), 10)}
        assert got == {"later", "again"}
        queue.close()
        queue.add("c")
        assert len(queue) == 0

    asyncio.run(main())


def test_client_over_https(tmp_path: Any) -> None:
    async def main() -> None:
        from kubetwin.kubeconfig import kubeconfig

        server = ApiServer()
        await server.start()
        path = tmp_path / "config"
        path.write_text(kubeconfig([server.access]))
        transport = HttpTransport.from_kubeconfig(path)
        api = Api(transport, user_agent="test")
        try:
            made = await api.create(CONFIGMAPS, configmap("a", k="v"))
            assert made["data"] == {"k": "v"}
            with pytest.raises(ApiException) as error:
                await api.create(CONFIGMAPS, configmap("a"))
            assert error.value.already_exists
            with pytest.raises(ApiException) as error:
                await api.get(CONFIGMAPS, "none", NS)
            assert error.value.not_found
            async with asyncio.timeout(600):
                async for kind, obj in api.watch(CONFIGMAPS, NS):
                    if obj["metadata"]["name"] == "a":
                        assert kind == "ADDED"
                        break
        finally:
            await api.close()
            await server.stop()
        with pytest.raises(KubeconfigError):
            HttpTransport.from_kubeconfig(path, "other")
        with pytest.raises(KubeconfigError):
            HttpTransport.from_kubeconfig(tmp_path / "missing")

    asyncio.run(main())


def test_kubelet_goes_on_after_a_restart() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("good", container("registry.example/app:1.0.0")))
            await c.api.create(PODS, pod("bad", container("registry.example/app:1.0.0-crash")))

            def state(plane: ControlPlane, name: str) -> Obj:
                found = plane.informers.of(PODS).get(name, NS) or {}
                return dict(((found.get("status") or {}).get("containerStatuses") or [{}])[0])

            await c.until(
                PODS, lambda: state(c.plane, "good").get("ready") and state(c.plane, "bad").get("restartCount", 0) > 1
            )
            before = c.get(PODS, "good") or {}
            restarts = state(c.plane, "bad")["restartCount"]
            server = c.server
        settings = RunSettings(kubelet=KubeletSettings.instant())
        api = Api(LocalTransport(server))
        plane = ControlPlane(api, settings, server=server)
        task = asyncio.create_task(plane.run())
        try:
            async with asyncio.timeout(600):
                await plane.ready.wait()
                pods = plane.informers.of(PODS)
                await pods.wait_for(lambda: state(plane, "bad")["restartCount"] > restarts)
                await api.create(PODS, pod("new", container("registry.example/app:1.0.0")))
                await pods.wait_for(lambda: state(plane, "new").get("ready"))
            after = pods.get("good", NS) or {}
            assert state(plane, "good")["restartCount"] == 0
            assert after["status"]["podIP"] == before["status"]["podIP"]
            addresses = [p["status"]["podIP"] for p in pods.all()]
            assert len(set(addresses)) == len(addresses)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
