# SPDX-License-Identifier: Apache-2.0
"""Lists: selectors, pages, their expiry."""

from __future__ import annotations

import base64
import json

import pytest
from cluster_harness import Cluster
from cluster_harness.http import TABLE
from cluster_harness.objects import config_map


@pytest.fixture
def five(cluster: Cluster, ns: str) -> str:
    """The path of five config maps, a to e, labelled odd or even."""
    path = f"/api/v1/namespaces/{ns}/configmaps"
    cluster.wait(f"{path}/kube-root-ca.crt", lambda _: True)
    for number, name in enumerate("abcde"):
        cluster.post(path, config_map(name, labels={"n": str(number), "kind": "odd" if number % 2 else "even"})).ok()
    return path


def names(body: dict[str, object]) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]  # type: ignore[attr-defined, union-attr]


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("kind=odd", "bd"),
        ("kind==odd", "bd"),
        ("kind=odd,n=1", "b"),
        ("kind in (odd, even)", "abcde"),
        ("kind notin (odd),kind", "ace"),
        ("n,kind!=even", "bd"),
        ("!missing,kind", "abcde"),
        ("n>2", "de"),
        ("n<1", "a"),
        ("missing", ""),
        ("kind=odd,kind=even", ""),
    ],
)
def test_label_selectors(cluster: Cluster, five: str, selector: str, wanted: str) -> None:
    assert names(cluster.get(five, query={"labelSelector": selector}).ok()) == list(wanted)


def test_field_selectors(cluster: Cluster, ns: str, five: str) -> None:
    assert names(cluster.get(five, query={"fieldSelector": "metadata.name=c"}).ok()) == ["c"]
    assert names(cluster.get(five, query={"fieldSelector": "metadata.name!=c"}).ok()) == [
        *list("abde"),
        "kube-root-ca.crt",
    ]
    everywhere = cluster.get("/api/v1/configmaps", query={"fieldSelector": f"metadata.namespace={ns},metadata.name=a"})
    assert names(everywhere.ok()) == ["a"]


def test_field_selectors_of_pods(cluster: Cluster, ns: str) -> None:
    pods = f"/api/v1/namespaces/{ns}/pods"
    for name in ("a", "b"):
        spec = {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {"no": "where"}}
        cluster.post(pods, {"metadata": {"name": name}, "spec": spec}).ok()
    assert names(cluster.get(pods, query={"fieldSelector": "status.phase=Pending,spec.nodeName="}).ok()) == ["a", "b"]
    assert names(cluster.get(pods, query={"fieldSelector": "status.phase!=Pending"}).ok()) == []
    assert names(cluster.get(pods, query={"fieldSelector": "spec.restartPolicy=Always,metadata.name=b"}).ok()) == ["b"]
    assert names(cluster.get(pods, query={"fieldSelector": "spec.serviceAccountName=default"}).ok()) == ["a", "b"]


def test_a_list(cluster: Cluster, five: str) -> None:
    found = cluster.get(five, query={"labelSelector": "kind"}).ok()
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert set(found["metadata"]) == {"resourceVersion"}
    assert all("kind" not in item and "apiVersion" not in item for item in found["items"])
    empty = cluster.get(five, query={"labelSelector": "kind=none"}).ok()
    assert empty["items"] == []


def test_pages(cluster: Cluster, five: str) -> None:
    query = {"limit": 2}
    first = cluster.get(five, query=query).ok()
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 4
    cluster.post(five, config_map("bb")).ok()
    cluster.delete(f"{five}/d").ok()
    second = cluster.get(five, query={**query, "continue": first["metadata"]["continue"]}).ok()
    assert names(second) == ["c", "d"], "later pages show the same moment as the first"
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = cluster.get(five, query={**query, "continue": second["metadata"]["continue"]}).ok()
    assert names(third) == ["e", "kube-root-ca.crt"]
    assert set(third["metadata"]) == {"resourceVersion"}


def test_pages_with_a_selector_do_not_count_the_rest(cluster: Cluster, five: str) -> None:
    first = cluster.get(five, query={"limit": 2, "labelSelector": "kind=even"}).ok()
    assert names(first) == ["a", "c"]
    assert "remainingItemCount" not in first["metadata"]
    rest = cluster.get(
        five, query={"limit": 2, "labelSelector": "kind=even", "continue": first["metadata"]["continue"]}
    ).ok()
    assert names(rest) == ["e"]


def test_pages_of_a_table(cluster: Cluster, five: str) -> None:
    first = cluster.get(five, query={"limit": 2}, accept=TABLE).ok()
    assert [row["cells"][0] for row in first["rows"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 4
    assert first["metadata"]["continue"]


def test_a_continue_token_goes_with_its_version_only(cluster: Cluster, five: str) -> None:
    token = cluster.get(five, query={"limit": 2}).ok()["metadata"]["continue"]
    status = cluster.get(five, query={"limit": 2, "continue": token, "resourceVersion": "5"}).fails(400, "BadRequest")
    assert status["message"] == "specifying resource version is not allowed when using continue"


def _old_token(token: str) -> str:
    """A token as it was given out at the first version there ever was."""
    raw = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw["rv"] = 1
    return base64.urlsafe_b64encode(json.dumps(raw).encode()).decode().rstrip("=")


def test_an_expired_token_offers_a_fresh_one(cluster: Cluster, five: str) -> None:
    cluster.needs_compaction()
    token = cluster.get(five, query={"limit": 2}).ok()["metadata"]["continue"]
    old = _old_token(token)
    answer = cluster.get(five, query={"limit": 2, "continue": old})
    status = answer.fails(410, "Expired")
    assert status["message"].startswith(
        "The provided continue parameter is too old to display a consistent list result."
    )
    fresh = status["metadata"]["continue"]
    inconsistent = cluster.get(five, query={"limit": 2, "continue": fresh}).ok()
    assert names(inconsistent) == ["c", "d"]
