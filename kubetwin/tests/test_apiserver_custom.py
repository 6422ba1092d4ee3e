# SPDX-License-Identifier: Apache-2.0
"""CustomResourceDefinitions, and the server over the network with its faults."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx2
import pytest
from apiserver_client import CORE, Server, config_map

from kubetwin.apiserver.faults import Fault, Faults, on
from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"


def definition() -> dict[str, Any]:
    size = {"type": "integer", "minimum": 1, "default": 3}
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": size, "replicas": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        },
    }
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
    }
    old = {"name": "v1beta1", "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version, old],
        },
    }


def widget(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def test_a_definition_is_established_served_and_discovered() -> None:
    async def main() -> None:
        server = Server()
        assert (await server.raw("GET", WIDGETS)).status == 404
        await server.create(CRDS, definition())
        conditions = {
            c["type"]: c["status"] for c in (await server.get(f"{CRDS}/widgets.example.com"))["status"]["conditions"]
        }
        assert conditions == {"NamesAccepted": "True", "Established": "True"}
        made = await server.create(WIDGETS, widget("a", nosuch=1))
        assert made["spec"] == {"size": 3} and made["metadata"]["generation"] == 1
        status, refused = await server.ask("POST", WIDGETS, widget("b", size=0))
        assert status == 422 and "spec.size in body should be greater than or equal to 1" in refused["message"]
        names = [r["name"] for r in (await server.get("/apis/example.com/v1"))["resources"]]
        assert names == ["widgets", "widgets/status", "widgets/scale"]
        older = await server.get("/apis/example.com/v1beta1/namespaces/default/widgets")
        assert older["items"][0]["apiVersion"] == "example.com/v1beta1"

    asyncio.run(main())


def test_custom_status_and_scale() -> None:
    async def main() -> None:
        server = Server()
        await server.create(CRDS, definition())
        await server.create(WIDGETS, widget("a"))
        merge = {"content_type": "application/merge-patch+json"}
        _, changed = await server.ask(
            "PATCH", f"{WIDGETS}/a/status", {"spec": {"size": 9}, "status": {"replicas": 2}}, **merge
        )
        assert changed["spec"] == {"size": 3} and changed["status"] == {"replicas": 2}
        status, _ = await server.ask("GET", f"{WIDGETS}/a/scale")
        assert status == 500  # as the real server, while the object names no replicas
        _, scale = await server.ask("PATCH", f"{WIDGETS}/a/scale", {"spec": {"replicas": 4}}, **merge)
        assert scale["spec"] == {"replicas": 4} and scale["status"] == {"replicas": 2}
        assert (await server.get(f"{WIDGETS}/a"))["metadata"]["generation"] == 2

    asyncio.run(main())


def test_deleting_the_definition_deletes_its_objects_first() -> None:
    async def main() -> None:
        server = Server()
        await server.create(CRDS, definition())
        held = widget("held")
        held["metadata"]["finalizers"] = ["example.com/hold"]
        await server.create(WIDGETS, held)
        await server.create(WIDGETS, widget("free"))
        assert (await server.ask("DELETE", f"{CRDS}/widgets.example.com"))[0] == 200
        left = (await server.get(WIDGETS))["items"]
        assert [item["metadata"]["name"] for item in left] == ["held"] and "deletionTimestamp" in left[0]["metadata"]
        merge = {"content_type": "application/merge-patch+json"}
        await server.ask("PATCH", f"{WIDGETS}/held", {"metadata": {"finalizers": None}}, **merge)
        assert (await server.ask("GET", f"{CRDS}/widgets.example.com"))[0] == 404
        assert (await server.raw("GET", WIDGETS)).status == 404

    asyncio.run(main())


def test_names_are_accepted_once() -> None:
    async def main() -> None:
        server = Server()
        await server.create(CRDS, definition())
        second = definition()
        second["metadata"]["name"] = "gadgets.example.com"
        second["spec"]["names"] = {"plural": "gadgets", "singular": "gadget", "kind": "Widget"}
        await server.create(CRDS, second)
        conditions = {c["type"]: c for c in (await server.get(f"{CRDS}/gadgets.example.com"))["status"]["conditions"]}
        assert conditions["NamesAccepted"]["reason"] == "KindConflict"
        assert conditions["Established"]["status"] == "False"

    asyncio.run(main())


async def _served(faults: Faults) -> tuple[ApiServer, httpx2.AsyncClient]:
    api = ApiServer(Settings(), faults=faults)
    url = await api.start()
    context = ssl.create_default_context(cadata=api.cluster.identity.ca.decode())
    headers = {"Authorization": f"Bearer {api.cluster.settings.admin_token}"}
    return api, httpx2.AsyncClient(base_url=url, verify=context, headers=headers, timeout=600)


def test_https_with_its_own_authority_and_faults() -> None:
    async def main() -> None:
        faults = Faults()
        api, client = await _served(faults)
        try:
            assert (await client.get("/version")).json()["major"] == "1"
            faults.add(Fault(on("GET"), code=429, retry_after=7))
            refused = await client.get(f"{CORE}/configmaps")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
            faults.add(Fault(on("POST"), cut="before"))
            with pytest.raises(httpx2.TransportError):
                await client.post(f"{CORE}/configmaps", json=config_map("lost"))
            assert (await client.get(f"{CORE}/configmaps/lost")).status_code == 404
            faults.add(Fault(on("POST"), cut="after"))
            with pytest.raises(httpx2.TransportError):
                await client.post(f"{CORE}/configmaps", json=config_map("done"))
            assert (await client.get(f"{CORE}/configmaps/done")).status_code == 200
            faults.add(Fault(on("GET"), cut="middle"))
            with pytest.raises(httpx2.TransportError):
                await client.get(f"{CORE}/configmaps")
            faults.add(Fault(html=True))
            assert (await client.get(f"{CORE}/configmaps")).headers["content-type"] == "text/html"
            big = config_map("big", x="x" * (3 * 1024 * 1024))
            assert (await client.post(f"{CORE}/configmaps", json=big)).status_code == 413
        finally:
            await client.aclose()
            await api.stop()

    asyncio.run(main())


def test_watches_stream_fall_silent_and_come_back() -> None:
    async def main() -> None:
        faults = Faults()
        api, client = await _served(faults)
        try:
            async with client.stream("GET", f"{CORE}/configmaps?watch=1") as response:
                assert response.status_code == 200
                lines = response.aiter_lines()
                await client.post(f"{CORE}/configmaps", json=config_map("a"))
                assert '"name":"a"' in await asyncio.wait_for(anext(lines), 240)
                faults.freeze_watches(on(path_contains="configmaps"))
                await client.post(f"{CORE}/configmaps", json=config_map("b"))
                waiting = asyncio.ensure_future(anext(lines))
                done, _ = await asyncio.wait([waiting], timeout=0.3)
                assert not done
                faults.release_watches()
                assert '"name":"b"' in await asyncio.wait_for(waiting, 240)
        finally:
            await client.aclose()
            await api.stop()

    asyncio.run(main())
