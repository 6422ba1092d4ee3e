# SPDX-License-Identifier: Apache-2.0
"""Which API groups Kubernetes itself brings; everything else is a custom resource. Pure.

The suffix ``.k8s.io`` does not tell: definitions of the project's own (Gateway API, volume snapshots, the vertical autoscaler) are
installed like anybody's (kubernetes.io/docs/reference/using-api; staging/src/k8s.io/api has a folder for each group).
"""

from __future__ import annotations

BUILT_IN = frozenset(
    {
        "",
        "apps",
        "batch",
        "autoscaling",
        "policy",
        "extensions",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "imagepolicy.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
TRAFFIC = frozenset(
    {
        "chaos-mesh.org",
        "cilium.io",
        "configuration.konghq.com",
        "consul.hashicorp.com",
        "crd.projectcalico.org",
        "gateway.envoyproxy.io",
        "gateway.networking.k8s.io",
        "getambassador.io",
        "kuma.io",
        "litmuschaos.io",
        "networking.istio.io",
        "policy.linkerd.io",
        "policy.networking.k8s.io",
        "projectcalico.org",
        "projectcontour.io",
        "route.openshift.io",
        "security.istio.io",
        "split.smi-spec.io",
        "traefik.containo.us",
        "traefik.io",
    }
)
"""Groups whose resources say where requests between programs go, and whether they arrive: meshes, gateways, network policies
beyond Kubernetes' own, and experiments that cut the way."""
_MEASURED = "metrics.k8s.io"
"""Groups of measurements, which programs compute and nobody writes: ``metrics.k8s.io``, ``custom.metrics.k8s.io``, …"""


def custom_group(group: str) -> bool:
    """True for a group that a definition brings."""
    return "." in group and group not in BUILT_IN and group != _MEASURED and not group.endswith(f".{_MEASURED}")


def custom(api_version: str) -> bool:
    """The same of an ``apiVersion``."""
    group, slash, _ = api_version.partition("/")
    return bool(slash) and custom_group(group)
