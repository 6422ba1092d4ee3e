# SPDX-License-Identifier: Apache-2.0
"""Missing rights become a Role that really grants them."""

from __future__ import annotations

from backout.model.part import Access
from backout.planning.role import roles


def test_rights_of_one_namespace_share_a_role_and_cluster_rights_get_their_own() -> None:
    found = roles(
        [
            Access("get", "", "pods", "a"),
            Access("delete", "", "pods", "a"),
            Access("list", "apps", "deployments", "a"),
            Access("get", "", "namespaces", ""),
        ]
    )
    assert [(role["kind"], role["metadata"].get("namespace")) for role in found] == [
        ("ClusterRole", None),
        ("Role", "a"),
    ]
    assert found[1]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
    ]


def test_names_restrict_only_verbs_that_obey_them() -> None:
    named, created = (
        roles([Access("get", "", "secrets", "a", "x")])[0],
        roles([Access("create", "", "secrets", "a", "x")])[0],
    )
    assert named["rules"][0]["resourceNames"] == ["x"]
    assert "resourceNames" not in created["rules"][0]
