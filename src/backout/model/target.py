# SPDX-License-Identifier: Apache-2.0
"""What a command is pointed at, and names of single objects."""

from __future__ import annotations

import msgspec

from backout.errors import UsageError
from backout.model.kinds import called, plain

WORKLOADS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}

OBJECTS = {
    "configmap": ("v1", "ConfigMap"),
    "secret": ("v1", "Secret"),
    "service": ("v1", "Service"),
    "ingress": ("networking.k8s.io/v1", "Ingress"),
    "serviceaccount": ("v1", "ServiceAccount"),
    "role": ("rbac.authorization.k8s.io/v1", "Role"),
    "rolebinding": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    "networkpolicy": ("networking.k8s.io/v1", "NetworkPolicy"),
    "resourcequota": ("v1", "ResourceQuota"),
    "limitrange": ("v1", "LimitRange"),
    "horizontalpodautoscaler": ("autoscaling/v2", "HorizontalPodAutoscaler"),
    "poddisruptionbudget": ("policy/v1", "PodDisruptionBudget"),
    "cronjob": ("batch/v1", "CronJob"),
}
"""Single objects of a namespace that go back on their own: apiVersion and kind."""

CLUSTER_OBJECTS = {
    "clusterrole": ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    "clusterrolebinding": ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    "priorityclass": ("scheduling.k8s.io/v1", "PriorityClass"),
    "ingressclass": ("networking.k8s.io/v1", "IngressClass"),
    "storageclass": ("storage.k8s.io/v1", "StorageClass"),
    "validatingwebhookconfiguration": ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    "mutatingwebhookconfiguration": ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
}
"""Objects of the whole cluster that may be named, though none of them goes back on its own."""

_ALIASES = {"release": "helm"}
_KINDS = {*WORKLOADS, *OBJECTS, *CLUSTER_OBJECTS, "helm", "pvc", "app", "blocks", "git"}


class Target(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """``kind/name`` in a namespace of a cluster; ``kind`` is lower case, ``helm`` stands for a release."""

    kind: str
    name: str
    namespace: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def single(self) -> bool:
        """Whether it is one object of those that pods read or stand behind, such as a ConfigMap or a Service: no pods come from it."""
        return self.kind in OBJECTS


class ObjectRef(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One Kubernetes object by name, and by uid where it is known."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    @classmethod
    def of(cls, obj: dict) -> ObjectRef:  # type: ignore[type-arg]
        """The reference of an object as the API gives it."""
        meta = obj.get("metadata") or {}
        return cls(
            obj.get("apiVersion", ""),
            obj.get("kind", ""),
            meta.get("name", ""),
            meta.get("namespace", ""),
            meta.get("uid", ""),
        )


def parse_target(text: str, *, namespace: str = "", cluster: str = "") -> Target:
    """Reads ``kind/name`` as kubectl writes it (short names allowed).

    Raises:
        UsageError: no slash, no name, or a kind that Backout can't go back on.
    """
    kind, slash, name = text.partition("/")
    kind = _kind(kind.lower())
    if not slash or not name or "/" in name:
        raise UsageError(
            "{text} is not a target.", text=text, expected="kind/name, such as helm/thanos or deployment/thanos-query"
        )
    if kind not in _KINDS and not is_custom(kind):
        raise UsageError(
            "{kind} is not a kind of target.",
            kind=kind,
            expected="one of {known}, or a custom resource by its kind and group, such as rollout.argoproj.io/web",
            known=", ".join(sorted(_KINDS)),
        )
    return Target(kind, name, namespace, cluster)


def is_custom(kind: str) -> bool:
    """True for a kind of target that is a custom resource: ``kind.group``, as kubectl takes it."""
    return "." in kind.partition(".")[2]


def custom_kind(api_version: str, kind: str) -> str:
    """How a custom resource is called as a target."""
    return f"{kind.lower()}.{api_version.partition('/')[0]}"


def _kind(word: str) -> str:
    """As kubectl takes it: short, plural, or with the API group."""
    word = _ALIASES.get(word, word)
    if word in _KINDS:
        return word
    meant = plain(word)
    workloads = {kind: ("apps/v1", name) for kind, name in WORKLOADS.items()}
    for kind, (api_version, name) in {**workloads, **OBJECTS, **CLUSTER_OBJECTS}.items():
        if meant in called(api_version, name):
            return kind
    return word


def goes_back(kind: str) -> bool:
    """True for a kind of target that some way back takes."""
    return kind in ("helm", "app") or kind in WORKLOADS or kind in OBJECTS or is_custom(kind)
