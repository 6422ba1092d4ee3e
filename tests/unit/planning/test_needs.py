# SPDX-License-Identifier: Apache-2.0
"""Which part goes after which, as plans tell it and as the user says it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import part, sealed

from backout.errors import UsageError
from backout.model.change import Changes, ObjectChange
from backout.model.diagnosis import ConsumedBy, Problem
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Part, Risk, Step
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.settings import FleetSettings
from backout.model.target import ObjectRef, Target
from backout.planning.fleet import over_clusters
from backout.planning.needs import before, in_turn

CLUSTERS: dict[str, dict[str, str]] = {"a": {}, "b": {}}
RECEIVE = ObjectRef("apps/v1", "StatefulSet", "receive", "monitoring")
QUERY = ObjectRef("apps/v1", "Deployment", "query", "monitoring")
RING = ObjectRef("v1", "ConfigMap", "ring", "monitoring")
TOKEN = ObjectRef("v1", "Secret", "token", "monitoring")


def made(text: str, cluster: str = "a", namespace: str = "monitoring", **fields: Any) -> Part:
    kind, _, name = text.partition("/")
    scope = ClusterScope(cluster=cluster, namespace=namespace, identity=ClusterIdentity(f"u-{cluster}", "ca"))
    return part(id=text, scope=scope, target=Target(kind, name, namespace), **{"steps": (), **fields})


def touches(ref: ObjectRef, action: Any = "update") -> Changes:
    return Changes(objects=(ObjectChange(ref=ref, action=action),))


def read_by(ref: ObjectRef) -> tuple[Problem, ...]:
    seen = Symptom(code="BadRing", ref=RING, message=msg("It is not JSON."), since=datetime(2026, 11, 1, tzinfo=UTC))
    reads = ConsumedBy(ref=ref, how="volume")
    return (
        Problem(
            target=Target("configmap", "ring"), mechanism="objects", symptoms=(seen,), cause=msg("x"), readers=(reads,)
        ),
    )


def restarts(ref: ObjectRef) -> tuple[Step, ...]:
    params = {"api_version": ref.api_version, "kind": ref.kind, "name": ref.name, "namespace": ref.namespace}
    return (
        Step(id="1", action="objects.await-reload", target=Target("configmap", "ring"), title=msg("x"), params=params),
    )


RELEASE = {"changes": touches(RECEIVE)}
NEEDS_TOKEN = (Risk(code="needs-first", message=msg("Its pods need {objects}.", objects="secret/other, secret/token")),)

CASES: list[tuple[str, list[Part], dict[str, tuple[str, ...]]]] = [
    (
        "the hashring before the release that scales its receivers, by who reads it",
        [made("helm/thanos", **RELEASE), made("configmap/ring", problems=read_by(RECEIVE))],
        {"helm/thanos": ("configmap/ring",)},
    ),
    (
        "and by whom its own steps wait for",
        [made("helm/thanos", **RELEASE), made("configmap/ring", steps=restarts(RECEIVE))],
        {"helm/thanos": ("configmap/ring",)},
    ),
    (
        "the hashring before the workload, and that before nothing",
        [made("statefulset/receive"), made("configmap/ring", steps=restarts(RECEIVE)), made("deployment/query")],
        {"statefulset/receive": ("configmap/ring",)},
    ),
    (
        "a release that touches other workloads goes when it likes",
        [made("helm/query", changes=touches(QUERY)), made("configmap/ring", steps=restarts(RECEIVE))],
        {},
    ),
    (
        "what a release creates before whose pods need it",
        [made("deployment/query", risks=NEEDS_TOKEN), made("helm/tokens", changes=touches(TOKEN, "create"))],
        {"deployment/query": ("helm/tokens",)},
    ),
    (
        "what it only changes was there already",
        [made("deployment/query", risks=NEEDS_TOKEN), made("helm/tokens", changes=touches(TOKEN))],
        {},
    ),
    (
        "another namespace has another ring of that name",
        [made("statefulset/receive", namespace="other"), made("configmap/ring", steps=restarts(RECEIVE))],
        {},
    ),
]


def plan(*parts: Part) -> list[Operation]:
    """As they are planned: each target by itself."""
    return [sealed(one) for one in parts]


def needs(plans: Sequence[Operation], after: Sequence[str] = (), waves: tuple[str, ...] = ("rest",)) -> dict[str, Any]:
    one = over_clusters(plans, CLUSTERS, FleetSettings(waves=waves), after=after)
    return {part.id: part.needs for part in one.parts if part.needs}


@pytest.mark.parametrize(("parts", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_plans_tell_of_each_other(parts: list[Part], wanted: dict[str, tuple[str, ...]]) -> None:
    found = needs(plan(*parts))
    assert found == {f"a/{later}": tuple(f"a/{one}" for one in earlier) for later, earlier in wanted.items()}
    plans = plan(*parts)
    turn = in_turn(plans)
    assert sorted(turn, key=id) == sorted(plans, key=id)
    for one in plans:
        first = [str(other.target) for other in before(one, plans)]
        assert tuple(first) == wanted.get(str(one.target), ())
        assert all(turn.index(other) < turn.index(one) for other in before(one, plans))


def test_each_cluster_has_its_own_order_and_two_namespaces_two_parts() -> None:
    both = plan(
        *(made("helm/thanos", c, **RELEASE) for c in CLUSTERS),
        *(made("configmap/ring", c, steps=restarts(RECEIVE)) for c in CLUSTERS),
    )
    assert needs(both) == {f"{c}/helm/thanos": (f"{c}/configmap/ring",) for c in CLUSTERS}
    twice = over_clusters(
        plan(made("helm/web", namespace="one"), made("helm/web", namespace="two")), CLUSTERS, FleetSettings()
    )
    assert [(part.id, part.scope.namespace) for part in twice.parts] == [
        ("a/helm/web", "one"),
        ("a/two/helm/web", "two"),
    ]


FOUR = [made(f"helm/{name}", cluster) for cluster in CLUSTERS for name in ("api", "web")]


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (["helm/web=helm/api"], {"a/helm/web": ("a/helm/api",), "b/helm/web": ("b/helm/api",)}),
        (["b/helm/web=a/helm/web"], {"b/helm/web": ("a/helm/web",)}),
        (["helm/web=a/helm/api"], {"a/helm/web": ("a/helm/api",), "b/helm/web": ("a/helm/api",)}),
        (["b/helm/api=helm/web"], {"b/helm/api": ("a/helm/web", "b/helm/web")}),
        (["release/web=helm/api", "helm/web=helm/api"], {f"{c}/helm/web": (f"{c}/helm/api",) for c in CLUSTERS}),
    ],
)
def test_what_the_user_says(after: list[str], wanted: dict[str, tuple[str, ...]]) -> None:
    assert needs(plan(*FOUR), after) == wanted


@pytest.mark.parametrize(
    ("after", "waves", "told"),
    [
        (["helm/web"], ("rest",), "says nothing of an order"),
        (["=helm/web"], ("rest",), "says nothing of an order"),
        (["web=helm/api"], ("rest",), "not a target|no kind|kind/name"),
        (["helm/web=helm/gone"], ("rest",), "helm/gone has no part in this plan"),
        (["c/helm/web=helm/api"], ("rest",), "c/helm/web has no part in this plan"),
        (["helm/web=helm/web"], ("rest",), "can't be put in order: a/helm/web → a/helm/web"),
        (["helm/web=helm/api", "helm/api=helm/web"], ("rest",), "can't be put in order: a/helm/"),
        (["a/helm/web=b/helm/web"], ("1", "rest"), "b/helm/web, which comes in a later wave"),
        (["a/helm/web=b/helm/api", "b/helm/api=a/helm/web"], ("rest",), "can't be put in order"),
    ],
)
def test_what_is_no_order(after: list[str], waves: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        needs(plan(*FOUR), after, waves)


def test_the_user_knows_better() -> None:
    parts = plan(made("helm/thanos", **RELEASE), made("configmap/ring", steps=restarts(RECEIVE)))
    assert needs(parts, ["configmap/ring=helm/thanos"]) == {"a/configmap/ring": ("a/helm/thanos",)}
