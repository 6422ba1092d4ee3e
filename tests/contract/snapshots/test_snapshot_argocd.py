# SPDX-License-Identifier: Apache-2.0
"""Objects of an Argo CD application: where it was is in the snapshot, and what a restore means for it is said."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_harness import Cluster as Harness
from snapshot_world import World, run

from backout.cluster.client import connect
from backout.cluster.port import CONFIGMAPS
from backout.model.snapshot import ApplicationPointer
from backout.snapshots.collect import About, take

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPS = "/apis/argoproj.io/v1alpha1"
COMMITS = ("1f0c3a" + "0" * 34, "9b2d7e" + "0" * 34)


@pytest.fixture
def argocd(cluster: Harness) -> Iterator[str]:
    """A namespace with the kind Application served, as Argo CD's own manifests define it: without subresources."""
    name = f"argo-{secrets.token_hex(3)}"
    cluster.post("/api/v1/namespaces", {"metadata": {"name": name}}).ok()
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    made = cluster.post(
        CRDS,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "applications.argoproj.io"},
            "spec": {
                "group": "argoproj.io",
                "scope": "Namespaced",
                "versions": [version],
                "names": {
                    "plural": "applications",
                    "singular": "application",
                    "kind": "Application",
                    "listKind": "ApplicationList",
                },
            },
        },
    )
    cluster.wait(f"{APPS}/applications", lambda _: True)
    yield name
    if made.status == 201:
        cluster.delete(f"{CRDS}/applications.argoproj.io")
    cluster.delete(f"/api/v1/namespaces/{name}")


def application(cluster: Harness, namespace: str, name: str, **status: Any) -> None:
    history = [
        {"id": 3, "revision": COMMITS[0], "deployedAt": "2026-01-01T00:00:00Z"},
        {"id": 4, "revision": COMMITS[1], "deployedAt": "2026-01-02T00:00:00Z"},
    ]
    cluster.post(
        f"{APPS}/namespaces/{namespace}/applications",
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name},
            "spec": {"project": "default"},
            "status": {"history": history, "sync": {"status": "Synced"}, "health": {"status": "Healthy"}, **status},
        },
    ).ok()


async def owned(world: World, name: str, application: str) -> None:
    tracking = f"{application}:/ConfigMap:{world.ns}/{name}"
    await world.make(
        "ConfigMap", name, data={"a": "1"}, metadata={"annotations": {"argocd.argoproj.io/tracking-id": tracking}}
    )


def test_history_commit_and_health_of_the_application_are_kept(cluster: Harness, ns: str, argocd: str) -> None:
    application(cluster, argocd, f"central-{ns}")
    application(
        cluster,
        argocd,
        f"multi-{ns}",
        history=[{"id": 0, "revisions": list(COMMITS)}],
        sync={"status": "OutOfSync"},
        health={"status": "Degraded"},
    )
    application(cluster, argocd, f"stranger-{ns}")

    async def work(world: World) -> None:
        await owned(world, "web", f"central-{ns}")
        await owned(world, "two", f"{argocd}_multi-{ns}")
        await owned(world, "lost", f"gone-{ns}")
        await world.make(
            "ConfigMap", "old", data={}, metadata={"labels": {"argocd.argoproj.io/instance": f"central-{ns}"}}
        )
        taken = await world.take()
        assert taken.snapshot.pointers.applications == (
            ApplicationPointer(
                name=f"central-{ns}", namespace=argocd, history=4, commit=COMMITS[1], sync="Synced", health="Healthy"
            ),
            ApplicationPointer(
                name=f"multi-{ns}",
                namespace=argocd,
                history=0,
                commit=",".join(COMMITS),
                sync="OutOfSync",
                health="Degraded",
            ),
        )
        entries = {e.ref.name: e.owner async for e in world.repository.entries(taken.snapshot) if e.owner}
        assert entries["web"] == entries["old"] == f"app/central-{ns}"
        lost = [skipped for skipped in taken.snapshot.skipped if skipped.ref.kind == "Application" and skipped.ref.name]
        assert [(s.ref.name, s.reason.text) for s in lost] == [(f"gone-{ns}", "there is none that you may read")]

        await world.cluster.patch(CONFIGMAPS, "web", {"data": {"a": "2"}}, ns)
        plan = await world.plan(taken.snapshot, "configmap/web")
        assert plan.items[0].action == "update"
        (note,) = plan.items[0].notes
        assert f"Argo CD's application central-{ns} sees a drift" in note.text
        assert await world.restore(taken.snapshot, "configmap/web") == {"configmap/web": "done"}

    run(cluster, ns, work)


