# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetwin.apiserver.patch import json_patch, merge_patch
from kubetwin.apiserver.status import ApiError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("abc/~", min_size=1, max_size=3), JSON, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return value


@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        # The examples of RFC 7386, appendix A, that are about objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches(doc: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    assert merge_patch.apply(doc, patch) == result


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_applied_twice_changes_nothing_more(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = repr(doc)
    once = merge_patch.apply(doc, patch)
    assert merge_patch.apply(once, patch) == once
    assert repr(doc) == before


@given(OBJECTS)
def test_a_document_without_nulls_is_a_merge_patch_to_itself(doc: dict[str, Any]) -> None:
    plain = without_nulls(doc)
    assert merge_patch.apply({}, plain) == plain
    assert merge_patch.apply(plain, plain) == plain


@pytest.mark.parametrize(
    ("doc", "operations", "result"),
    [
        # Examples of RFC 6902, appendix A.
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "qux"}], {"baz": "qux"}),
        ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"g": {}}}], {"foo": "bar", "child": {"g": {}}}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
        ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
        # Ways of the server's library.
        ({}, [{"op": "replace", "path": "/new", "value": 1}], {"new": 1}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1]}),
        ({"a": 1}, [{"op": "test", "path": "/missing", "value": None}], {"a": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_json_patches(doc: dict[str, Any], operations: list[dict[str, Any]], result: dict[str, Any]) -> None:
    before = repr(doc)
    assert json_patch.apply(doc, operations) == result
    assert repr(doc) == before


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/missing"}],
        [{"op": "add", "path": "/missing/a", "value": 1}],
        [{"op": "add", "path": "/list/9", "value": 1}],
        [{"op": "add", "path": "/list/x", "value": 1}],
        [{"op": "replace", "path": "/list/9", "value": 1}],
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "test", "path": "/flag", "value": 1}],
        [{"op": "move", "from": "/missing", "path": "/b"}],
        [{"op": "copy", "path": "/b"}],
        [{"op": "nosuch", "path": "/a"}],
        [{"op": "add"}],
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operations: list[dict[str, Any]]) -> None:
    doc: dict[str, Any] = {"a": 1, "flag": True, "list": [1]}
    with pytest.raises(ApiError) as caught:
        json_patch.apply(doc, operations)
    status = caught.value.to_status()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["message"] == "the server rejected our request due to an error in our request"
    assert doc == {"a": 1, "flag": True, "list": [1]}


def test_what_is_no_json_patch_is_a_bad_request() -> None:
    with pytest.raises(ApiError) as caught:
        json_patch.apply({}, {"op": "add"})
    assert caught.value.code == 400
    assert caught.value.message == (
        "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
    )


def test_too_many_operations_are_refused() -> None:
    operations = [{"op": "test", "path": "/a", "value": 1}] * (json_patch.MAX_OPERATIONS + 1)
    with pytest.raises(ApiError) as caught:
        json_patch.apply({"a": 1}, operations)
    assert caught.value.code == 413


@given(OBJECTS, st.text("ab/~", max_size=3), JSON)
def test_what_was_added_can_be_tested_and_removed(doc: dict[str, Any], name: str, value: Any) -> None:
    path = "/" + name.replace("~", "~0").replace("/", "~1")
    added = json_patch.apply(
        doc, [{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value}]
    )
    assert added[name] == value
    removed = json_patch.apply(added, [{"op": "remove", "path": path}])
    assert removed == {key: item for key, item in doc.items() if key != name}
