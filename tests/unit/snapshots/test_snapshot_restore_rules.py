# SPDX-License-Identifier: Apache-2.0
"""What is kept of an object, what is written to put it back, and what is told of the difference."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.cluster.port import Resource, Served
from backout.errors import ObjectNotFound, UsageError
from backout.kube.sanitise import kind_skipped, object_skipped, sanitise
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef
from backout.snapshots.collect import encode
from backout.snapshots.desired import equal, must_recreate, rank, update, without_addresses, without_node_ports
from backout.snapshots.diff import describe
from backout.snapshots.restore_plan import left_alone
from backout.snapshots.selection import Selection

CANARY = "canary-0c4d9e"
WORDS = st.text("abcdefghij", min_size=1, max_size=6)
VALUES = st.text(max_size=20)
MAPS = st.dictionaries(WORDS, VALUES, max_size=4)


def server_side(obj: dict[str, Any], uid: str, version: str) -> dict[str, Any]:
    """The object as a server gives it."""
    notes = {**obj["metadata"].get("annotations", {}), "kubectl.kubernetes.io/last-applied-configuration": CANARY}
    meta = {
        **obj["metadata"],
        "annotations": notes,
        "uid": uid,
        "resourceVersion": version,
        "generation": 3,
        "creationTimestamp": "2026-11-01T12:00:00Z",
        "managedFields": [{"manager": "x"}],
        "finalizers": ["a/b"],
    }
    return {**obj, "metadata": meta, "status": {"phase": version}}


@st.composite
def objects(draw: st.DrawFn, kind: str | None = None) -> dict[str, Any]:
    kind = kind or draw(st.sampled_from(["ConfigMap", "Secret", "Service"]))
    meta: dict[str, Any] = {"name": "one", "namespace": "shop"}
    for part in ("labels", "annotations"):
        if found := draw(MAPS):
            meta[part] = found
    obj: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": meta}
    if kind == "Service":
        names = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
        ports = [
            {"name": name, "port": 80 + i, "nodePort": draw(st.integers(30000, 32767))} for i, name in enumerate(names)
        ]
        address = f"10.0.0.{draw(st.integers(1, 254))}"
        obj["spec"] = {
            "type": "NodePort",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": ports,
            "selector": draw(MAPS),
        }
    else:
        obj["data"] = draw(MAPS)
        if kind == "Secret":
            obj["type"] = "Opaque"
    return obj


@given(obj=objects())
def test_sanitising_gives_what_was_asked_for_and_nothing_of_the_server(obj: dict[str, Any]) -> None:
    live = server_side(obj, "u", "7")
    before = copy.deepcopy(live)
    kept = sanitise(live)
    assert live == before
    assert kept == obj
    assert sanitise(kept) == kept
    assert encode(kept) == encode(sanitise(server_side(dict(reversed(obj.items())), "v", "8")))
    assert CANARY.encode() not in encode(kept)


@given(data=st.data(), kind=st.sampled_from(["ConfigMap", "Secret", "Service"]))
def test_what_is_written_is_exactly_the_snapshot_and_conditional(data: st.DataObject, kind: str) -> None:
    wanted, other = data.draw(objects(kind)), data.draw(objects(kind))
    live = server_side(other, "uid-live", "41")
    body = update(wanted, live)
    assert body["metadata"]["resourceVersion"] == "41"
    assert body["metadata"]["uid"] == "uid-live"
    assert body["metadata"]["finalizers"] == ["a/b"]
    assert body["status"] == live["status"]
    written = copy.deepcopy(sanitise(body))
    if kind == "Service":
        assert written["spec"].pop("clusterIP") == other["spec"]["clusterIP"]
        assert written["spec"].pop("clusterIPs") == other["spec"]["clusterIPs"]
        plain = {k: v for k, v in wanted["spec"].items() if not k.startswith("clusterIP")}
        assert written == {**wanted, "spec": plain}
    else:
        assert written == wanted
    # what a server then holds is what the snapshot wants: a second restore writes nothing
    after = server_side(sanitise(body), "uid-live", "42")
    assert equal(update(wanted, after), after)


@given(before=objects("Secret"), after=objects("Secret"))
def test_values_of_secrets_are_in_no_difference(before: dict[str, Any], after: dict[str, Any]) -> None:
    before["data"] = {key: CANARY + value for key, value in before["data"].items()}
    after["data"] = {key: CANARY + value for key, value in after["data"].items()}
    fields, texts = describe(before, after)
    changed = {k for k in before["data"].keys() | after["data"].keys() if before["data"].get(k) != after["data"].get(k)}
    told = {field.path for field in fields if field.path.startswith("data.")}
    assert told == {f"data.{key}" for key in changed}
    assert CANARY not in repr((fields, texts))


def test_a_release_record_in_a_configmap_is_a_secret_too() -> None:
    def record(text: str) -> dict[str, Any]:
        meta = {"name": "sh.helm.release.v1.app.v1", "labels": {"owner": "helm"}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"release": text}}

    fields, texts = describe(record(CANARY), record("other"))
    assert [(field.path, field.secret) for field in fields] == [("data.release", True)]
    assert CANARY not in repr((fields, texts))


@given(obj=objects())
def test_equal_objects_have_no_difference(obj: dict[str, Any]) -> None:
    assert describe(obj, copy.deepcopy(obj)) == ((), ())


def test_a_text_of_several_lines_is_told_line_by_line_without_credentials() -> None:
    def config(text: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"f": text}}

    fields, (text,) = describe(config(f"a: 1\npassword: {CANARY}\nb: 2\n"), config(f"a: 1\npassword: {CANARY}\nb: 3\n"))
    assert fields == ()
    assert text.path == "data.f"
    assert "-b: 2" in text.lines
    assert "+b: 3" in text.lines
    assert CANARY not in repr(text)
    # a change in nothing but the credential is told, and not shown
    _, (text,) = describe(config(f"a: 1\npassword: {CANARY}\n"), config("a: 1\npassword: other\n"))
    assert text.lines == ("~",)


@pytest.mark.parametrize(
    ("wanted", "live", "anew"),
    [
        ({"kind": "ConfigMap", "data": {"a": "1"}}, {"data": {"a": "2"}}, False),
        ({"kind": "ConfigMap", "data": {"a": "1"}, "immutable": True}, {"data": {"a": "2"}, "immutable": True}, True),
        ({"kind": "ConfigMap", "data": {"a": "1"}}, {"data": {"a": "1"}, "immutable": True}, True),
        ({"kind": "ConfigMap", "data": {"a": "1"}, "immutable": True}, {"data": {"a": "1"}, "immutable": True}, False),
        ({"kind": "Secret", "type": "kubernetes.io/tls"}, {"type": "Opaque"}, True),
        ({"kind": "Secret"}, {"type": "Opaque"}, False),
        ({"kind": "Service", "spec": {"clusterIP": "None"}}, {"spec": {"clusterIP": "10.0.0.1"}}, True),
        ({"kind": "Service", "spec": {"clusterIP": "10.0.0.2"}}, {"spec": {"clusterIP": "10.0.0.1"}}, False),
        ({"kind": "Service", "spec": {"clusterIP": "None"}}, {"spec": {"type": "ExternalName"}}, False),
        ({"kind": "RoleBinding", "roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}, True),
    ],
)
def test_what_no_update_can_do(wanted: dict[str, Any], live: dict[str, Any], anew: bool) -> None:
    assert must_recreate({"apiVersion": "v1", **wanted}, live) is anew


def test_a_service_that_lost_its_addresses_asks_for_none() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    body = {
        "kind": "Service",
        "spec": {
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1"],
            "ports": ports,
            "healthCheckNodePort": 31000,
            "type": "LoadBalancer",
        },
    }
    assert without_addresses(body)["spec"] == {"ports": [{"name": "http", "port": 80}], "type": "LoadBalancer"}
    headless = {"kind": "Service", "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": []}}
    assert without_addresses(headless)["spec"] == headless["spec"]
    live = {"spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30099}]}}
    assert without_node_ports(body, live)["spec"]["ports"] == [{"name": "http", "port": 80, "nodePort": 30099}]


def test_the_order_is_that_of_need() -> None:
    kinds = ["Widget", "Ingress", "Deployment", "Service", "ConfigMap", "ServiceAccount"]
    assert sorted(kinds, key=rank) == list(reversed(kinds))


def entry(kind: str, name: str = "one", api: str = "v1", plural: str = "", **more: str) -> Entry:
    return Entry(ref=ObjectRef(api, kind, name, "shop"), address="0" * 64, size=1, plural=plural, **more)


@pytest.mark.parametrize(
    ("found", "alone", "even_when_asked"),
    [
        (entry("ConfigMap"), False, False),
        (entry("ConfigMap", owner="helm/app", owner_kind="helm"), False, False),
        (entry("Secret", "sh.helm.release.v1.app.v3"), True, False),
        (entry("StatefulSet", api="apps/v1", owner="prometheus/k8s", owner_kind="operator"), True, False),
        (entry("Job", api="batch/v1"), True, True),
        (entry("PersistentVolumeClaim"), True, True),
        (entry("Volume", api="longhorn.io/v1beta2"), True, True),
    ],
)
def test_what_is_left_alone(found: Entry, alone: bool, even_when_asked: bool) -> None:
    assert (left_alone(found, include_owned=False) is not None) is alone
    assert (left_alone(found, include_owned=True) is not None) is even_when_asked


def test_what_is_not_kept() -> None:
    def obj(kind: str, **fields: Any) -> dict[str, Any]:
        meta = {"name": "one", **fields.pop("metadata", {})}
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}

    def owned(api: str) -> dict[str, Any]:
        return {"ownerReferences": [{"apiVersion": api, "kind": "X", "name": "x", "controller": True}]}

    assert object_skipped(obj("ConfigMap")) is None
    assert object_skipped(obj("Secret", type="helm.sh/release.v1")) is None
    assert object_skipped(obj("StatefulSet", metadata=owned("monitoring.coreos.com/v1"))) is None
    assert object_skipped(obj("Job", metadata=owned("batch/v1"))) is not None
    assert object_skipped(obj("Secret", type="kubernetes.io/service-account-token")) is not None
    assert object_skipped(obj("ConfigMap", metadata={"name": "kube-root-ca.crt"})) is not None
    assert object_skipped(obj("ConfigMap", metadata={"deletionTimestamp": "2026-11-01T12:00:00Z"})) is not None

    def served(api: str, kind: str, *verbs: str) -> Served:
        return Served(Resource(api, kind, "x"), frozenset(verbs))

    usual = ("get", "list", "create", "update")
    assert kind_skipped(served("v1", "ConfigMap", *usual)) is None
    assert kind_skipped(served("example.org/v1", "Event", *usual)) is None
    assert kind_skipped(served("v1", "Event", *usual)) is not None
    assert kind_skipped(served("metrics.k8s.io/v1beta1", "PodMetrics", "get", "list")) is not None
    assert kind_skipped(served("v1", "Binding", "create")) is not None


def test_objects_are_named_as_kubectl_does() -> None:
    from datetime import UTC, datetime

    snapshot = Snapshot(
        kind="manual",
        cluster="c",
        identity=ClusterIdentity("u", "ca"),
        namespace="shop",
        taken_at=datetime.now(UTC),
        id="a" * 32,
    )
    config = entry("ConfigMap", "web", plural="configmaps")
    ingress = entry("Ingress", "web", "networking.k8s.io/v1", "ingresses")
    for name in ("cm/web", "configmaps/web", "ConfigMap/web"):
        selection = Selection([name])
        assert selection(config)
        assert not selection(ingress)
        selection.require_all(snapshot)
    assert Selection()(ingress)
    assert Selection(kinds=["ingresses.networking.k8s.io"])(ingress)
    missing = Selection(["cm/other"])
    assert not missing(config)
    with pytest.raises(ObjectNotFound, match="cm/other"):
        missing.require_all(snapshot)
    for name in ("web", "cm/", "/web", "a/b/c"):
        with pytest.raises(UsageError):
            Selection([name])
    assert json.loads(encode({"b": 1, "a": 2})) == {"a": 2, "b": 1}
