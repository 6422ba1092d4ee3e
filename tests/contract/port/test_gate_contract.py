# SPDX-License-Identifier: Apache-2.0
"""The gate for another program, against a whole API server: what passes, what is asked first, and what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from cluster_harness import Cluster as Harness

from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.port import CONFIGMAPS, Fence, GatedRequest, Instead, OpenGate
from backout.errors import LeaseLost

Work = Callable[[KubernetesCluster, OpenGate, httpx2.AsyncClient], Awaitable[None]]


async def anything(_: GatedRequest) -> None:
    return


def run(harness: Harness, work: Work, fence: Fence = anything, instead: Instead = ()) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(120),
            connect(str(harness.kubeconfig), harness.context or "") as cluster,
            cluster.gate(fence, instead) as gate,
            through(gate) as client,
        ):
            await work(cluster, gate, client)

    asyncio.run(main())


def entry(gate: OpenGate) -> dict[str, str]:
    found: dict[str, str] = json.loads(Path(gate.kubeconfig).read_text())["clusters"][0]["cluster"]
    return found


@asynccontextmanager
async def through(gate: OpenGate) -> AsyncIterator[httpx2.AsyncClient]:
    """A client as the kubeconfig of the gate makes one."""
    cluster = entry(gate)
    async with httpx2.AsyncClient(proxy=cluster["proxy-url"], base_url=cluster["server"], trust_env=False) as client:
        yield client


def config(ns: str, name: str = "one") -> tuple[str, dict[str, Any]]:
    return f"/api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": name}, "data": {"a": "1"}}


def test_reads_and_dry_runs_pass_and_writes_are_asked_first(cluster: Harness, ns: str) -> None:
    asked: list[tuple[str, str]] = []

    async def fence(request: GatedRequest) -> None:
        asked.append((request.method, request.path))
        assert b"data" in request.body

    async def work(port: KubernetesCluster, gate: OpenGate, client: httpx2.AsyncClient) -> None:
        path, obj = config(ns)
        assert (await client.get("/version")).json()["major"]
        assert (await client.post(path, json=obj, params={"dryRun": "All"})).status_code == 201
        assert not asked and not gate.wrote
        made = await client.post(path, json=obj, headers={"User-Agent": "helm/4"})
        assert made.status_code == 201 and gate.wrote
        assert asked == [("POST", path)]
        # The API server takes the name of the writer from what the program calls itself.
        assert {entry["manager"] for entry in made.json()["metadata"]["managedFields"]} == {"helm"}
        assert (await client.post(path, json=obj)).status_code == 409
        many = await client.get(path, params={"labelSelector": "a in (b,c)", "limit": "1"})
        assert many.status_code == 200 and many.json()["items"] == []
        assert (await client.head("/version")).content == b""

    run(cluster, work, fence)


def test_one_object_is_shown_as_it_is_to_be_read_and_nothing_else_changes(cluster: Harness, ns: str) -> None:
    path, obj = config(ns)
    shown = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": ns}, "data": {"a": "2"}}

    async def work(port: KubernetesCluster, gate: OpenGate, client: httpx2.AsyncClient) -> None:
        assert (await client.post(path, json=obj)).status_code == 201
        assert (await client.get(f"{path}/one")).json() == shown
        # on the same connection, what was not to be shown otherwise is as the cluster has it
        assert [
            item["data"] for item in (await client.get(path)).json()["items"] if item["metadata"]["name"] == "one"
        ] == [{"a": "1"}]
        assert (
            await client.patch(
                f"{path}/one", json={"data": {"b": "1"}}, headers={"Content-Type": "application/merge-patch+json"}
            )
        ).json()["data"] == {"a": "1", "b": "1"}
        assert (await port.get(CONFIGMAPS, "one", ns))["data"] == {"a": "1", "b": "1"}

    run(cluster, work, instead=((CONFIGMAPS, shown),))


def test_a_refused_write_shuts_the_gate_for_good(cluster: Harness, ns: str) -> None:
    async def fence(request: GatedRequest) -> None:
        raise LeaseLost("The lock is lost.")

    async def work(port: KubernetesCluster, gate: OpenGate, client: httpx2.AsyncClient) -> None:
        path, obj = config(ns)
        refused = await client.post(path, json=obj)
        assert refused.status_code == 403 and "The lock is lost." in refused.json()["message"]
        assert gate.shut.is_set() and isinstance(gate.refusal, LeaseLost) and not gate.wrote
        assert (await client.get("/version")).status_code == 403
        assert await port.list_all(CONFIGMAPS, ns, fields="metadata.name=one") == []

    run(cluster, work, fence)


def test_what_is_watched_comes_as_it_happens(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster, gate: OpenGate, client: httpx2.AsyncClient) -> None:
        path, obj = config(ns, "seen")
        version = (await client.get(path)).json()["metadata"]["resourceVersion"]
        params = {"watch": "true", "resourceVersion": version}
        async with client.stream("GET", path, params=params) as answer:
            await client.post(path, json=obj)
            async for line in answer.aiter_lines():
                assert json.loads(line)["object"]["metadata"]["name"] == "seen"
                break

    run(cluster, work)


def test_only_who_has_the_word_gets_in_and_nothing_else_than_requests_to_the_api(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster, gate: OpenGate, client: httpx2.AsyncClient) -> None:
        proxy = urlsplit(entry(gate)["proxy-url"])
        for word in ("", "backout:", "backout:guessed"):
            url = f"http://{word}@{proxy.hostname}:{proxy.port}" if word else f"http://{proxy.hostname}:{proxy.port}"
            async with httpx2.AsyncClient(proxy=url, trust_env=False) as stranger:
                assert (await stranger.get(f"{entry(gate)['server']}/version")).status_code == 407
        upgrade = await client.get("/version", headers={"Upgrade": "SPDY/3.1", "Connection": "Upgrade"})
        assert upgrade.status_code == 405
        for rubbish in (b"\0\1\2\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"x" * 200_000):
            reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port)
            writer.write(rubbish)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        assert (await client.get("/version")).status_code == 200

    run(cluster, work)


def test_the_file_is_for_its_owner_and_holds_no_credentials_and_nothing_is_left(
    cluster: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    kept: list[tuple[str, int]] = []

    async def work(port: KubernetesCluster, gate: OpenGate, client: httpx2.AsyncClient) -> None:
        assert stat.S_IMODE(os.stat(gate.kubeconfig).st_mode) == 0o600
        text = Path(gate.kubeconfig).read_text()
        original = cluster.kubeconfig.read_text()
        assert not any(word in original for word in text.replace('"', " ").split() if len(word) > 40)
        assert "users" not in json.loads(text)
        kept.append((gate.kubeconfig, urlsplit(entry(gate)["proxy-url"]).port or 0))
        # A request that never gets its answer does not hold up the end.
        _, writer = await asyncio.open_connection("127.0.0.1", kept[0][1])
        writer.write(b"GET http://x/ HTTP/1.1\r\n")
        await writer.drain()

    run(cluster, work)
    path, port = kept[0]
    assert not Path(path).exists() and list(tmp_path.iterdir()) == []

    async def knock() -> None:
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(knock())
