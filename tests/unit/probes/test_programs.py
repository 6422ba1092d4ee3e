# SPDX-License-Identifier: Apache-2.0
"""Which program a container is, by its image and words."""

from __future__ import annotations

from typing import Any

import pytest

from backout.probes.programs import Program, Storage, programs_of, recognise


def spec(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": f"c{number}", **entry} for number, entry in enumerate(containers)], **more}


def one(**container: Any) -> Program | None:
    return recognise(spec(container), "c0")


def test_a_receiver_and_its_hashring() -> None:
    found = one(image="quay.io/thanos/thanos:v0.41.0", args=["receive", "--receive.hashrings-file=/etc/thanos/h.json"])
    assert found == Program(
        kind="thanos",
        component="receive",
        container="c0",
        port=10902,
        hashring="/etc/thanos/h.json",
        followed=("/etc/thanos/h.json",),
    )
    assert found.follows("/etc/thanos/h.json") and not found.follows("/etc/thanos/h.json.bak")
    assert found.name == "thanos receive"
    elsewhere = one(
        image="registry.example/mirror@sha256:aa",
        command=["/bin/thanos"],
        args=["receive", "--http-address", "0.0.0.0:8080", "--receive.hashrings-file", "/x//y.json"],
    )
    assert elsewhere and (elsewhere.port, elsewhere.hashring) == (8080, "/x/y.json")
    shell = one(image="a", command=["/bin/sh", "-c", "exec thanos receive --receive.hashrings-file='/a b/h.json'"])
    assert shell and shell.hashring == "/a b/h.json"
    renamed = one(image="registry.example/app:1", args=["receive", "--receive.hashrings-file=/h.json"])
    assert renamed and renamed.hashring == "/h.json"
    assert one(image="registry.example/app:1", args=["receive", "--verbose"]) is None


@pytest.mark.parametrize(
    ("arguments", "env", "storage"),
    [
        (["--objstore.config-file=/etc/o/objstore.yml"], [], Storage("file", "/etc/o/objstore.yml")),
        (
            ["--objstore.config=$(OBJSTORE_CONFIG)"],
            [{"name": "OBJSTORE_CONFIG", "valueFrom": {}}],
            Storage("env", "OBJSTORE_CONFIG"),
        ),
        (["--objstore.config=$(O)"], [{"name": "O", "value": "type: S3"}], Storage("literal")),
        (["--objstore.config=type: FILESYSTEM"], [], Storage("literal")),
        (["--objstore.config-file=$(DIR)/o.yml"], [{"name": "DIR", "value": "/conf"}], Storage("file", "/conf/o.yml")),
        ([], [], None),
    ],
)
def test_where_an_object_storage_configuration_comes_from(arguments: Any, env: Any, storage: Any) -> None:
    found = one(image="thanosio/thanos", args=["store", *arguments], env=env)
    assert found and found.storage == storage
    assert not found.follows("/etc/o/objstore.yml"), "it is read once"


def test_prometheus_alone_loads_nothing_again() -> None:
    found = one(image="prom/prometheus:v3.5.0", args=["--config.file=/etc/prometheus/prometheus.yml"])
    assert found and (found.kind, found.port, found.config) == ("prometheus", 9090, "/etc/prometheus/prometheus.yml")
    assert not found.follows(found.config)
    automatic = one(image="prom/prometheus", args=["--config.file=/p.yml", "--config.auto-reload"])
    assert automatic and automatic.follows("/etc/rules/a.yml")
    assert not automatic.follows("/etc/secrets/token"), "nothing tells when that is read"
    mirrored = one(image="rancher/mirrored-prometheus-prometheus:v2", args=["--config.file=/p.yml"])
    assert mirrored and mirrored.kind == "prometheus"
    feature = one(image="prom/prometheus", args=["--config.file=/p.yml", "--enable-feature=x,auto-reload-config"])
    assert feature and feature.follows("/p.yml")
    off = one(image="prom/prometheus", args=["--config.auto-reload=false"])
    assert off and not off.follows("/p.yml") and off.config == "/etc/prometheus/prometheus.yml"


def test_where_prometheus_listens() -> None:
    found = one(
        image="prom/prometheus", args=["--web.listen-address=:9091", "--web.external-url=https://x.example/mon/prom/"]
    )
    assert found and (found.port, found.metrics_path) == (9091, "/mon/prom/metrics")
    rooted = one(image="prom/prometheus", args=["--web.external-url=https://x.example/p", "--web.route-prefix=/"])
    assert rooted and rooted.metrics_path == "/metrics"
    hidden = one(image="prom/prometheus", args=["--web.listen-address=127.0.0.1:9090"])
    assert hidden and hidden.port == 0
    both = one(image="prom/prometheus", args=["--web.listen-address=[::1]:1", "--web.listen-address=0.0.0.0:9095"])
    assert both and both.port == 9095


def test_reloaders_make_what_they_watch_followed() -> None:
    server = {
        "image": "quay.io/prometheus/prometheus:v3",
        "args": ["--config.file=/etc/prometheus/config_out/p.yaml"],
        "volumeMounts": [{"name": "rules", "mountPath": "/rules"}],
    }
    reloader = {
        "image": "quay.io/prometheus-operator/prometheus-config-reloader:v0.90.0",
        "args": [
            "--reload-url=http://localhost:9090/-/reload",
            "--config-file=/etc/prometheus/config/prometheus.yaml.gz",
            "--config-envsubst-file=/etc/prometheus/config_out/p.yaml",
            "--watched-dir=/watched/rules",
        ],
        "volumeMounts": [{"name": "rules", "mountPath": "/watched/rules"}],
    }
    prometheus, other = programs_of(spec(server, reloader))
    assert prometheus.follows("/etc/prometheus/config_out/p.yaml") and prometheus.follows("/rules/a.yml")
    assert not prometheus.follows("/etc/prometheus/secrets/x")
    assert (other.kind, other.serves) == ("reloader", "c0")
    assert other.follows("/etc/prometheus/config/prometheus.yaml.gz") and other.follows("/watched/rules/a.yml")
    native = spec(server, initContainers=[{"name": "r", "restartPolicy": "Always", **reloader}])
    assert recognise(native, "c0") == prometheus
    init = spec(server, initContainers=[{"name": "r", **reloader}])
    assert (recognise(init, "c0") or prometheus).followed == (), "it only runs at the start"


def test_other_reloaders() -> None:
    alertmanager = {"image": "quay.io/prometheus/alertmanager:v0.28", "args": ["--config.file=/etc/am/am.yml"]}
    classic = {
        "image": "ghcr.io/jimmidyson/configmap-reload:v0.15",
        "args": ["--volume-dir=/etc/am", "--webhook-url=http://127.0.0.1:9093/-/reload"],
    }
    server, _ = programs_of(spec(alertmanager, classic))
    assert (server.kind, server.port) == ("alertmanager", 9093) and server.follows("/etc/am/am.yml")
    sidecar = {"image": "quay.io/thanos/thanos", "args": ["sidecar", "--reloader.rule-dir=/etc/rules"]}
    prometheus, thanos = programs_of(spec({"image": "prom/prometheus"}, sidecar))
    assert prometheus.follows("/etc/rules/x.yml") and thanos.component == "sidecar"
    rule = {"image": "thanosio/thanos", "args": ["rule", "--rule-file=/etc/rules/*.yml"]}
    assert not programs_of(spec(rule))[0].follows("/etc/rules/a.yml")
    assert programs_of(spec(rule, {**classic, "args": ["--volume-dir=/etc/rules", "--webhook-url=http://x"]}))[
        0
    ].follows("/etc/rules/a.yml")


def test_strangers_are_not_recognised() -> None:
    for container in (
        {"image": "nginx:1"},
        {"image": "grafana/grafana:12"},
        {"image": "x", "args": ["--config.file=/etc/x.yml"]},
        {"image": "quay.io/prometheus/node-exporter:v1", "args": ["--web.listen-address=:9100"]},
        {"image": "a", "command": ["sh", "-c", "unclosed '"]},
        {"image": ""},
        {},
    ):
        assert one(**container) is None
    assert programs_of({}) == ()