def restricted(cluster: Harness, ns: str, folder: Path, rules: list[dict[str, Any]]) -> Path:
    """A kubeconfig of a service account that may do everything in the namespace, and ``rules`` elsewhere."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    cluster.post(f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "few"}}).ok()
    subject = {"kind": "ServiceAccount", "name": "few", "namespace": ns}
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    for place, allowed in ((ns, everything), *((rule.pop("namespace"), [rule]) for rule in rules)):
        cluster.post(f"{rbac}/namespaces/{place}/roles", {"metadata": {"name": f"few-{ns}"}, "rules": allowed}).ok()
        cluster.post(
            f"{rbac}/namespaces/{place}/rolebindings",
            {
                "metadata": {"name": f"few-{ns}"},
                "subjects": [subject],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"few-{ns}"},
            },
        ).ok()
    uid = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"], "resourceNames": ["kube-system", ns]}
    cluster.post(f"{rbac}/clusterroles", {"metadata": {"name": f"few-{ns}"}, "rules": [uid]}).ok()
    cluster.post(
        f"{rbac}/clusterrolebindings",
        {
            "metadata": {"name": f"few-{ns}"},
            "subjects": [subject],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"few-{ns}"},
        },
    ).ok()
    token = cluster.post(f"/api/v1/namespaces/{ns}/serviceaccounts/few/token", {"spec": {}}).ok()["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    context = next(c for c in config["contexts"] if c["name"] == (cluster.context or config["current-context"]))
    config["users"] = [{"name": "few", "user": {"token": token}}]
    config["contexts"] = [{"name": "few", "context": {"cluster": context["context"]["cluster"], "user": "few"}}]
    config["current-context"] = "few"
    path = folder / "few.kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def test_without_the_right_to_list_applications_the_snapshot_is_taken_and_says_so(
    cluster: Harness, ns: str, argocd: str, tmp_path: Path
) -> None:
    application(cluster, argocd, f"central-{ns}")
    application(cluster, argocd, f"seen-{ns}")
    rule = {
        "namespace": argocd,
        "apiGroups": ["argoproj.io"],
        "resources": ["applications"],
        "verbs": ["get"],
        "resourceNames": [f"seen-{ns}"],
    }
    config = restricted(cluster, ns, tmp_path, [rule])

    async def work(world: World) -> None:
        await owned(world, "web", f"central-{ns}")
        await owned(world, "two", f"{argocd}_seen-{ns}")
        async with connect(str(config)) as poor:
            taken = await take(poor, world.repository, ns, About(healthy=True))
        assert {e.ref.name: e.owner async for e in world.repository.entries(taken.snapshot)}[
            "web"
        ] == f"app/central-{ns}"
        assert [(p.name, p.history) for p in taken.snapshot.pointers.applications] == [(f"seen-{ns}", 4)]
        unseen = [s.reason.text for s in taken.snapshot.skipped if s.ref.name == f"central-{ns}"]
        assert unseen == ["there is none that you may read"]

    try:
        run(cluster, ns, work)
    finally:
        for kind in ("clusterroles", "clusterrolebindings"):
            cluster.delete(f"/apis/rbac.authorization.k8s.io/v1/{kind}/few-{ns}")
