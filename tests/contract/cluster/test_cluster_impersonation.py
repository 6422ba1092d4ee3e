# SPDX-License-Identifier: Apache-2.0
"""Who one is when one acts as another."""

from __future__ import annotations

from typing import Any

from cluster_harness import Cluster

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def who(cluster: Cluster, headers: dict[str, str], **more: Any) -> Any:
    return cluster.post(REVIEWS, REVIEW, headers=headers, **more).ok()["status"]["userInfo"]


def test_extras_of_a_user(cluster: Cluster) -> None:
    headers = {
        "Impersonate-Extra-Scopes": "view",
        "Impersonate-Extra-Acme.com%2FProject": "p x",
        "Impersonate-Uid": "u",
    }
    found = who(cluster, headers, user="jane", groups=("g",))
    assert found == {
        "username": "jane",
        "uid": "u",
        "groups": ["g", "system:authenticated"],
        "extra": {"scopes": ["view"], "acme.com/project": ["p x"]},
    }


def test_extras_need_a_user(cluster: Cluster) -> None:
    answer = cluster.post(REVIEWS, REVIEW, headers={"Impersonate-Extra-A": "1", "Impersonate-Group": "g"})
    assert answer.fails(400, "BadRequest")["message"] == (
        'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, '
        'Extra:map[string][]string{"a":[]string{"1"}}} without impersonating a user name'
    )


def test_who_is_not_authenticated_is_in_no_such_group(cluster: Cluster) -> None:
    for user, groups in (("jane", ("system:unauthenticated",)), ("system:anonymous", ())):
        answer = cluster.post(REVIEWS, REVIEW, user=user, groups=groups)
        assert f'User "{user}" cannot create resource' in answer.fails(403, "Forbidden")["message"]


def test_extras_need_the_right(cluster: Cluster, ns: str) -> None:
    name, rbac = f"impersonator-{ns}", "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}
    extras = {"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/scopes"], "verbs": ["impersonate"]}
    role = {"metadata": {"name": name}, "rules": [rule, {**extras, "resourceNames": ["view"]}]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": ns}
    cluster.post(f"{rbac}/clusterroles", role).ok()
    cluster.post(
        f"{rbac}/clusterrolebindings", {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
    ).ok()
    try:
        account = f"/api/v1/namespaces/{ns}/serviceaccounts/default"
        token = cluster.post(f"{account}/token", {"spec": {}}).ok()["status"]["token"]
        own = who(cluster, {}, token=token)["extra"]
        assert own["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
        found = who(cluster, {"Impersonate-Extra-Scopes": "view"}, user="jane", token=token)
        assert found["extra"] == {"scopes": ["view"]}
        for wrong in ({"Impersonate-Extra-Scopes": "edit"}, {"Impersonate-Extra-Other": "view"}):
            answer = cluster.post(REVIEWS, REVIEW, headers=wrong, user="jane", token=token)
            # Which right is named first depends on what the server has seen the user do before.
            assert "cannot impersonate" in answer.fails(403, "Forbidden")["message"]
    finally:
        cluster.delete(f"{rbac}/clusterrolebindings/{name}")
        cluster.delete(f"{rbac}/clusterroles/{name}")
