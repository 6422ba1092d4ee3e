# SPDX-License-Identifier: Apache-2.0
"""Custom resources become StatefulSets while an operator runs, and only then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twin_cluster import NS, Cluster, cluster, container, workload

from kubetwin.client import MERGE_PATCH, Obj, Resource
from kubetwin.controllers.monitoring_objects import GROUP, INPUT_HASH, KINDS, Refused, checked, stateful_set
from kubetwin.kinds import CRDS, DEPLOYMENTS, PODS, STATEFULSETS
from kubetwin.meta import condition, pod_ready

PROMETHEUSES = Resource(GROUP, "v1", "prometheuses", "Prometheus")
OPERATOR = "quay.io/prometheus-operator/prometheus-operator"


def definition(kind: str, plural: str) -> Obj:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def prometheus(name: str = "main", **spec: Any) -> Obj:
    meta = {"name": name, "namespace": NS, "labels": {"release": "kps", "app.kubernetes.io/managed-by": "Helm"}}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Prometheus", "metadata": meta, "spec": {"retention": "10d", **spec}}


async def started(c: Cluster, tag: str = "v0.72.0", *args: str) -> None:
    await c.api.create(CRDS, definition("Prometheus", "prometheuses"))
    await c.api.create(
        DEPLOYMENTS, workload("Deployment", "op", container(f"{OPERATOR}:{tag}", args=list(args)), replicas=1)
    )


def the_set(c: Cluster) -> Obj | None:
    return c.get(STATEFULSETS, "prometheus-main")


def pods(c: Cluster) -> list[Obj]:
    return [pod for pod in c.plane.informers.of(PODS).all() if pod["metadata"]["name"].startswith("prometheus-main-")]


async def until_status(c: Cluster, **wanted: str) -> Obj:
    async with asyncio.timeout(600):
        while True:
            found = await c.api.get(PROMETHEUSES, "main", NS)
            told = {kind: condition(found, kind) or {} for kind in wanted}
            if all(told[kind].get("status") == status for kind, status in wanted.items()):
                return found
            await asyncio.sleep(0.05)


def test_a_resource_becomes_a_ready_stateful_set_and_says_so() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c, "v0.72.0", "--prometheus-config-reloader=reload:1")
            await c.api.create(PROMETHEUSES, prometheus(replicas=2))
            await c.until(PODS, lambda: len([pod for pod in pods(c) if pod_ready(pod)]) == 2)
            made = the_set(c)
            assert made is not None
            images = [each["image"] for each in made["spec"]["template"]["spec"]["containers"]]
            assert images == ["quay.io/prometheus/prometheus:v2.51.0", "reload:1"]
            assert made["metadata"]["ownerReferences"][0]["kind"] == "Prometheus"
            assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "prometheus-operator"
            found = await until_status(c, Available="True", Reconciled="True")
            assert found["status"]["availableReplicas"] == 2
            assert condition(found, "Available")["observedGeneration"] == 1  # type: ignore[index]

    asyncio.run(main())


def test_a_bad_image_goes_to_the_pods_and_a_good_one_again_heals_them() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            await c.api.create(PROMETHEUSES, prometheus())
            await until_status(c, Available="True")
            first = the_set(c)["metadata"]["annotations"][INPUT_HASH]  # type: ignore[index]
            await c.api.patch(
                PROMETHEUSES, "main", {"spec": {"image": "p:1-crash-exit1"}}, NS, content_type=MERGE_PATCH
            )
            await until_status(c, Available="False")
            assert the_set(c)["metadata"]["annotations"][INPUT_HASH] != first  # type: ignore[index]
            await c.api.patch(PROMETHEUSES, "main", {"spec": {"image": None}}, NS, content_type=MERGE_PATCH)
            await until_status(c, Available="True")
            assert the_set(c)["metadata"]["annotations"][INPUT_HASH] == first  # type: ignore[index]

    asyncio.run(main())


def test_nothing_is_made_without_a_running_operator_and_nothing_of_what_is_paused() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c, "v0.73.0-crash-exit1")
            await c.api.create(PROMETHEUSES, prometheus(paused=True))
            await c.until(PODS, lambda: any(not pod_ready(pod) for pod in c.plane.informers.of(PODS).all()))
            assert the_set(c) is None
            await c.api.patch(
                DEPLOYMENTS,
                "op",
                [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": f"{OPERATOR}:v0.73.0"}],
                NS,
                content_type="application/json-patch+json",
            )
            found = await until_status(c, Reconciled="Unknown")
            assert found["status"]["paused"] is True and the_set(c) is None
            await c.api.patch(PROMETHEUSES, "main", {"spec": {"paused": False}}, NS, content_type=MERGE_PATCH)
            await until_status(c, Available="True")

    asyncio.run(main())


def test_what_the_operator_refuses_stands_in_its_condition_and_the_set_stays_as_it_was() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            await c.api.create(PROMETHEUSES, prometheus())
            await until_status(c, Available="True")
            before = the_set(c)
            await c.api.patch(PROMETHEUSES, "main", {"spec": {"retention": "ten days"}}, NS, content_type=MERGE_PATCH)
            found = await until_status(c, Reconciled="False", Available="True")
            assert "invalid retention" in condition(found, "Reconciled")["message"]  # type: ignore[index]
            assert the_set(c) == before

    asyncio.run(main())


def test_an_immutable_field_makes_the_set_anew() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
            await c.api.create(PROMETHEUSES, prometheus(storage={"volumeClaimTemplate": claim}))
            await until_status(c, Available="True")
            uid = the_set(c)["metadata"]["uid"]  # type: ignore[index]
            claim["spec"]["resources"] = {"requests": {"storage": "2Gi"}}
            patch = {"spec": {"storage": {"volumeClaimTemplate": claim}}}
            await c.api.patch(PROMETHEUSES, "main", patch, NS, content_type=MERGE_PATCH)
            await c.until(STATEFULSETS, lambda: (found := the_set(c)) and found["metadata"]["uid"] != uid)
            await until_status(c, Available="True")

    asyncio.run(main())


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_has_names_and_a_hash_of_its_own(kind: str) -> None:
    obj = {**prometheus(), "kind": kind}
    obj["metadata"] |= {"uid": "1"}
    made = stateful_set(KINDS[kind], obj, "reload:1")
    assert made["metadata"]["name"] == f"{KINDS[kind].prefix}-main"
    changed = {**obj, "spec": {**obj["spec"], "logLevel": "debug"}}
    hashes = {
        each["metadata"]["annotations"][INPUT_HASH] for each in (made, stateful_set(KINDS[kind], changed, "reload:1"))
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(("field", "value"), [("retention", "10 d"), ("retention", "-1d"), ("version", "latest")])
def test_what_the_schema_allows_and_the_operator_does_not(field: str, value: str) -> None:
    with pytest.raises(Refused):
        checked(prometheus(**{field: value}))
    checked(prometheus(retention="1w2d", version="v2.51.0"))
