# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetwin.apiserver import schema
from kubetwin.apiserver.patch import strategic
from kubetwin.apiserver.status import ApiError

_node = schema.for_kind("apps/v1", "Deployment")
assert _node is not None
DEPLOYMENT: schema.Schema = _node


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {**spec, "template": {"spec": {"containers": list(containers)}}}}


def containers(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return obj["spec"]["template"]["spec"]["containers"]


def names(obj: dict[str, Any]) -> list[str]:
    return [container["name"] for container in containers(obj)]


LIVE = deployment({"name": "a", "image": "1"}, {"name": "b", "image": "2"})


def patched(patch: dict[str, Any], live: dict[str, Any] = LIVE) -> dict[str, Any]:
    before = repr(live), repr(patch)
    result = strategic.apply(live, patch, DEPLOYMENT)
    assert (repr(live), repr(patch)) == before
    return result


def test_items_merge_by_their_key() -> None:
    result = patched(deployment({"name": "b", "image": "9"}, {"name": "c", "image": "3"}))
    assert sorted(names(result)) == ["a", "b", "c"]
    assert {c["name"]: c["image"] for c in containers(result)} == {"a": "1", "b": "9", "c": "3"}


def test_an_item_can_be_deleted_and_a_list_replaced() -> None:
    assert names(patched(deployment({"name": "b", "$patch": "delete"}))) == ["a"]
    assert names(patched(deployment({"name": "x", "image": "5"}, {"$patch": "replace"}))) == ["x"]


def test_the_order_can_be_set() -> None:
    patch = {"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}}}
    assert names(patched(patch)) == ["b", "a"]
    patch["spec"]["template"]["spec"]["containers"] = [{"name": "b", "image": "9"}]  # type: ignore[assignment]
    result = patched(patch)
    assert names(result) == ["b", "a"]
    assert containers(result)[0]["image"] == "9"


def test_items_of_the_server_keep_their_place() -> None:
    live = deployment({"name": "a"}, {"name": "injected"}, {"name": "b"})
    order = [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    spec = {"$setElementOrder/containers": order, "containers": [{"name": "c", "image": "3"}]}
    result = patched({"spec": {"template": {"spec": spec}}}, live)
    assert names(result) == ["a", "injected", "b", "c"]


def test_a_patch_out_of_its_own_order_is_refused() -> None:
    spec = {"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b"}, {"name": "a"}]}
    with pytest.raises(ApiError, match="doesn't match"):
        patched({"spec": {"template": {"spec": spec}}})


def test_keys_not_retained_go() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(patch, live) == {"spec": {"strategy": {"type": "Recreate"}}}
    with pytest.raises(ApiError) as caught:
        patched({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}}, live)
    assert (caught.value.code, caught.value.message) == (400, "invalid patch format of retainKeys")


def test_sets_of_scalars() -> None:
    live = {"metadata": {"finalizers": ["a/a", "b/b", "c/c"]}}
    patch: dict[str, Any] = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["b/b"], "$setElementOrder/finalizers": ["a/a", "c/c"]}
    }
    assert patched(patch, live) == {"metadata": {"finalizers": ["a/a", "c/c"]}}
    assert patched({"metadata": {"finalizers": ["d/d", "a/a"]}}, live)["metadata"]["finalizers"].count("a/a") == 1


def test_maps_can_be_replaced_or_emptied() -> None:
    live = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    assert patched({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}, live)["metadata"]["labels"] == {"c": "3"}
    assert patched({"metadata": {"labels": {"$patch": "delete"}}}, live)["metadata"]["labels"] == {}
    assert patched({"metadata": {"labels": {"a": None}}}, live)["metadata"]["labels"] == {"b": "2"}


def test_lists_without_a_key_are_replaced() -> None:
    live = deployment({"name": "a", "args": ["x", "y"]})
    assert containers(patched(deployment({"name": "a", "args": ["z"]}), live))[0]["args"] == ["z"]


def test_directives_and_nulls_do_not_reach_a_new_field() -> None:
    env = [{"name": "A", "$patch": "delete"}, {"name": "B", "value": None}]
    result = patched(deployment({"name": "b", "env": env, "args": None, "resources": {"$patch": "delete"}}))
    changed = next(c for c in containers(result) if c["name"] == "b")
    assert changed == {"name": "b", "image": "2", "env": [{"name": "B"}]}


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        (deployment({"image": "x"}), "map: map[image:x] does not contain declared merge key: name"),
        (deployment({"name": "a", "$patch": "nosuch"}), "unknown patch type: nosuch in map: map[$patch:nosuch name:a]"),
        ({"spec": {"$patch": "nosuch"}}, "unknown patch type: nosuch in map: map[$patch:nosuch]"),
    ],
)
def test_malformed_directives_are_refused(patch: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError) as caught:
        patched(patch)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (500, "", text)


CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abcde"), "image": st.sampled_from("123")},
        optional={
            "args": st.lists(st.sampled_from("xyz"), max_size=2),
            "ports": st.lists(
                st.fixed_dictionaries({"containerPort": st.integers(1, 3)}), unique_by=lambda p: p["containerPort"]
            ),
        },
    ),
    unique_by=lambda container: container["name"],
    max_size=4,
)


@given(CONTAINERS)
def test_a_patch_that_says_what_is_there_changes_nothing(items: list[dict[str, Any]]) -> None:
    live = deployment(*items, replicas=1)
    assert strategic.apply(live, live, DEPLOYMENT) == live
    assert strategic.apply(live, {}, DEPLOYMENT) == live


@given(CONTAINERS, CONTAINERS)
def test_a_patch_applied_twice_changes_nothing_more(items: list[dict[str, Any]], changes: list[dict[str, Any]]) -> None:
    once = strategic.apply(deployment(*items), deployment(*changes), DEPLOYMENT)
    assert strategic.apply(once, deployment(*changes), DEPLOYMENT) == once
    assert {c["name"] for c in containers(once)} == {c["name"] for c in (*items, *changes)}


@given(CONTAINERS, CONTAINERS)
def test_an_order_that_names_every_item_is_the_order(
    items: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> None:
    order = [{"name": c["name"]} for c in changes]
    spec: dict[str, Any] = {"$setElementOrder/containers": order, "containers": changes}
    result = strategic.apply(deployment(*items), {"spec": {"template": {"spec": spec}}}, DEPLOYMENT)
    wanted = [c["name"] for c in changes]
    assert [name for name in names(result) if name in wanted] == wanted
