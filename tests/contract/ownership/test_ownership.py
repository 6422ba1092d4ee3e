# SPDX-License-Identifier: Apache-2.0
"""Who owns an object is followed on a cluster: owner references, releases, and what stands above a release."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from cluster_harness import Cluster as Harness

from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.port import DEPLOYMENTS
from backout.errors import AlreadyExists, ObjectNotFound
from backout.ownership.owner import Ownership, owner_of

HELM = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "rel"}}


def definition(group: str, version: str, kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


@asynccontextmanager
async def serving(running: Harness, *definitions: dict[str, Any]) -> AsyncIterator[KubernetesCluster]:
    """A connection to a cluster that serves these kinds, and knew it from the start."""
    async with asyncio.timeout(600):
        async with connect(str(running.kubeconfig), running.context or "") as port:
            for each in definitions:
                with suppress(AlreadyExists):
                    await port.create(each)
        for each in definitions:
            spec = each["spec"]
            while True:
                async with connect(str(running.kubeconfig), running.context or "") as port:
                    try:
                        await port.list_all(
                            await port.resource(f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"])
                        )
                        break
                    except ObjectNotFound:
                        await asyncio.sleep(0.1)
        async with connect(str(running.kubeconfig), running.context or "") as port:
            yield port


def deployment(ns: str, name: str = "web", **meta: Any) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1.0"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": ns, **meta},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod},
    }


async def stored(port: KubernetesCluster, obj: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **await port.create(obj)}


def record(ns: str, kind: str = "Secret") -> dict[str, Any]:
    labels = {"owner": "helm", "name": "rel", "status": "deployed", "version": "1"}
    meta = {"name": "sh.helm.release.v1.rel.v1", "namespace": ns, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta}


def test_a_release_counts_with_its_record_in_either_driver_and_its_marks_alone_do_not(
    running: Harness, ns: str
) -> None:
    async def main() -> None:
        async with serving(running) as port:
            obj = await stored(port, deployment(ns, **HELM))
            assert (await owner_of(port, obj)).kind == "none"
            await port.create(record(ns, "ConfigMap"))
            found = await owner_of(port, obj)
            assert (found.kind, str(found.target), found.manager) == ("helm", "helm/rel", None)

    asyncio.run(main())


def test_what_deploys_a_release_is_found_by_marks_and_by_its_resource(running: Harness, ns: str) -> None:
    async def main() -> None:
        async with serving(running, definition("helm.toolkit.fluxcd.io", "v2", "HelmRelease")) as port:
            await port.create(record(ns))
            plain = await stored(port, deployment(ns, **HELM))
            labels = {
                **HELM["labels"],
                "helm.toolkit.fluxcd.io/name": "marked",
                "helm.toolkit.fluxcd.io/namespace": "flux",
            }
            marked = await stored(port, deployment(ns, "marked", **{**HELM, "labels": labels}))
            found = await owner_of(port, marked)
            assert found.kind == "helm" and found.manager is not None and found.manager.name == "helmrelease/marked"
            assert (await owner_of(port, plain)).manager is None
            flux = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease"}
            await port.create({**flux, "metadata": {"name": "any", "namespace": ns}, "spec": {"releaseName": "rel"}})
            found = await owner_of(port, plain)
            assert found.kind == "helm" and found.manager is not None and found.manager.name == "helmrelease/any"
            listed = await Ownership(port).of_release("rel", ns)
            assert listed == found.manager

    asyncio.run(main())


def test_an_application_that_lists_an_object_owns_it_without_any_mark(running: Harness, ns: str) -> None:
    async def main() -> None:
        async with serving(running, definition("argoproj.io", "v1alpha1", "Application")) as port:
            obj = await stored(port, deployment(ns, labels={"app.kubernetes.io/instance": "shop"}))
            assert (await owner_of(port, obj)).kind == "none"
            listed = {"group": "apps", "kind": "Deployment", "namespace": ns, "name": "web"}
            app = {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": "shop", "namespace": ns},
            }
            await port.create({**app, "status": {"resources": [listed]}})
            found = await owner_of(port, obj)
            assert (found.kind, str(found.target)) == ("argocd", "app/shop")
            other = {"destination": {"server": "https://elsewhere.example"}}
            app["metadata"]["name"] = "remote"
            await port.create({**app, "spec": other, "status": {"resources": [{**listed, "name": "far"}]}})
            far = await stored(port, deployment(ns, "far"))
            assert (await owner_of(port, far)).kind == "none"

    asyncio.run(main())


def test_a_custom_resource_of_a_release_leads_to_the_release(running: Harness, ns: str) -> None:
    async def main() -> None:
        async with serving(running, definition("monitoring.example.com", "v1", "Watcher")) as port:
            await port.create(record(ns))
            api = {"apiVersion": "monitoring.example.com/v1", "kind": "Watcher"}
            watcher = await port.create({**api, "metadata": {"name": "main", "namespace": ns, **HELM}})
            reference = {**api, "name": "main", "uid": watcher["metadata"]["uid"], "controller": True}
            obj = await stored(port, deployment(ns, ownerReferences=[reference]))
            found = await owner_of(port, obj)
            assert (found.kind, str(found.ref), str(found.target)) == ("operator", "watcher/main", "helm/rel")
            assert await port.get(DEPLOYMENTS, "web", ns)

    asyncio.run(main())


def test_each_release_is_looked_up_once_for_many_objects(running: Harness, ns: str) -> None:
    async def main() -> None:
        async with serving(running) as port:
            await port.create(record(ns))
            objects = [await stored(port, deployment(ns, f"web-{number}", **HELM)) for number in range(5)]
            ownership = Ownership(port)
            asked: list[str] = []
            original = port.list_as

            async def counted(*args: Any, **more: Any) -> Any:
                asked.append(str(args[1].kind))
                return await original(*args, **more)

            port.list_as = counted  # type: ignore[method-assign]
            found = await asyncio.gather(*(ownership.of(obj) for obj in objects))
            assert {str(owner.target) for owner in found} == {"helm/rel"}
            assert len(asked) <= 2

    asyncio.run(main())
