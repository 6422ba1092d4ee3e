# SPDX-License-Identifier: Apache-2.0
"""The signs by which a controller outside of Kubernetes marks what it keeps as it wants it. Pure.

Each of them writes its own state back over a change that is made behind its back. Facts, by controller:

Flux         fluxcd/pkg runtime and helm-controller: labels ``helm.toolkit.fluxcd.io/name``, ``…/namespace`` on every object
             of a HelmRelease; kustomize-controller: ``kustomize.toolkit.fluxcd.io/name``, ``…/namespace``
Rancher      wrangler pkg/apply: annotations ``objectset.rio.cattle.io/owner-gvk`` (``helm.cattle.io/v1, Kind=HelmChart``),
             ``…/owner-name``, ``…/owner-namespace``; Fleet's bundles, k3s' HelmCharts and add-ons are told apart by the kind
Sveltos      addon-controller: annotations ``projectsveltos.io/owner-kind``, ``…/owner-name``, or an owner reference to its
             profile
OCM          owner reference to an ``AppliedManifestWork`` that is no controller's
KubeFleet    owner reference to an ``AppliedWork`` that is no controller's
kapp         label ``kapp.k14s.io/app`` and annotation ``kapp.k14s.io/identity``
Config Sync  annotation ``configmanagement.gke.io/managed: enabled``, and ``configsync.gke.io/resource-id`` that names this very
             object: copies of an object carry the marks of the original
Argo CD      annotation ``argocd.argoproj.io/tracking-id``, label ``argocd.argoproj.io/instance``
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from backout.kube.names import ARGOCD_INSTANCE, ARGOCD_TRACKING
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

Tool = Literal["argocd", "flux", "fleet", "helmchart", "sveltos", "ocm", "kubefleet", "kapp", "config-sync"]
TOOLS: frozenset[str] = frozenset(
    {"argocd", "flux", "fleet", "helmchart", "sveltos", "ocm", "kubefleet", "kapp", "config-sync"}
)

_FLUX = {"HelmRelease": ("helm.toolkit.fluxcd.io", "v2"), "Kustomization": ("kustomize.toolkit.fluxcd.io", "v1")}
_OBJECTSET = "objectset.rio.cattle.io/owner-"
_SVELTOS = "projectsveltos.io/"
_SYNC_GROUP = "config.projectsveltos.io"


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    """A controller that keeps an object as it wants it.

    ``ref`` is the custom resource that tells it so; ``here`` says whether that is in this cluster (others are on a hub or a
    management cluster). ``hold`` is what people do to keep it from undoing a change.
    """

    tool: Tool
    ref: ObjectRef
    here: bool = True
    hold: Message

    @property
    def name(self) -> str:
        """As people read it: ``helmrelease/shop``."""
        return str(self.ref)


def managers(obj: dict[str, Any]) -> tuple[Manager, ...]:
    """Every controller whose sign ``obj`` carries, without asking whether it is there; the order is that of their weight."""
    meta = obj.get("metadata") or {}
    labels, annotations = _texts(meta.get("labels")), _texts(meta.get("annotations"))
    found: list[Manager] = []
    for sign in _SIGNS:
        found += sign(obj, labels, annotations)
    return tuple(found)


def argo_name(obj: dict[str, Any]) -> str:
    """The Argo CD application that Argo CD's own marks name; empty when there is none."""
    meta = obj.get("metadata") or {}
    tracking = _texts(meta.get("annotations")).get(ARGOCD_TRACKING, "").partition(":")[0]
    return tracking or _texts(meta.get("labels")).get(ARGOCD_INSTANCE, "")


def argo(name: str) -> Manager:
    """The manager that an Argo CD application stands for. ``NAMESPACE_NAME`` names one beside Argo CD's own namespace
    (argo-cd util/argo/resource_tracking.go)."""
    namespace, _, short = name.rpartition("_")
    return Manager(
        tool="argocd",
        ref=ObjectRef("argoproj.io/v1alpha1", "Application", short, namespace),
        hold=msg(
            "switch its automated sync off (argocd app set {name} --sync-policy none), or mend it in Git", name=short
        ),
    )


def helm_release(name: str, namespace: str) -> Manager:
    """Flux's HelmRelease of that name."""
    return _flux("HelmRelease", name, namespace)


def helm_chart(name: str, namespace: str) -> Manager:
    """The HelmChart of k3s and RKE2 of that name."""
    return Manager(
        tool="helmchart",
        ref=ObjectRef("helm.cattle.io/v1", "HelmChart", name, namespace),
        hold=msg(
            "change the HelmChart {name} in {namespace}: its Job upgrades to what stands there",
            name=name,
            namespace=namespace,
        ),
    )


