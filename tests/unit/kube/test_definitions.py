# SPDX-License-Identifier: Apache-2.0
"""A live definition against the one that a chart brings: what differs is told, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from backout.kube.definitions import compare_definitions


def definition(
    called: str = "0.73.0", *, fields: tuple[str, ...] = ("size",), versions: tuple[str, ...] = ("v1",)
) -> Any:
    properties = {name: {"type": "string", "description": f"what {name} is"} for name in fields}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    return {
        "metadata": {"name": "stores.data.example", "annotations": {"data.example/version": called}},
        "spec": {
            "versions": [
                {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}}
                for name in versions
            ]
        },
    }


def test_what_a_server_adds_and_words_of_a_schema_are_no_difference() -> None:
    live: dict[str, Any] = copy.deepcopy(definition())
    live["spec"]["conversion"] = {"strategy": "None"}
    live["status"] = {"storedVersions": ["v1"]}
    live["metadata"]["annotations"]["controller-gen.kubebuilder.io/version"] = "v9"
    live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["description"] = "other words"
    assert compare_definitions(live, definition()) is None


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, {"missing": True, "wanted": "0.73.0"}),
        (definition("0.72.0"), {"live": "0.72.0", "wanted": "0.73.0", "lacks": (), "more": ()}),
        (definition(fields=()), {"lacks": ("spec.size",)}),
        (definition(fields=("size", "colour")), {"more": ("spec.colour",)}),
        (definition(versions=("v2",)), {"unserved": ("v1",)}),
        (
            definition(versions=("v1", "v2")) | {"status": {"storedVersions": ["v1", "v2"]}},
            {"stored": ("v2",), "unserved": ()},
        ),
    ],
)
def test_what_differs_is_named(live: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    gap = compare_definitions(live, definition())
    assert gap is not None
    assert {name: getattr(gap, name) for name in expected} == expected


def test_a_field_of_another_type_is_one_that_is_lacking() -> None:
    live = definition()
    live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]["type"] = (
        "integer"
    )
    gap = compare_definitions(live, definition())
    assert gap is not None and gap.lacks == ("spec.size",)
