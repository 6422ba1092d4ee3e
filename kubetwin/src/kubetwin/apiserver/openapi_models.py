# SPDX-License-Identifier: Apache-2.0
"""Schemas of kinds as OpenAPI v2 and v3 documents carry them."""

from __future__ import annotations

from functools import cache
from typing import Any

from kubetwin.apiserver.schema import builtin, crd

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_V2 = "#/definitions/"
_V3 = "#/components/schemas/"

# What only the third version can say.
_V3_ONLY = ("anyOf", "oneOf", "not", "nullable", "x-kubernetes-validations")

Model = dict[str, Any]


def references(model: Any) -> set[str]:
    """Names of the definitions that a model refers to directly."""
    found: set[str] = set()
    pending = [model]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                found.add(reference.rpartition("/")[2])
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return found


def closure(names: set[str], custom: dict[str, Model]) -> dict[str, Model]:
    """The named definitions and all they refer to, in the second version's form; ``custom`` are those of CRDs."""
    models: dict[str, Model] = {}
    pending = set(names)
    while pending:
        name = pending.pop()
        if name in models:
            continue
        model = custom[name] if name in custom else built_in(name)
        models[name] = model
        pending |= (_built_in_references(name) if name not in custom else references(model)) - models.keys()
    return dict(sorted(models.items()))


@cache
def built_in(name: str) -> Model:
    """A built-in definition; its defaults are left to the third version."""
    return builtin.raw_definition(name)


@cache
def _built_in_references(name: str) -> frozenset[str]:
    return frozenset(references(built_in(name)))


def second(model: Model) -> Model:
    """The form of an OpenAPI v2 document: no defaults, nothing that it has no word for."""
    out: Model = _second(model)
    return out


def _second(node: Any, *, names: bool = False) -> Any:
    if isinstance(node, dict):
        if names:
            return {name: _second(value) for name, value in node.items()}
        return {
            name: _second(value, names=name == "properties")
            for name, value in node.items()
            if name != "default" and name not in _V3_ONLY
        }
    return [_second(item) for item in node] if isinstance(node, list) else node


@cache
def third(name: str) -> Model:
    """A built-in definition in the form of an OpenAPI v3 document, with the zero values of fields that always show."""
    model = _third(built_in(name))
    if name == _QUANTITY:
        del model["type"]
        model["oneOf"] = [{"type": "string"}, {"type": "number"}]
    elif name == _INT_OR_STRING:
        del model["type"]
        model["oneOf"] = [{"type": "integer"}, {"type": "string"}]
    for field, zero in builtin.data().facts.written.get(name, {}).items():
        schema = model["properties"].get(field)
        if schema is None or zero is None or "default" in schema:
            continue
        target = schema.get("$ref") or schema.get("allOf", [{}])[0].get("$ref", "")
        if target.endswith(("Quantity", "IntOrString")):
            continue
        if "$ref" in schema:
            schema["allOf"] = [{"$ref": schema.pop("$ref")}]
        schema["default"] = {} if "allOf" in schema else zero
    out: Model = model
    return out


def _third(node: Any, *, names: bool = False) -> Any:
    if isinstance(node, list):
        return [_third(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {name: _third(value) for name, value in node.items()}
    out: Model = {}
    for name, value in node.items():
        if name == "$ref":
            out[name] = value.replace(_V2, _V3)
        else:
            out[name] = _third(value, names=name == "properties")
    if "$ref" in out and len(out) > 1:
        out["allOf"] = [{"$ref": out.pop("$ref")}]
    return out


def custom_third(model: Model) -> Model:
    """A custom resource's schema in a v3 document: as its definition says it, references apart."""
    out: Model = _referring(model)
    return out


def _referring(node: Any) -> Any:
    if isinstance(node, dict):
        if "$ref" in node and isinstance(node["$ref"], str):
            rest = {name: value for name, value in node.items() if name != "$ref"}
            target = {"$ref": node["$ref"].replace(_V2, _V3)}
            return {**rest, "allOf": [target]} if rest else target
        return {name: _referring(value) for name, value in node.items()}
    return [_referring(item) for item in node] if isinstance(node, list) else node


def custom_name(group: str, version: str, kind: str) -> str:
    """The name of a custom kind's definition: the group turned round, ``com.example.v1.Widget``."""
    return ".".join([*reversed(group.split(".")), version, kind])


def custom_models(group: str, version: str, kind: str, list_kind: str, schema: Model) -> dict[str, Model]:
    """The definitions of a custom kind and its list."""
    name = custom_name(group, version, kind)
    model = crd.with_metadata(schema)
    model["x-kubernetes-group-version-kind"] = [{"group": group, "kind": kind, "version": version}]
    type_meta = {field: model["properties"][field] for field in ("apiVersion", "kind")}
    listed = {
        "description": f"{list_kind} is a list of {kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **type_meta,
            "items": {"description": "The items.", "type": "array", "items": {"$ref": f"{_V2}{name}"}},
            "metadata": {"description": "Standard list metadata.", "$ref": f"{_V2}{builtin.LIST_META}"},
        },
        "x-kubernetes-group-version-kind": [{"group": group, "kind": list_kind, "version": version}],
    }
    return {name: model, custom_name(group, version, list_kind): listed}
