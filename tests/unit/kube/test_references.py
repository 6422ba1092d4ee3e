# SPDX-License-Identifier: Apache-2.0
"""Every way in which a pod spec, an Ingress and a custom resource can name configuration."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.references import Reference, calls, mentions, of_custom, of_ingress, references, words_of


def container(name: str = "app", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "registry.example/app:1", **fields}


def mount(volume: str, path: str, sub: str = "") -> dict[str, str]:
    return {"name": volume, "mountPath": path, **({"subPath": sub} if sub else {})}


def only(spec: dict[str, Any]) -> Reference:
    (found,) = references(spec)
    return found


def test_a_mounted_volume_follows_its_object() -> None:
    found = only(
        {
            "volumes": [{"name": "v", "configMap": {"name": "ring"}}],
            "containers": [container(volumeMounts=[mount("v", "/etc/ring")])],
        }
    )
    assert (found.kind, found.name, found.container, found.how, found.path) == (
        "ConfigMap",
        "ring",
        "app",
        "volume",
        "/etc/ring",
    )
    assert found.keys == ()
    assert found.file("hashrings.json") == "/etc/ring/hashrings.json"


def test_items_name_their_keys_and_where_these_are() -> None:
    items = [{"key": "a", "path": "x/a.yaml"}, {"key": "b", "path": "b"}]
    found = only(
        {
            "volumes": [{"name": "v", "secret": {"secretName": "tls", "items": items, "optional": True}}],
            "containers": [container(volumeMounts=[mount("v", "/certs")])],
        }
    )
    assert (found.kind, found.keys, found.files) == ("Secret", ("a", "b"), ("/certs/x/a.yaml", "/certs/b"))
    assert found.file("a") == "/certs/x/a.yaml"
    assert found.file("c") == ""
    assert found.optional


def test_a_sub_path_is_one_key_and_never_followed() -> None:
    found = only(
        {
            "volumes": [{"name": "v", "configMap": {"name": "ring"}}],
            "containers": [container(volumeMounts=[mount("v", "/etc/hashrings.json", "hashrings.json")])],
        }
    )
    assert (found.how, found.keys, found.file("hashrings.json")) == (
        "subPath",
        ("hashrings.json",),
        "/etc/hashrings.json",
    )


def test_a_sub_path_of_items_is_found_by_path() -> None:
    items = [{"key": "a", "path": "dir/one"}, {"key": "b", "path": "other"}]
    spec = {
        "volumes": [{"name": "v", "configMap": {"name": "c", "items": items}}],
        "containers": [container(volumeMounts=[mount("v", "/x", "dir")]), container("two")],
    }
    found = only(spec)
    assert (found.how, found.keys, found.files) == ("subPath", ("a",), ("/x/one",))


def test_projected_sources_count_each() -> None:
    spec = {
        "volumes": [
            {
                "name": "v",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "c"}},
                        {"secret": {"name": "s"}},
                        {"serviceAccountToken": {"path": "token"}},
                    ]
                },
            }
        ],
        "initContainers": [container("init", volumeMounts=[mount("v", "/x")])],
    }
    assert {(r.kind, r.name, r.how, r.container) for r in references(spec)} == {
        ("ConfigMap", "c", "projected", "init"),
        ("Secret", "s", "projected", "init"),
    }


def test_variables_read_a_key_or_all_of_them() -> None:
    spec = {
        "containers": [
            container(
                env=[
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b"}}},
                    {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                envFrom=[{"configMapRef": {"name": "c", "optional": True}}, {"secretRef": {"name": "all"}}],
            )
        ]
    }
    assert {(r.kind, r.name, r.how, r.keys, r.optional) for r in references(spec)} == {
        ("Secret", "s", "env", ("b",), False),
        ("ConfigMap", "c", "env", (), True),
        ("Secret", "all", "env", (), False),
    }


def test_a_volume_that_nobody_mounts_is_needed_all_the_same() -> None:
    spec = {
        "volumes": [
            {"name": "v", "configMap": {"name": "c"}},
            {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "s"}}},
        ],
        "containers": [container()],
        "imagePullSecrets": [{"name": "pull"}],
    }
    assert {(r.name, r.how, r.container, r.file("k")) for r in references(spec)} == {
        ("c", "volume", "", ""),
        ("s", "volume", "", ""),
        ("pull", "pullSecret", "", ""),
    }


def test_an_ingress_names_its_certificates_and_services() -> None:
    ingress = {
        "spec": {
            "tls": [{"hosts": ["a.example"], "secretName": "cert"}, {"hosts": ["b.example"]}],
            "defaultBackend": {"service": {"name": "fallback", "port": {"number": 80}}},
            "rules": [
                {
                    "host": "a.example",
                    "http": {
                        "paths": [
                            {"path": "/x", "backend": {"service": {"name": "web", "port": {"name": "http"}}}},
                            {"path": "/y", "backend": {"resource": {"kind": "StorageBucket", "name": "static"}}},
                        ]
                    },
                }
            ],
        }
    }
    assert {(r.kind, r.name, r.how, r.path) for r in of_ingress(ingress)} == {
        ("Secret", "cert", "tls", "a.example"),
        ("Service", "fallback", "backend", ""),
        ("Service", "web", "backend", "a.example/x"),
    }


def test_a_custom_resource_names_configuration_in_the_usual_shapes() -> None:
    prometheus = {
        "spec": {
            "secrets": ["etcd-certs"],
            "configMaps": ["extra-rules"],
            "additionalScrapeConfigs": {"name": "scrape", "key": "prometheus.yaml"},
            "thanos": {"objectStorageConfig": {"key": "objstore.yaml", "name": "objstore"}},
            "remoteWrite": [{"tlsConfig": {"ca": {"configMap": {"name": "ca", "key": "ca.crt"}}}}],
            "image": {"name": "not-a-reference"},
            "tls": {"secretName": "cert"},
            "containers": [{"name": "sidecar", "envFrom": [{"secretRef": {"name": "side"}}]}],
        }
    }
    found = {(r.kind, r.name, r.path) for r in of_custom(prometheus)}
    assert {(kind, name) for kind, name, _ in found} == {
        ("Secret", "etcd-certs"),
        ("ConfigMap", "extra-rules"),
        ("Secret", "scrape"),
        ("Secret", "objstore"),
        ("ConfigMap", "ca"),
        ("Secret", "cert"),
        ("Secret", "side"),
    }
    assert ("Secret", "objstore", "spec.thanos.objectStorageConfig") in found


def test_odd_specs_are_no_error() -> None:
    assert references({}) == ()
    assert references({"volumes": [{"name": "v", "emptyDir": {}}], "containers": [container(env=None)]}) == ()
    assert of_custom({}) == of_custom({"spec": [1, None, "x"]}) == ()
    assert of_ingress({"spec": None}) == ()


@pytest.mark.parametrize(
    ("text", "called", "mentioned"),
    [
        ("http://db:5432/x", True, True),
        ("--store=db.shop.svc:10901", True, True),
        ("user:word@db", True, True),
        ("db/path", True, True),
        ("db", False, True),
        ("--host db --other x", False, True),
        ("http://mydb:80", False, False),
        ("http://db-replica:80", False, False),
        ("a db.example", False, True),
    ],
)
def test_what_calls_a_service_and_what_only_mentions_its_name(text: str, called: bool, mentioned: bool) -> None:
    assert calls(text, "db", "shop") is called
    assert mentions(text, "db") is mentioned


def test_words_are_arguments_and_variables_of_every_container() -> None:
    spec = {
        "initContainers": [{"name": "wait", "command": ["nc", "db"]}],
        "containers": [{"name": "app", "args": [1], "env": [{"name": "A", "value": "x"}, {"name": "B"}]}],
    }
    assert list(words_of(spec)) == [("wait", "nc"), ("wait", "db"), ("app", "1"), ("app", "x")]
