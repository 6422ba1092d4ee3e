# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from recorded import case, cases

from kubetwin.apiserver import defaults, schema, validation
from kubetwin.apiserver.patch import json_patch, merge_patch, strategic
from kubetwin.apiserver.status import ApiError
from kubetwin.apiserver.validation import metadata, names, strict
from kubetwin.apiserver.validation.batch import schedule_problem
from kubetwin.apiserver.validation.errors import Errors

# Differences that the server shows of its own types, which are not those of the wire.
INTERNAL_DIFFERENCE = ("pod-spec", "pvc-accessmodes", "pvc-storageclass", "pv-source")


def prepared(obj: dict[str, Any]) -> schema.Schema:
    node = schema.for_kind(obj["apiVersion"], obj["kind"])
    assert node is not None
    schema.decode(obj, node)
    defaults.apply(obj["apiVersion"], obj["kind"], obj)
    return node


def causes(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[dict[str, str]]:
    found = validation.validate(obj["apiVersion"], obj["kind"], obj, old, prepared(obj))
    return [{"reason": c.reason, "message": c.message, "field": c.field} for c in found]


@pytest.mark.parametrize("name", cases("invalid"))
def test_new_objects_are_refused_in_the_words_of_a_real_server(name: str) -> None:
    recorded = case("invalid", name)
    recorded["request"].setdefault("metadata", {})
    expected = recorded["causes"]
    found = causes(recorded["request"])
    if name == "422-label-value":
        # The server walks labels in no particular order.
        found, expected = sorted(found, key=str), sorted(expected, key=str)
    assert found == expected


@pytest.mark.parametrize("name", cases("immutable"))
def test_what_may_not_change_is_refused_in_the_words_of_a_real_server(name: str) -> None:
    recorded = case("immutable", name)
    old, patch = recorded["old"], recorded["patch"]
    node = schema.for_kind(old["apiVersion"], old["kind"])
    assert node is not None
    if recorded["type"] == "json":
        new = json_patch.apply(old, patch)
    else:
        new = strategic.apply(old, patch, node) if recorded["type"] == "strategic" else merge_patch.apply(old, patch)
    new = schema.clone(new)
    if new["kind"] == "Service":
        new["spec"]["clusterIPs"] = [new["spec"]["clusterIP"]]
    found, expected = causes(new, old), recorded["causes"]
    if name in INTERNAL_DIFFERENCE:
        found, expected = (
            [{**cause, "message": cause["message"].split("\n")[0]} for cause in listed] for listed in (found, expected)
        )
    assert found == expected


@pytest.mark.parametrize("name", cases("defaults"))
def test_what_a_real_server_takes_is_taken(name: str) -> None:
    request = case("defaults", name)["request"]
    if request["kind"] == "Service" and request["spec"].get("clusterIP"):
        # The resource's preparation keeps the two forms of the address alike.
        request["spec"]["clusterIPs"] = [request["spec"]["clusterIP"]]
    assert causes(request) == []


def pod(**container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": spec}


def test_an_immutable_config_map_stays_as_it_is() -> None:
    old = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"},
        "data": {"a": "b"},
        "immutable": True,
    }
    frozen = "Forbidden: field is immutable when `immutable` is set"
    new = schema.clone(old)
    new["data"] = {"a": "c"}
    assert causes(new, old) == [{"field": "data", "reason": "FieldValueForbidden", "message": frozen}]
    new = schema.clone(old)
    del new["immutable"]
    assert causes(new, old) == [{"field": "immutable", "reason": "FieldValueForbidden", "message": frozen}]


def test_a_pod_may_not_gain_containers() -> None:
    old = pod()
    old["metadata"]["resourceVersion"] = "1"
    prepared(old)
    new = schema.clone(old)
    new["spec"]["containers"].append({**old["spec"]["containers"][0], "name": "d"})
    assert [cause["message"] for cause in causes(new, old)] == [
        "Forbidden: pod updates may not add or remove containers"
    ]


def test_status_changes_are_not_held_to_the_rules_of_the_spec() -> None:
    old = pod()
    old["metadata"]["resourceVersion"] = "1"
    prepared(old)
    old["spec"]["containers"][0]["name"] = "Not A Name"
    new = schema.clone(old)
    new["status"] = {"phase": "Running"}
    assert validation.validate("v1", "Pod", new, old, None, "status") == []


def test_finalizers_need_a_domain_in_built_in_kinds_only() -> None:
    meta = {"name": "a", "finalizers": ["resources-finalizer.argocd.argoproj.io"]}
    assert (
        "neither a standard finalizer"
        in causes({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}, None)[0]["message"]
    )
    errors = Errors()
    metadata.created(errors, meta, names.dns_subdomain, custom=True)
    assert not errors


def test_finalizers_cannot_be_added_to_what_is_being_deleted() -> None:
    metadata = {"name": "a", "resourceVersion": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    old = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    new = schema.clone(old)
    new["metadata"]["finalizers"] = ["example.com/x"]
    assert causes(new, old)[0]["message"] == (
        "Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"example.com/x"}'
    )


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("*/5 * * * *", ""),
        ("@hourly", ""),
        ("@every 1h30m", ""),
        ("0 0 1 jan mon-fri", ""),
        ("bad", "expected exactly 5 fields, found 1: [bad]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
def test_schedules(schedule: str, problem: str) -> None:
    assert schedule_problem(schedule) == problem


WIDGET = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "colour": {"type": "string", "enum": ["red", "blue"]},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "fixed": {
                    "type": "string",
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}],
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "some": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
            },
        }
    },
}
UNCHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def widget(spec: Any, old: Any = None) -> list[tuple[str, str]]:
    node = schema.from_crd(WIDGET)

    def obj(value: Any) -> dict[str, Any]:
        out = {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"},
        }
        return out if value is None else {**out, "spec": value}

    before = obj(old) if old is not None else None
    found = validation.validate("example.com/v1", "Widget", obj(spec), before, node)
    return [(cause.field, cause.message) for cause in found]


