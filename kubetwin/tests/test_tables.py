# SPDX-License-Identifier: Apache-2.0
"""The Table document: columns, rows, what a row carries of its object, custom resources."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from kubetwin.apiserver.tables import _PRINTERS, jsonpath, table

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
OBJECT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "creationTimestamp": "2026-05-01T11:59:00Z"},
    "data": {"a": "1"},
}


@dataclass(frozen=True)
class Kind:
    group: str
    resource: str
    crd_version: dict[str, Any] | None = None


CONFIG_MAPS = Kind("", "configmaps")


def test_document() -> None:
    found = table(CONFIG_MAPS, [OBJECT], metadata={"resourceVersion": "7", "selfLink": "x", "continue": ""}, now=NOW)
    assert found["kind"] == "Table"
    assert found["apiVersion"] == "meta.k8s.io/v1"
    assert found["metadata"] == {"resourceVersion": "7"}
    assert [(c["name"], c["type"], c["format"], c["priority"]) for c in found["columnDefinitions"]] == [
        ("Name", "string", "name", 0),
        ("Data", "string", "", 0),
        ("Age", "string", "", 0),
    ]
    assert found["rows"][0]["cells"] == ["settings", 1, "60s"]
    assert "conditions" not in found["rows"][0]


def test_what_a_row_carries() -> None:
    def carried(include: Any) -> Any:
        return table(CONFIG_MAPS, [OBJECT], include_object=include, version="v1beta1", now=NOW)["rows"][0]["object"]

    assert carried("Object") == OBJECT
    assert carried("None") is None
    assert carried("Metadata") == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1beta1",
        "metadata": OBJECT["metadata"],
    }


def test_without_headers_and_rows() -> None:
    found = table(CONFIG_MAPS, [], no_headers=True, now=NOW)
    assert found["columnDefinitions"] is None
    assert found["rows"] == []


def test_kinds_without_a_printer_show_when_they_were_created() -> None:
    found = table(Kind("rbac.authorization.k8s.io", "roles"), [OBJECT], now=NOW)
    assert [c["name"] for c in found["columnDefinitions"]] == ["Name", "Created At"]
    assert found["columnDefinitions"][1]["type"] == "date"
    assert found["rows"][0]["cells"] == ["settings", "2026-05-01T11:59:00Z"]


def test_scale() -> None:
    scale = {"metadata": {"name": "web"}, "spec": {"replicas": 3}, "status": {"replicas": 2}}
    found = table(Kind("apps", "deployments"), [scale], subresource="scale", now=NOW)
    assert found["rows"][0]["cells"] == ["web", 3, 2, "<unknown>"]
    assert [c["name"] for c in found["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]


def test_descriptions_come_from_the_schema() -> None:
    described = [c.definition() for p in _PRINTERS.values() for c in p.columns]
    assert [c["name"] for c in described if not c["description"]] == ["Handler"]
    node = next(c for c in _PRINTERS["", "pods"].columns if c.name == "Node").definition()
    assert node["description"].startswith("NodeName indicates in which node this pod is scheduled.")


def custom(columns: list[dict[str, Any]], obj: dict[str, Any]) -> dict[str, Any]:
    kind = Kind("example.com", "widgets", {"name": "v1", "additionalPrinterColumns": columns})
    metadata = {"name": "w", "creationTimestamp": "2026-05-01T11:59:00Z"}
    return table(kind, [{"metadata": metadata, **obj}], now=NOW)


WIDGET = {
    "spec": {
        "size": 3,
        "ratio": 0.5,
        "on": True,
        "tags": ["a", "b"],
        "map": {"b": 1, "a": "<"},
        "when": "2026-05-01T11:00:00Z",
    },
    "status": {"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]},
}


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("integer", ".spec.size", 3),
        ("string", ".spec.size", "3"),
        ("number", ".spec.size", 3.0),
        ("number", ".spec.ratio", 0.5),
        ("string", ".spec.ratio", "0.5"),
        ("boolean", ".spec.on", True),
        ("string", ".spec.on", "true"),
        ("integer", ".spec.on", None),
        ("string", ".spec.missing", None),
        ("string", ".spec.tags", '["a","b"]'),
        ("string", ".spec.tags[0]", "a"),
        ("string", ".spec.tags[*]", "a"),
        ("string", ".spec.map", '{"a":"\\u003c","b":1}'),
        ("date", ".spec.when", "60m"),
        ("date", ".spec.tags[0]", "<invalid>"),
        ("string", '.status.conditions[?(@.type=="Ready")].status', "True"),
        ("string", ".status.conditions[?(@.type=='Synced')].status", "False"),
        ("string", ".status.conditions[?(@.type=='Gone')].status", None),
        ("string", ".metadata['name']", "w"),
    ],
)
def test_custom_columns(kind: str, path: str, cell: Any) -> None:
    found = custom([{"name": "Col", "type": kind, "jsonPath": path, "priority": 1}], WIDGET)
    assert found["rows"][0]["cells"] == ["w", cell]
    assert found["columnDefinitions"][1] == {
        "name": "Col",
        "type": kind,
        "format": "",
        "description": f"Custom resource definition column (in JSONPath format): {path}",
        "priority": 1,
    }


def test_custom_resources_without_columns_show_their_age() -> None:
    found = custom([], WIDGET)
    assert [(c["name"], c["type"]) for c in found["columnDefinitions"]] == [("Name", "string"), ("Age", "date")]
    assert found["columnDefinitions"][1]["description"].startswith("CreationTimestamp is a timestamp")
    assert found["rows"][0]["cells"] == ["w", "60s"]


def test_a_path_that_cannot_be_read_leaves_the_name() -> None:
    found = custom([{"name": "Bad", "type": "string", "jsonPath": ".spec[x"}], WIDGET)
    assert found["rows"][0]["cells"] == ["w"]


def test_a_description_that_begins_like_a_reference_is_kept() -> None:
    found = custom([{"name": "C", "type": "string", "jsonPath": ".spec.size", "description": "@here"}], WIDGET)
    assert found["columnDefinitions"][1]["description"] == "@here"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        ("$.a.b", [1]),
        (".list[-1].n", [3]),
        (".list[0:2].n", [1, 2]),
        (".list[::2].n", [1, 3]),
        (".list[0,2].n", [1, 3]),
        ("..n", [1, 2, 3]),
        (".list[?(@.n>1)].n", [2, 3]),
        (".list[?(@.extra)].n", [2]),
        (r".a\.b/c", ["dotted"]),
        (".list[9].n", []),
        (".a.b.c", []),
    ],
)
def test_paths(path: str, found: list[Any]) -> None:
    data = {"a": {"b": 1}, "list": [{"n": 1}, {"n": 2, "extra": 0}, {"n": 3}], "a.b/c": "dotted"}
    assert jsonpath.find(path, data) == found


@pytest.mark.parametrize("path", ["spec", ".a[b]", ".a[", ".a[?(b)]", ".a[?(@.x==y)]"])
def test_bad_paths(path: str) -> None:
    with pytest.raises(jsonpath.JSONPathError):
        jsonpath.parse(path)
