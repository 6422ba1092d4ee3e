# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import time
import zlib
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetwin import quantity
from kubetwin.apiserver import schema
from kubetwin.apiserver.schema import builtin

ROOT = Path(__file__).parents[1]
DATA = ROOT / "src/kubetwin/apiserver/schema/kubernetes.json.zlib"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_twin_schema", ROOT / "tools/generate_twin_schema.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kind(api_version: str, name: str) -> schema.Schema:
    found = schema.for_kind(api_version, name)
    assert found is not None
    return found


def test_the_committed_data_is_what_the_named_package_says() -> None:
    stored = json.loads(zlib.decompress(DATA.read_bytes()))
    source = stored["source"]
    assert source["package"] == "kubernetes-validate"
    if importlib.metadata.version("kubernetes-validate") != source["version"]:
        pytest.skip(f"the data names kubernetes-validate {source['version']}, which is not the one installed")
    _, kubernetes, definitions = generator().package_definitions(source["kubernetes"])
    assert kubernetes == source["kubernetes"]
    assert stored["definitions"] == definitions
    assert stored["kinds"] == generator().kinds_of(definitions)


def test_the_generator_gives_the_same_bytes_for_the_same_input() -> None:
    stored = json.loads(zlib.decompress(DATA.read_bytes()))
    module = generator()
    assert module.encode(stored) == module.encode(json.loads(json.dumps(stored)))
    assert json.loads(zlib.decompress(module.encode(stored))) == stored


def test_the_file_is_small_and_keeps_what_clients_need() -> None:
    assert DATA.stat().st_size < 3_000_000
    container = kind("v1", "Pod").properties["spec"].properties["containers"]
    assert container.keys == ("name",)
    assert container.patch_merge_key == "name"
    assert container.items is not None
    ports = container.items.properties["ports"]
    assert ports.keys == ("containerPort", "protocol")
    assert ports.items is not None
    assert ports.items.properties["protocol"].default == "TCP"
    assert ports.items.properties["protocol"].enum == ["SCTP", "TCP", "UDP"]
    strategy = kind("apps/v1", "Deployment").properties["spec"].properties["strategy"]
    assert strategy.patch_strategies == ("retainKeys",)
    assert kind("apps/v1", "Deployment").properties["spec"].properties["selector"].atomic
    assert "Deployment" in kind("apps/v1", "Deployment").description
    secret = kind("v1", "Secret")
    assert secret.properties["data"].additional_properties is not None
    assert secret.properties["data"].additional_properties.format == "byte"
    finalizers = schema.object_meta().properties["finalizers"]
    assert finalizers.keys == ()


def test_unknown_kinds_have_no_schema() -> None:
    assert schema.for_kind("apps/v1", "Nonsense") is None
    assert schema.for_kind("apps/v9", "Deployment") is None


def test_every_definition_can_be_read() -> None:
    for name in builtin.data().definitions:
        node = schema.definition(name)
        for child in node.properties.values():
            assert child.type in ("", "array", "boolean", "integer", "number", "object", "string")


def test_decoding_writes_zero_values_and_drops_empty_ones() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {}},
        "spec": {"hostNetwork": False, "nodeName": None, "containers": [{"name": "c", "image": "i", "args": []}]},
    }
    assert schema.decode(pod, kind("v1", "Pod")) == []
    assert pod == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]},
        "status": {},
    }


def test_decoding_is_idempotent_for_every_kind() -> None:
    for name in builtin.data().kinds:
        api_version, _, kind_name = name.rpartition("/")
        obj = {"apiVersion": api_version, "kind": kind_name}
        schema.decode(obj, kind(api_version, kind_name))
        again = schema.clone(obj)
        assert schema.decode(again, kind(api_version, kind_name)) == []
        assert again == obj


def test_unknown_fields_are_dropped_and_named() -> None:
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "bogus": 1,
        "spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "b", "imagee": "x"}]}}},
    }
    unknown = schema.decode(obj, kind("apps/v1", "Deployment"))
    assert sorted(unknown) == ["bogus", "spec.template.spec.containers[1].imagee"]
    assert "bogus" not in obj


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"spec": {"replicas": "three"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"env": [{"value": 1}]}]}}}},
            "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value "
            "of type string",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {"spec": {"template": {"spec": {"containers": {}}}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers "
            "of type []v1.Container",
        ),
    ],
)
def test_wrong_types_are_refused_in_the_decoders_words(body: dict[str, object], text: str) -> None:
    with pytest.raises(schema.TypeMismatch) as caught:
        schema.decode(body, kind("apps/v1", "Deployment"))
    assert str(caught.value) == text


def test_bad_base64_and_quantities_are_refused() -> None:
    with pytest.raises(schema.TypeMismatch, match="illegal base64 data at input byte 0"):
        schema.decode({"data": {"a": "%%"}}, kind("v1", "Secret"))
    spec = {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}
    with pytest.raises(schema.TypeMismatch, match="quantities must match the regular expression"):
        schema.decode({"spec": spec}, kind("v1", "Pod"))


def test_an_empty_list_of_managed_fields_is_a_request_and_stays() -> None:
    obj = {"metadata": {"name": "a", "managedFields": []}}
    schema.decode(obj, kind("v1", "ConfigMap"))
    assert obj["metadata"]["managedFields"] == []


@pytest.mark.parametrize(
    ("given_text", "canonical"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("1000", "1k"),
        (2, "2"),
        (0.25, "250m"),
        ("0", "0"),
        ("1000000Ki", "1000000Ki"),
        ("-500m", "-500m"),
    ],
)
def test_quantities_take_their_canonical_form(given_text: str | int | float, canonical: str) -> None:
    assert quantity.canonical(given_text) == canonical


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_the_canonical_form_keeps_the_value_and_is_stable(number: int, suffix: str) -> None:
    text = quantity.canonical(f"{number}{suffix}")
    assert quantity.canonical(text) == text
    assert quantity.value_of(text) == quantity.value_of(f"{number}{suffix}")
    assert isinstance(quantity.value_of(text), Decimal)


CUSTOM = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "default": 3},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "port": {"x-kubernetes-int-or-string": True},
                "items": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["key"],
                    "items": {"type": "object", "properties": {"key": {"type": "string"}}},
                },
            },
        }
    },
}


def test_custom_resources_are_pruned_by_their_schema() -> None:
    node = schema.from_crd(CUSTOM)
    obj = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "a", "nonsense": 1},
        "spec": {"size": 0, "bogus": 1, "free": {"any": [1]}, "port": "http", "items": [{"key": "a", "extra": 1}]},
    }
    unknown = schema.decode(obj, node, custom=True)
    assert sorted(unknown) == ["metadata.nonsense", "spec.bogus", "spec.items[0].extra"]
    assert obj["spec"] == {"size": 0, "free": {"any": [1]}, "port": "http", "items": [{"key": "a"}]}
    assert node.properties["spec"].properties["items"].keys == ("key",)
    assert node.properties["spec"].properties["port"].int_or_string


def test_decoding_a_pod_is_fast() -> None:
    pods = [
        {
            "spec": {
                "containers": [{"name": "c", "image": "i", "env": [{"name": f"A{i}", "value": "b"} for i in range(20)]}]
            }
        }
        for _ in range(200)
    ]
    node = kind("v1", "Pod")
    schema.decode(schema.clone(pods[0]), node)
    started = time.process_time()
    for pod in pods:
        schema.decode(pod, node)
    assert (time.process_time() - started) / len(pods) < 0.005
