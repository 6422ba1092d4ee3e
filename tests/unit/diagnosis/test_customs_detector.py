# SPDX-License-Identifier: Apache-2.0
"""A custom resource that its operator refuses is a problem; one of which nobody says anything, though its kind has a status, is
unknown with what to look at; one of a kind that only configures something is neither."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from small_cluster import SmallCluster

from backout.cluster.port import DEPLOYMENTS, Resource
from backout.diagnosis.detectors import customs
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.namespace import Namespace
from backout.errors import AccessDenied, BackoutError, ServerError
from backout.kube.definitions import CRDS
from backout.kube.projections import Pod, TemplatedWorkload
from backout.ownership.operators import BINDINGS, CLUSTERROLES

STORE = Resource("data.example/v1", "Store", "stores")
NOW = datetime.now(UTC).replace(microsecond=0)


def definition(*, status: bool = True, fields: tuple[str, ...] = ("conditions",)) -> dict[str, Any]:
    schema = {"properties": {"status": {"properties": {name: {"type": "object"} for name in fields}}}}
    version = {
        "name": "v1",
        "schema": {"openAPIV3Schema": schema},
        **({"subresources": {"status": {}}} if status else {}),
    }
    return {"metadata": {"name": "stores.data.example"}, "spec": {"group": "data.example", "versions": [version]}}


def store(status: Any = None, *, age: int = 300, generation: int = 1, **meta: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = {"name": "main", "namespace": "ns", "uid": "u1", "generation": generation, "creationTimestamp": at, **meta}
    return {"metadata": whole, "spec": {}, **({"status": status} if status is not None else {})}


def ready(status: str, observed: int = 1) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "message": "size: not a number", "observedGeneration": observed}
    return {"conditions": [condition]}


def made(count: int, *, owned: bool = True) -> TemplatedWorkload:
    owner = {"apiVersion": "data.example/v1", "kind": "Store", "name": "main", "uid": "u1", "controller": True}
    return msgspec.convert(
        {
            "metadata": {"name": "main-set", "namespace": "ns", "ownerReferences": [owner] if owned else []},
            "spec": {"replicas": 2},
            "status": {"readyReplicas": count},
        },
        TemplatedWorkload,
    )


def operator(pods: int) -> list[tuple[Resource, dict[str, Any]]]:
    rule = {"verbs": ["update"], "apiGroups": ["data.example"], "resources": ["stores/status"]}
    subject = {"kind": "ServiceAccount", "name": "op", "namespace": "systems"}
    return [
        (CLUSTERROLES, {"metadata": {"name": "stores"}, "rules": [rule]}),
        (
            BINDINGS,
            {
                "metadata": {"name": "stores"},
                "roleRef": {"kind": "ClusterRole", "name": "stores"},
                "subjects": [subject],
            },
        ),
        (
            DEPLOYMENTS,
            {
                "metadata": {"name": "store-operator", "namespace": "systems"},
                "spec": {"replicas": pods, "template": {"spec": {"serviceAccountName": "op"}}},
                "status": {"readyReplicas": pods},
            },
        ),
    ]


def look(
    obj: dict[str, Any],
    count: int | None = None,
    *,
    about: dict[str, Any] | None = None,
    others: list[tuple[Resource, dict[str, Any]]] | None = None,
    denied: dict[str, BackoutError] | None = None,
) -> tuple[list[Seen], State]:
    state = State(namespace="ns")
    if count is not None:
        state.workloads[("ns", "StatefulSet", "main-set")] = made(count)  # type: ignore[assignment]
    cluster = SmallCluster((STORE, obj), (CRDS, about or definition()), *(others or []), denied=denied)
    seen = asyncio.run(customs.detect(Namespace(cluster, "ns"), state, None))  # type: ignore[arg-type]
    return seen, state


def test_what_its_operator_refuses_is_told_with_its_words() -> None:
    found, state = look(store(ready("False")), 2)
    assert [(one.symptom.code, str(one.symptom.ref)) for one in found] == [("NotReconciled", "store/main")]
    assert "size: not a number" in found[0].symptom.message.text and not state.unseen


@pytest.mark.parametrize(
    ("obj", "count"),
    [
        (store(ready("False")), 1),
        (store(ready("True")), None),
        (store(), 2),
        (store({**ready("False"), "completionTime": "2026-01-01T00:00:00Z"}), None),
        (
            store(
                ready("False"),
                ownerReferences=[
                    {"apiVersion": "x.example/v1", "kind": "Top", "name": "t", "uid": "u", "controller": True}
                ],
            ),
            None,
        ),
    ],
    ids=["its pods show it", "well", "its pods tell", "it ran once, and ended", "what makes it tells"],
)
def test_what_is_well_or_told_elsewhere_is_no_problem(obj: dict[str, Any], count: int | None) -> None:
    found, state = look(obj, count)
    assert found == [] and state.unseen == [] and state.blind == []


def pod(name: str) -> Pod:
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}}, Pod)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("while waiting for Pods resource main-set-1 to be ready", False),
        ("Deployment/ns/shop status: InProgress", False),
        ('Revision "hello-00002" failed with message: exit code 3', False),
        # What is well, and what only bears a name that is in its words, is not what it complains of.
        ("Deployment/ns/well status: InProgress", True),
        ("shop.example.org: issuer not found", True),
        ("main-set-10 is odd", True),
    ],
)
def test_who_complains_of_what_fails_by_itself_follows_from_it(said: str, told: bool) -> None:
    condition = {"type": "Ready", "status": "False", "message": said, "observedGeneration": 1}
    state = State(namespace="ns", pods=[pod("main-set-1")], makers={("ns", "Revision", "hello-00002"): "x.example/v1"})
    for name, count in (("shop", 1), ("well", 2)):
        state.workloads[("ns", "Deployment", name)] = made(count, owned=False)  # type: ignore[assignment]
    cluster = SmallCluster((STORE, store({"conditions": [condition]})), (CRDS, definition()))
    seen = asyncio.run(customs.detect(Namespace(cluster, "ns"), state, None))  # type: ignore[arg-type]
    assert bool(seen) is told


SILENT = [
    ("nobody ever answered", store(), [], "has not said anything of it. Does its operator run?"),
    (
        "its operator is scaled to 0",
        store(),
        operator(0),
        "store-operator in systems, which may answer for it, has 0 of 0",
    ),
    (
        "its operator runs",
        store(),
        operator(1),
        "store-operator in systems may answer for it and runs: its log says why",
    ),
    ("an empty status", store({}), [], "has not said anything of it"),
    (
        "an older generation was seen",
        store(ready("True"), generation=2),
        operator(0),
        "has not taken up its newest generation. deployment/store-operator",
    ),
    (
        "a finalizer that nobody takes away",
        store(ready("True"), deletionTimestamp=(NOW - timedelta(minutes=5)).isoformat(), finalizers=["data.example/x"]),
        [],
        "is being deleted, and finalizers hold it: data.example/x",
    ),
]


@pytest.mark.parametrize(("about", "obj", "others", "words"), SILENT, ids=[case[0] for case in SILENT])
def test_what_nobody_answers_for_is_unknown_with_what_to_look_at(
    about: str, obj: dict[str, Any], others: list[tuple[Resource, dict[str, Any]]], words: str
) -> None:
    found, state = look(obj, others=others)
    assert found == [] and len(state.unseen) == 1 and words in state.unseen[0].why.text


@pytest.mark.parametrize(
    "about",
    [definition(status=False), definition(fields=("bindings",))],
    ids=["no status subresource", "a status of notes for tools alone"],
)
def test_a_kind_that_only_configures_something_is_answered_by_nobody(about: dict[str, Any]) -> None:
    found, state = look(store(), about=about)
    assert (found, state.unseen, state.blind, state.under_way) == ([], [], [], [])


def test_an_operator_is_given_a_fair_time() -> None:
    _, state = look(store(age=5))
    assert state.unseen == [] and "store/main is under way" in state.under_way[0].message.text


def test_a_definition_that_may_not_be_read_leaves_it_unknown() -> None:
    _, state = look(store(), denied={CRDS.kind: AccessDenied("no")})
    assert "may not be read" in state.unseen[0].why.text


def test_a_conversion_that_fails_is_told_and_a_missing_right_to_what_nobody_released_is_not() -> None:
    _, down = look(store(), denied={STORE.kind: ServerError("conversion webhook for data.example/v2 failed")})
    assert "conversion webhook" in down.blind[0].text
    _, hidden = look(store(), denied={STORE.kind: AccessDenied("no")})
    assert hidden.blind == []
