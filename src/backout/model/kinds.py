# SPDX-License-Identifier: Apache-2.0
"""What kubectl lets people call a kind: kind and plural, alone and with the API group, and the short names."""

from __future__ import annotations

SHORT = {
    "cm": "configmap",
    "svc": "service",
    "ing": "ingress",
    "deploy": "deployment",
    "sts": "statefulset",
    "ds": "daemonset",
    "rs": "replicaset",
    "po": "pod",
    "cj": "cronjob",
    "sa": "serviceaccount",
    "pvc": "persistentvolumeclaim",
    "pv": "persistentvolume",
    "netpol": "networkpolicy",
    "quota": "resourcequota",
    "limits": "limitrange",
    "hpa": "horizontalpodautoscaler",
    "pdb": "poddisruptionbudget",
    "pc": "priorityclass",
    "sc": "storageclass",
    "ns": "namespace",
    "crd": "customresourcedefinition",
    "crds": "customresourcedefinition",
}
"""kubectl's short names of the kinds that every cluster has."""


def plural(kind: str) -> str:
    """The resource of a kind in the API's paths: lower case in, lower case out."""
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def plain(word: str) -> str:
    """A word for a kind in lower case, and whole where it is short."""
    word = word.lower()
    return SHORT.get(word, word)


def called(api_version: str, kind: str, served: str = "") -> frozenset[str]:
    """What a kind is called, in the form of `plain`; ``served``: its plural as the API serves it, where that is known."""
    names = {kind.lower(), served.lower() or plural(kind.lower())}
    group, slash, _ = api_version.partition("/")
    return frozenset(names | {f"{name}.{group}" for name in names} if slash else names)
