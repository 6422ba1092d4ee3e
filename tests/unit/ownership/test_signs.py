# SPDX-License-Identifier: Apache-2.0
"""Every controller that would undo a change is known by its sign, and what only looks like one is none."""

from __future__ import annotations

from typing import Any

import pytest

from backout.ownership.signs import TOOLS, managers, written_by

OWNER = {"name": "x", "uid": "1"}
FLUX, KUSTOMIZE = "helm.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io"
OBJECTSET = "objectset.rio.cattle.io/owner"
ARGO = "argocd.argoproj.io"


def thing(
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, *owners: dict[str, Any]
) -> dict[str, Any]:
    meta = {"name": "web", "namespace": "shop", "labels": labels, "annotations": annotations, "ownerReferences": owners}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}


SIGNED = [
    (thing({f"{FLUX}/name": "rel", f"{FLUX}/namespace": "flux-system"}), "flux", "helmrelease/rel"),
    (thing({f"{KUSTOMIZE}/name": "apps", f"{KUSTOMIZE}/namespace": "flux-system"}), "flux", "kustomization/apps"),
    (
        thing(None, {f"{OBJECTSET}-gvk": "fleet.cattle.io/v1alpha1, Kind=BundleDeployment", f"{OBJECTSET}-name": "b"}),
        "fleet",
        "bundledeployment/b",
    ),
    (
        thing(
            None,
            {
                f"{OBJECTSET}-gvk": "helm.cattle.io/v1, Kind=HelmChart",
                f"{OBJECTSET}-name": "traefik",
                f"{OBJECTSET}-namespace": "kube-system",
            },
        ),
        "helmchart",
        "helmchart/traefik",
    ),
    (
        thing(None, {f"{OBJECTSET}-gvk": "k3s.cattle.io/v1, Kind=Addon", f"{OBJECTSET}-name": "coredns"}),
        "helmchart",
        "addon/coredns",
    ),
    (
        thing(None, {"projectsveltos.io/owner-kind": "ClusterProfile", "projectsveltos.io/owner-name": "prod"}),
        "sveltos",
        "clusterprofile/prod",
    ),
    (
        thing(None, None, {"apiVersion": "config.projectsveltos.io/v1alpha1", "kind": "ClusterProfile", **OWNER}),
        "sveltos",
        "clusterprofile/x",
    ),
    (
        thing(None, None, {"apiVersion": "work.open-cluster-management.io/v1", "kind": "AppliedManifestWork", **OWNER}),
        "ocm",
        "appliedmanifestwork/x",
    ),
    (
        thing(None, None, {"apiVersion": "placement.kubernetes-fleet.io/v1", "kind": "AppliedWork", **OWNER}),
        "kubefleet",
        "appliedwork/x",
    ),
    (
        thing({"kapp.k14s.io/app": "1645"}, {"kapp.k14s.io/identity": "v1;shop/apps/Deployment/web;apps/v1"}),
        "kapp",
        "app/1645",
    ),
    (
        thing(
            None,
            {"configmanagement.gke.io/managed": "enabled", "configsync.gke.io/resource-id": "apps_deployment_shop_web"},
        ),
        "config-sync",
        "rootsync/root",
    ),
    (thing(None, {f"{ARGO}/tracking-id": "shop:apps/Deployment:shop/web"}), "argocd", "application/shop"),
    (thing({f"{ARGO}/instance": "shop"}), "argocd", "application/shop"),
]


@pytest.mark.parametrize(("obj", "tool", "name"), SIGNED)
def test_a_sign_names_the_controller_and_its_resource_and_says_how_to_hold_it(
    obj: dict[str, Any], tool: str, name: str
) -> None:
    found = managers(obj)
    assert [(manager.tool, manager.name) for manager in found] == [(tool, name)]
    assert len(found[0].hold.text) > 20


def test_every_controller_has_a_row() -> None:
    assert {tool for _, tool, _ in SIGNED} == TOOLS


UNSIGNED = [
    thing(),
    thing({"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm"}),
    thing(None, {"meta.helm.sh/release-name": "shop"}),
    thing(None, {"configmanagement.gke.io/managed": "disabled"}),
    thing(
        None,
        {"configmanagement.gke.io/managed": "enabled", "configsync.gke.io/resource-id": "apps_deployment_shop_another"},
    ),
    thing({"kapp.k14s.io/app": "copied with the labels"}),
    thing(None, {f"{OBJECTSET}-gvk": "management.cattle.io/v3, Kind=Cluster", f"{OBJECTSET}-name": "c-4sjtl"}),
    thing(None, None, {"apiVersion": "apps/v1", "kind": "ReplicaSet", **OWNER}),
    thing(None, None, {"apiVersion": "example.com/v1", "kind": "AppliedWork", **OWNER}),
]


@pytest.mark.parametrize("obj", UNSIGNED)
def test_what_only_looks_like_a_sign_is_none(obj: dict[str, Any]) -> None:
    assert managers(obj) == ()


@pytest.mark.parametrize(
    ("manager", "fields", "tool"),
    [
        ("kustomize-controller", {"f:spec": {}}, "flux"),
        ("helm-controller", {"f:data": {}}, "flux"),
        ("argocd-controller", {"f:spec": {}}, "argocd"),
        ("argocd-controller", {"f:metadata": {}}, None),
        ("kubectl-edit", {"f:spec": {}}, None),
    ],
)
def test_a_field_manager_of_such_a_controller_is_a_weaker_sign(
    manager: str, fields: dict[str, Any], tool: str | None
) -> None:
    obj = thing()
    obj["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]
    assert written_by(obj) == tool
    obj["metadata"]["managedFields"][0]["subresource"] = "status"
    assert written_by(obj) is None