def test_custom_resources_are_held_to_their_schema() -> None:
    assert widget({"size": 3, "colour": "red", "some": "x"}) == []
    assert widget(None) == [("spec", "Required value"), ("<nil>", UNCHECKED)]
    assert widget({"size": "three"}) == [
        ("spec.size", 'Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ("<nil>", UNCHECKED),
    ]
    assert widget({"size": 30, "colour": "green", "name": "TooLong", "tags": ["x", "x"]}) == [
        ("spec.size", "Invalid value: 30: spec.size in body should be less than or equal to 10"),
        ("spec.colour", 'Unsupported value: "green": supported values: "red", "blue"'),
        ("spec.name", "Too long: may not be more than 5 bytes"),
        ("spec.tags[1]", 'Duplicate value: "x"'),
        ("<nil>", UNCHECKED),
    ]
    assert widget({"size": 3, "fixed": "y"}, {"size": 3, "fixed": "x"}) == [
        ("spec.fixed", 'Invalid value: "y": fixed is immutable')
    ]


def test_bodies_with_repeated_fields() -> None:
    body = b'{"a":1,"b":{"c":2,"c":3},"l":[{"x":1,"x":2}]}'
    assert strict.decode_json(body) == ({"a": 1, "b": {"c": 3}, "l": [{"x": 2}]}, ["b.c", "l[0].x"])
    assert strict.decode_json(b'{"a": 1}\n') == ({"a": 1}, [])
    text = b"a: 1\nl:\n- x: 1\n  x: 2\n"
    assert strict.decode_yaml(text) == ({"a": 1, "l": [{"x": 2}]}, ['line 4: key "x" already set in map'])
    merged = b"a: &a {x: 1}\nb: {<<: *a, x: 2}\n"
    assert strict.decode_yaml(merged) == ({"a": {"x": 1}, "b": {"x": 2}}, [])


def test_yaml_is_read_as_the_server_reads_it() -> None:
    text = b'a: yes\nb: 2020-01-01\nc: 1e3\nd: 0777\n1: x\ne: 1:30\nf:\ng: "yes"\nh: &x {i: 1}\nj: *x\n'
    obj, duplicates = strict.decode_yaml(text)
    assert obj == {
        "a": True,
        "b": "2020-01-01",
        "c": 1000.0,
        "d": 511,
        "1": "x",
        "e": "1:30",
        "f": None,
        "g": "yes",
        "h": {"i": 1},
        "j": {"i": 1},
    }
    assert duplicates == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
        (
            b"{not json",
            "couldn't get version/kind; json parse error: invalid character 'n' looking for beginning of object key "
            "string ({not json)",
        ),
        (b'{"a":1} x', "couldn't get version/kind; json parse error: invalid character 'x' after top-level value "),
        (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        (b'{"a":"\x01"}', "invalid character '\\x01' in string literal"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"[1 2]", "invalid character '2' after array element"),
    ],
)
def test_malformed_json_is_refused_in_the_decoders_words(body: bytes, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        strict.decode_json(body, "ConfigMap")
    assert caught.value.code == 400
    assert caught.value.message.startswith("the object provided is unrecognized (must be of type ConfigMap): ")
    assert text in caught.value.message


def test_malformed_yaml_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        strict.decode_yaml(b"a: [", "ConfigMap")
    assert caught.value.message == (
        "the object provided is unrecognized (must be of type ConfigMap): "
        "yaml: line 1: did not find expected node content (613a205b)"
    )
    with pytest.raises(ApiError) as caught:
        strict.decode_apply(b"a: [")
    assert caught.value.message == (
        "error decoding YAML: error converting YAML to JSON: yaml: line 1: did not find expected node content"
    )
