# SPDX-License-Identifier: Apache-2.0
"""Objects of every namespaced kind, generated from the published Kubernetes schema, and changes of them."""

from __future__ import annotations

import base64
import copy
from typing import Any

from hypothesis import strategies as st

from backout.cluster.port import Object, Resource
from backout.kube.sanitise import DERIVED
from kubetwin.apiserver.builtin import TABLE
from kubetwin.apiserver.schema import Schema, for_kind

DEPTH = 7
"""Deeper fields are left out where they may be."""
SERVERS = ("metadata", "status", "apiVersion", "kind")


def served() -> list[Resource]:
    """Every namespaced kind that can be listed and written, once each; and one that a CRD defines."""
    found: dict[tuple[str, str], Resource] = {}
    version = ""
    for line in TABLE.replace("\\\n", "").strip().splitlines():
        if line.startswith("@"):
            version = line[1:].strip()
            continue
        plural, kind, scope, *rest = line.split()
        resource = Resource(version, kind, plural)
        verbs = next((word for word in rest if word.startswith("verbs=")), "")
        if scope == "N" and not verbs and for_kind(version, kind) is not None:
            found.setdefault((resource.group, kind), resource)
    kept = [resource for key, resource in found.items() if key not in DERIVED]
    return [*kept, Resource("example.org/v1", "Widget", "widgets")]


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40) | st.just("line\nline\n")
KEYS = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
MAPS = st.dictionaries(KEYS, TEXTS, max_size=4)
NUMBERS = st.integers(-(2**31), 2**31 - 1)
QUANTITIES = st.sampled_from(["0", "100m", "1", "1.5Gi", "128Mi", "1e3", "2k"])
TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-11-22T23:59:59Z"])
BYTES = st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode())
FREE = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(-1e9, 1e9, allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
NOTES = st.sampled_from(
    [
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
        "example.org/note",
        "pv.kubernetes.io/bind-completed",
        "argocd.argoproj.io/sync-wave",
        "kubernetes.io/change-cause",
    ]
)


@st.composite
def value(draw: st.DrawFn, schema: Schema, depth: int = 0) -> Any:
    """A value of a type of the schema."""
    if schema.enum:
        return draw(st.sampled_from(schema.enum))
    definition = schema.definition.rpartition(".")[2]
    if definition == "Quantity":
        return draw(QUANTITIES)
    if definition in ("Time", "MicroTime"):
        return draw(TIMES)
    if schema.int_or_string or definition == "IntOrString":
        return draw(NUMBERS | TEXTS)
    if schema.properties:
        return draw(fields(schema, depth))
    if schema.additional_properties is not None and depth < DEPTH:
        return draw(st.dictionaries(KEYS, value(schema.additional_properties, depth + 1), max_size=3))
    if schema.type == "array":
        most = 2 if depth < DEPTH else 0
        return draw(st.lists(value(schema.items, depth + 1), max_size=most)) if schema.items and most else []
    simple = {
        "integer": NUMBERS,
        "number": st.floats(-1e9, 1e9, allow_nan=False),
        "boolean": st.booleans(),
        "string": BYTES if schema.format == "byte" else TIMES if schema.format == "date-time" else TEXTS,
    }
    return draw(simple.get(schema.type, FREE if depth < DEPTH else st.just({})))


@st.composite
def fields(draw: st.DrawFn, schema: Schema, depth: int, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What is required, and a few of the rest."""
    names = sorted(set(schema.properties) - set(without))
    few = draw(st.lists(st.sampled_from(names), max_size=4 if depth < 3 else 1, unique=True)) if names else []
    if depth >= DEPTH:
        few = []
    wanted = [name for name in names if name in few or name in schema.required]
    return {name: draw(value(schema.properties[name], depth + 1)) for name in wanted}


@st.composite
def metadata(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Of people and of controllers."""
    found: dict[str, Any] = {"name": name, "namespace": "n"}
    if draw(st.booleans()):
        found["labels"] = draw(MAPS)
    notes = draw(st.dictionaries(NOTES, TEXTS, max_size=3))
    if notes:
        found["annotations"] = notes
    if draw(st.integers(0, 5)) == 0:
        # Not a controller: such an object is kept and put back.
        found["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-o"}]
    return found


@st.composite
def objects(draw: st.DrawFn, resource: Resource, name: str) -> Object:
    """An object as a client would send it."""
    schema = for_kind(resource.api_version, resource.kind)
    body = draw(st.dictionaries(KEYS, FREE, max_size=4)) if schema is None else draw(fields(schema, 0, SERVERS))
    for reserved in SERVERS:
        body.pop(reserved, None)
    if resource.kind == "Secret" and body.get("type") in ("kubernetes.io/service-account-token", "helm.sh/release.v1"):
        del body["type"]
    body.pop("stringData", None)
    if resource.kind == "Service":
        # The server gives addresses; whoever asks for one asks for none, mostly.
        for field in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
            body.get("spec", {}).pop(field, None)
        body.setdefault("spec", {})["type"] = draw(st.sampled_from(["ClusterIP", "NodePort", "ExternalName"]))
        if body["spec"]["type"] == "ClusterIP" and draw(st.booleans()):
            body["spec"]["clusterIP"] = "None"
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": draw(metadata(name)), **body}


@st.composite
def changes(draw: st.DrawFn, resource: Resource, before: Object) -> Object:
    """A bad change of an object: other fields, more of them, fewer of them, other labels and notes."""
    other = draw(objects(resource, before["metadata"]["name"]))
    result = copy.deepcopy(before)
    for name in draw(st.sets(st.sampled_from(sorted({*before, *other} - {"apiVersion", "kind"})), min_size=1)):
        if name == "metadata":
            for part in ("labels", "annotations"):
                if part in other["metadata"]:
                    result["metadata"][part] = other["metadata"][part]
                else:
                    result["metadata"].pop(part, None)
        elif name in other:
            result[name] = other[name]
        else:
            result.pop(name, None)
    if isinstance(result.get("data"), dict):
        result["data"] = {**result["data"], "added-by-mistake": base64.b64encode(b"x").decode()}
    return result


def statuses(resource: Resource) -> st.SearchStrategy[Any]:
    """What a controller may have written as status."""
    schema = for_kind(resource.api_version, resource.kind)
    if schema is None:
        return FREE
    found = schema.properties.get("status")
    return value(found, 1) if found is not None else st.just({})
