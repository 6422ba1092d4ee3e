# SPDX-License-Identifier: Apache-2.0
"""Missing rights as a Role to apply. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from backout.model.part import Access

NAME = "backout"


def roles(accesses: Iterable[Access], name: str = NAME) -> list[dict[str, Any]]:
    """One Role a namespace, and one ClusterRole for what has none; verbs of the same resource stand together."""
    places: dict[str, list[Access]] = defaultdict(list)
    for access in sorted(set(accesses)):
        places[access.namespace].append(access)
    return [_role(namespace, found, name) for namespace, found in sorted(places.items())]


def _role(namespace: str, accesses: list[Access], name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    kind = "Role" if namespace else "ClusterRole"
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": _rules(accesses)}


def _rules(accesses: list[Access]) -> list[dict[str, Any]]:
    verbs: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for access in accesses:
        verbs[access.group, access.resource, access.name].add(access.verb)
    # Resources of one group that need the same verbs share a rule.
    shared: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, resource, only), needed in verbs.items():
        shared[group, only, tuple(sorted(needed))].add(resource)
    rules = []
    for (group, only, wanted), resources in sorted(shared.items()):
        rule: dict[str, Any] = {"apiGroups": [group], "resources": sorted(resources), "verbs": list(wanted)}
        # RBAC ignores names for create and list: a rule with both would not allow them.
        if only and not {"create", "list", "watch", "deletecollection"} & set(wanted):
            rule["resourceNames"] = [only]
        rules.append(rule)
    return rules


def binding(role: dict[str, Any], user: str) -> dict[str, Any]:
    """Binds a role to a user."""
    namespaced = role["kind"] == "Role"
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding" if namespaced else "ClusterRoleBinding",
        "metadata": dict(role["metadata"]),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
