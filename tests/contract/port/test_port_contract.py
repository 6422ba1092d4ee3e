# SPDX-License-Identifier: Apache-2.0
"""The cluster port against a whole API server: the same answers from the twin and from a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cluster_harness import Cluster as Harness

from backout import errors
from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.lease import lease_name
from backout.cluster.port import CONFIGMAPS, LEASES, NAMESPACES, PODS, WatchEvent, find
from backout.model.part import Access
from backout.model.target import ObjectRef

Work = Callable[[KubernetesCluster], Awaitable[None]]


def config(name: str, ns: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": ns}, "data": data}


@asynccontextmanager
async def connected(harness: Harness) -> AsyncIterator[KubernetesCluster]:
    async with connect(str(harness.kubeconfig), harness.context or "") as cluster:
        yield cluster


def run(harness: Harness, work: Work) -> None:
    async def main() -> None:
        async with asyncio.timeout(600), connected(harness) as cluster:
            await work(cluster)

    asyncio.run(main())


def test_an_object_is_created_read_replaced_patched_and_deleted(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        made = await port.create(config("one", ns, a="1"))
        assert made["metadata"]["uid"]
        with pytest.raises(errors.AlreadyExists):
            await port.create(config("one", ns))
        assert await port.get(CONFIGMAPS, "one", ns) == made
        changed = await port.replace({**made, "data": {"b": "2"}})
        assert changed["data"] == {"b": "2"}
        with pytest.raises(errors.Conflict):
            await port.replace({**made, "data": {"c": "3"}})
        merged = await port.patch(CONFIGMAPS, "one", {"data": {"b": None, "d": "4"}}, ns)
        assert merged["data"] == {"d": "4"}
        test = [{"op": "test", "path": "/metadata/uid", "value": "another"}, {"op": "remove", "path": "/data"}]
        with pytest.raises(errors.Invalid):
            await port.patch(CONFIGMAPS, "one", test, ns, type="json")
        with pytest.raises(errors.Conflict):
            stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"x": "y"}}
            await port.patch(CONFIGMAPS, "one", stale, ns)
        with pytest.raises(errors.Conflict):
            await port.delete(CONFIGMAPS, "one", ns, uid="another")
        with pytest.raises(errors.Conflict):
            await port.delete(
                CONFIGMAPS, "one", ns, uid=made["metadata"]["uid"], resource_version=made["metadata"]["resourceVersion"]
            )
        await port.delete(CONFIGMAPS, "one", ns, uid=made["metadata"]["uid"])
        with pytest.raises(errors.ObjectNotFound):
            await port.get(CONFIGMAPS, "one", ns)
        ref = ObjectRef("v1", "ConfigMap", "one", ns)
        assert await find(port, ref) is None

    run(cluster, work)


def test_a_dry_run_writes_nothing(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        await port.dry_run_create(config("dry", ns))
        with pytest.raises(errors.ObjectNotFound):
            await port.get(CONFIGMAPS, "dry", ns)
        await port.create(config("dry", ns, a="1"))
        answer = await port.dry_run_patch(CONFIGMAPS, "dry", {"data": {"a": "2"}}, ns)
        assert answer["data"] == {"a": "2"}
        answer = await port.dry_run_apply(config("dry", ns, a="3"), force=True)
        assert answer["data"] == {"a": "3"}
        answer = await port.dry_run_replace(config("dry", ns, a="4"))
        assert answer["data"] == {"a": "4"}
        await port.dry_run_delete(CONFIGMAPS, "dry", ns)
        assert (await port.get(CONFIGMAPS, "dry", ns))["data"] == {"a": "1"}

    run(cluster, work)


def test_apply_conflicts_name_each_field_and_its_owner(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        await port.apply(config("owned", ns, a="1", b="2"), manager="first")
        with pytest.raises(errors.Conflict) as caught:
            await port.apply(config("owned", ns, a="x", b="y", c="z"), manager="second")
        assert '.data.a ("first"' in caught.value.message
        assert '.data.b ("first"' in caught.value.message
        assert caught.value.arguments["count"] == 2
        forced = await port.apply(config("owned", ns, a="x"), manager="second", force=True)
        assert forced["data"] == {"a": "x", "b": "2"}

    run(cluster, work)


def test_what_the_server_holds_to_be_invalid(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        with pytest.raises(errors.Invalid, match="not_a_name"):
            await port.create(config("not_a_name", ns))
        with pytest.raises(errors.Invalid):
            await port.create({**config("x", ns), "data": {"bad key": "x"}})
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "x", "namespace": ns},
            "data": {"a": "hunter2!"},
        }
        with pytest.raises(errors.Invalid) as caught:
            await port.create(secret)
        assert "hunter2" not in caught.value.message
        with pytest.raises(errors.ObjectNotFound):
            await port.create(config("x", "no-such-namespace"))

    run(cluster, work)


class Meta(msgspec.Struct):
    name: str
    uid: str


class Named(msgspec.Struct):
    metadata: Meta


def test_pages_selectors_and_projections(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        for number in range(12):
            obj = config(f"c-{number:02}", ns)
            obj["metadata"]["labels"] = {"half": str(number % 2)}
            await port.create(obj)
        pages = [page async for page in port.pages(CONFIGMAPS, ns, limit=5)]
        assert len(pages[0]) == 5
        names = [obj["metadata"]["name"] for page in pages for obj in page if obj["metadata"]["name"].startswith("c-")]
        assert names == [f"c-{number:02}" for number in range(12)]
        assert {obj["kind"] for page in pages for obj in page} == {"ConfigMap"}
        typed = await port.list_as(Named, CONFIGMAPS, ns, labels="half=1")
        assert [item.metadata.name for item in typed] == [f"c-{number:02}" for number in range(1, 12, 2)]
        one = await port.list_all(CONFIGMAPS, ns, fields="metadata.name=c-03")
        assert [obj["metadata"]["name"] for obj in one] == ["c-03"]
        assert (await port.get_as(Named, CONFIGMAPS, "c-03", ns)).metadata.name == "c-03"

    run(cluster, work)


def test_a_watch_delivers_every_change_in_order(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        label = {"metadata": {"labels": {"seen": "yes"}}}
        await port.create(
            msgspec.json.decode(
                msgspec.json.encode(
                    {**config("before", ns), "metadata": {"name": "before", "namespace": ns, **label["metadata"]}}
                )
            )
        )
        events = port.watch(CONFIGMAPS, ns, labels="seen=yes")

        async def take() -> tuple[str, str]:
            event = await anext(events)
            assert isinstance(event, WatchEvent)
            return event.type, event.object.get("metadata", {}).get("name", "")

        assert await take() == ("ADDED", "before")
        assert await take() == ("SYNCED", "")
        obj = config("after", ns)
        obj["metadata"]["labels"] = {"seen": "yes"}
        await port.create(obj)
        assert await take() == ("ADDED", "after")
        await port.patch(CONFIGMAPS, "before", {"data": {"x": "y"}}, ns)
        assert await take() == ("MODIFIED", "before")
        # What leaves the selection is gone for this watch.
        await port.patch(CONFIGMAPS, "before", {"metadata": {"labels": {"seen": "no"}}}, ns)
        assert await take() == ("DELETED", "before")
        await port.delete(CONFIGMAPS, "after", ns)
        assert await take() == ("DELETED", "after")
        await events.aclose()

    run(cluster, work)


def test_custom_kinds_are_found(cluster: Harness, ns: str) -> None:
    group = f"{ns}.example.dev"

    async def work(port: KubernetesCluster) -> None:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
        with pytest.raises(errors.ObjectNotFound, match="does not serve"):
            await port.resource(f"{group}/v1", "Widget")
        definitions = await port.resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        await port.create(crd)
        try:
            async for event in port.watch(definitions, fields=f"metadata.name=widgets.{group}"):
                conditions = event.object.get("status", {}).get("conditions", [])
                if any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
                    break
            widget: dict[str, Any] = {
                "apiVersion": f"{group}/v1",
                "kind": "Widget",
                "metadata": {"name": "w", "namespace": ns},
                "spec": {"deep": [1, {"unknown": None}, 1.5]},
            }
            while True:
                try:
                    made = await port.create(widget)
                    break
                except errors.ObjectNotFound:  # discovery follows the condition by a moment
                    await asyncio.sleep(0.2)
            assert made["spec"] == widget["spec"]
            resource = await port.resource(f"{group}/v1", "Widget")
            assert (resource.plural, resource.namespaced) == ("widgets", True)
            assert (await port.get(resource, "w", ns))["spec"] == widget["spec"]
        finally:
            await port.delete(definitions, f"widgets.{group}")

    run(cluster, work)


def test_who_and_when_the_cluster_is(cluster: Harness) -> None:
    async def work(port: KubernetesCluster) -> None:
        found = await port.identity()
        assert found.uid == (await port.get(NAMESPACES, "kube-system"))["metadata"]["uid"]
        assert len(found.ca) == 64
        assert abs((await port.server_time() - datetime.now(UTC)).total_seconds()) < 60

    run(cluster, work)


def test_rights(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        wanted = [
            Access("delete", "", "pods", ns),
            Access("get", "", "pods/log", ns),
            Access("patch", "apps", "deployments", ns),
        ]
        answers = await port.may(wanted)
        assert [(answer.access, answer.allowed) for answer in answers] == [(access, True) for access in wanted]

    run(cluster, work)


def test_a_lock_between_two_runs(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        about = {"run": "r1", "actor": "jane", "about": "statefulset/x to revision 2"}
        async with port.lease("statefulset/x", ns, holder="r1", about=about) as lease:
            await lease.confirm()
            held = await port.get(LEASES, lease_name("statefulset/x"), ns)
            assert held["metadata"]["annotations"]["backout.dev/actor"] == "jane"
            with pytest.raises(errors.LockedError, match="jane"):
                async with port.lease("statefulset/x", ns, holder="r2", about=about):
                    pass
            async with port.lease("statefulset/x", ns, holder="r1", about=about) as resumed:
                assert resumed.token > lease.token
                with pytest.raises(errors.LeaseLost):
                    await lease.confirm()
        assert await port.list_all(LEASES, ns) == []

    run(cluster, work)


def test_logs_of_a_pod_that_is_not_there(cluster: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        with pytest.raises(errors.ObjectNotFound):
            await port.logs("nobody", ns)
        with pytest.raises(errors.ObjectNotFound):
            await port.delete(PODS, "nobody", ns)

    run(cluster, work)


def test_both_ways_of_discovery_find_the_same(cluster: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(port: KubernetesCluster) -> None:
        found = await port.catalogue()
        monkeypatch.setattr("backout.cluster.catalogue.AGGREGATED", "application/json")
        one_by_one = await port.catalogue()
        assert len(found.kinds) > 30
        assert {served.resource: served.verbs for served in found.kinds} == {
            served.resource: served.verbs for served in one_by_one.kinds
        }
        assert set(found.broken) == set(one_by_one.broken)

    run(cluster, work)