def _argocd(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    if name := argo_name(obj):
        yield argo(name)


def _flux_signs(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    for kind, (group, _) in _FLUX.items():
        if name := labels.get(f"{group}/name"):
            yield _flux(kind, name, labels.get(f"{group}/namespace", ""))


def _flux(kind: str, name: str, namespace: str) -> Manager:
    group, version = _FLUX[kind]
    return Manager(
        tool="flux",
        ref=ObjectRef(f"{group}/{version}", kind, name, namespace),
        hold=msg(
            "suspend it (flux suspend {kind} {name} -n {namespace}), mend it in Git, then resume it",
            kind=kind.lower(),
            name=name,
            namespace=namespace,
        ),
    )


def _rancher(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    api_version, _, kind = annotations.get(f"{_OBJECTSET}gvk", "").partition(", Kind=")
    name, namespace = annotations.get(f"{_OBJECTSET}name", ""), annotations.get(f"{_OBJECTSET}namespace", "")
    if not kind or not name:
        return
    ref = ObjectRef(api_version, kind, name, namespace)
    if api_version.startswith("helm.cattle.io/"):
        yield helm_chart(name, namespace)
    elif api_version.startswith("fleet.cattle.io/"):
        yield Manager(
            tool="fleet",
            ref=ref,
            hold=msg("pause its GitRepo or Bundle in Fleet (spec.paused: true), and mend it in Git"),
        )
    elif api_version.startswith("k3s.cattle.io/"):
        yield Manager(
            tool="helmchart",
            ref=ref,
            hold=msg("change its manifest on the servers: {name} is an add-on that k3s applies again", name=name),
        )


def _sveltos(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    kind, name = annotations.get(f"{_SVELTOS}owner-kind", ""), annotations.get(f"{_SVELTOS}owner-name", "")
    if not name:
        owner = _reference(obj, _SYNC_GROUP, ("ClusterProfile", "Profile", "ClusterSummary"))
        kind, name = (str(owner["kind"]), str(owner["name"])) if owner else ("", "")
    if name:
        yield Manager(
            tool="sveltos",
            here=False,
            ref=ObjectRef(f"{_SYNC_GROUP}/v1beta1", kind or "ClusterProfile", name),
            hold=msg(
                "pause or change {kind} {name} on Sveltos' management cluster", kind=kind or "ClusterProfile", name=name
            ),
        )


def _ocm(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    if owner := _reference(obj, "work.open-cluster-management.io", ("AppliedManifestWork",)):
        yield Manager(
            tool="ocm",
            here=False,
            ref=ObjectRef(str(owner["apiVersion"]), "AppliedManifestWork", str(owner["name"])),
            hold=msg("change the ManifestWork on the hub of Open Cluster Management"),
        )


def _kubefleet(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    if owner := _reference(obj, "placement.kubernetes-fleet.io", ("AppliedWork",)):
        yield Manager(
            tool="kubefleet",
            here=False,
            ref=ObjectRef(str(owner["apiVersion"]), "AppliedWork", str(owner["name"])),
            hold=msg("go back on the hub: a staged update run with the earlier resourceSnapshotIndex"),
        )


def _kapp(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    app = labels.get("kapp.k14s.io/app", "")
    if app and annotations.get("kapp.k14s.io/identity"):
        namespace = str((obj.get("metadata") or {}).get("namespace", ""))
        yield Manager(
            tool="kapp",
            ref=ObjectRef("kapp.k14s.io/v1alpha1", "App", app, namespace),
            here=False,
            hold=msg("mend it where kapp deploys from: its next deploy writes that state again"),
        )


def _config_sync(obj: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Manager]:
    if annotations.get("configmanagement.gke.io/managed") != "enabled":
        return
    if annotations.get("configsync.gke.io/resource-id") not in (None, _resource_id(obj)):
        return
    name = annotations.get("configsync.gke.io/manager", "root").rpartition("_")[2].strip(":") or "root"
    yield Manager(
        tool="config-sync",
        ref=ObjectRef("configsync.gke.io/v1beta1", "RootSync", name),
        hold=msg("mend it in the repository that Config Sync reads: it writes that state back at once"),
    )


def _resource_id(obj: dict[str, Any]) -> str:
    """``GROUP_KIND_NAMESPACE_NAME`` in lower case, without what is empty at the front of core objects."""
    meta = obj.get("metadata") or {}
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    place = [str(meta["namespace"])] if meta.get("namespace") else []
    return "_".join([group if slash else "", str(obj.get("kind", "")).lower(), *place, str(meta.get("name", ""))])


def _reference(obj: dict[str, Any], group: str, kinds: tuple[str, ...]) -> dict[str, Any] | None:
    """An owner reference to one of ``kinds``; whether it is a controller's does not matter: these never are."""
    for reference in (obj.get("metadata") or {}).get("ownerReferences") or ():
        if reference.get("kind") in kinds and str(reference.get("apiVersion", "")).partition("/")[0] == group:
            return dict(reference)
    return None


def _texts(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (found or {}).items()}


_SIGNS: tuple[Callable[[dict[str, Any], dict[str, str], dict[str, str]], Iterator[Manager]], ...] = (
    _flux_signs,
    _argocd,
    _rancher,
    _sveltos,
    _ocm,
    _kubefleet,
    _config_sync,
    _kapp,
)
"""A sign and a line for each controller."""

_WRITERS: dict[str, Tool] = {
    "helm-controller": "flux",
    "kustomize-controller": "flux",
    "argocd-controller": "argocd",
    "argocd-application-controller": "argocd",
    "fleetagent": "fleet",
    "configsync": "config-sync",
    "kapp": "kapp",
    "work-agent": "ocm",
}
"""Field managers of such controllers: their name in managedFields is a sign, too, if a weaker one."""


def written_by(obj: dict[str, Any]) -> Tool | None:
    """The controller whose field manager wrote some of the ``spec`` or ``data`` of ``obj``; None when none did."""
    for entry in (obj.get("metadata") or {}).get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        tool = _WRITERS.get(str(entry.get("manager", "")))
        if tool and not entry.get("subresource") and ("f:spec" in fields or "f:data" in fields):
            return tool
    return None
