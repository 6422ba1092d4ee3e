# SPDX-License-Identifier: Apache-2.0
"""What a command is pointed at, and names of single objects."""

from __future__ import annotations

import msgspec

from backout.errors import UsageError

WORKLOADS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}

OBJECTS = {
    "configmap": ("v1", "ConfigMap"),
    "secret": ("v1", "Secret"),
    "service": ("v1", "Service"),
    "ingress": ("networking.k8s.io/v1", "Ingress"),
}
"""Single objects that are put back from a snapshot: apiVersion and kind."""

_ALIASES = {
    "deploy": "deployment",
    "deployments": "deployment",
    "deployment.apps": "deployment",
    "sts": "statefulset",
    "statefulsets": "statefulset",
    "statefulset.apps": "statefulset",
    "ds": "daemonset",
    "daemonsets": "daemonset",
    "daemonset.apps": "daemonset",
    "cm": "configmap",
    "svc": "service",
    "ing": "ingress",
    "release": "helm",
}
_KINDS = {*WORKLOADS, "helm", "configmap", "secret", "service", "ingress", "pvc", "app", "blocks", "git"}


class Target(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """``kind/name`` in a namespace of a cluster; ``kind`` is lower case, ``helm`` stands for a release."""

    kind: str
    name: str
    namespace: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


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
    kind = _ALIASES.get(kind.lower(), kind.lower())
    if not slash or not name or "/" in name:
        raise UsageError(
            "{text} is not a target.", text=text, expected="kind/name, such as helm/thanos or deployment/thanos-query"
        )
    if kind not in _KINDS:
        raise UsageError(
            "{kind} is not a kind of target.", kind=kind, expected="one of {known}", known=", ".join(sorted(_KINDS))
        )
    return Target(kind, name, namespace, cluster)
