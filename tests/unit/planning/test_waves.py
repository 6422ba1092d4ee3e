# SPDX-License-Identifier: Apache-2.0
"""Which cluster goes in which wave, and one operation out of the plans of several clusters."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import part, sealed

from backout.errors import PlanChanged, RefusedError, UsageError
from backout.model.fleet import NotPlanned
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.settings import FleetSettings
from backout.planning.document import check, digest, dump, load
from backout.planning.fleet import newcomers, over_clusters, require_planned
from backout.planning.waves import split

EDGES = {"c1": {"role": "central"}, **{f"e{n}": {"role": "edge"} for n in range(1, 10)}}
TEN = list(EDGES)


@pytest.mark.parametrize(
    ("asked", "clusters", "sizes"),
    [
        (("1", "25%", "rest"), 10, (1, 3, 6)),
        (("1", "25%", "rest"), 2, (1, 1)),
        (("1", "25%", "rest"), 400, (1, 100, 299)),
        (("rest",), 10, (10,)),
        (("10",), 10, (10,)),
        (("100%",), 3, (3,)),
        (("50%", "50%"), 3, (2, 1)),
        (("1", "1", "rest"), 1000, (1, 1, 998)),
        (("5", "rest"), 3, (3,)),
    ],
)
def test_numbers_and_shares(asked: tuple[str, ...], clusters: int, sizes: tuple[int, ...]) -> None:
    names = {f"k{n}": {} for n in range(clusters)}
    waves = split(asked, names)
    assert tuple(len(wave) for _, wave in waves) == sizes
    assert [name for _, wave in waves for name in wave] == list(names), "each once, in their order"


def test_labels_and_names() -> None:
    waves = split(("e3", "role=central", "role=edge"), EDGES)
    assert [wave for _, wave in waves] == [("e3",), ("c1",), tuple(n for n in TEN if n not in ("c1", "e3"))]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((), "No wave was named"),
        (("1", "role=west", "rest"), r"Wave 2 \(role=west\) matches no cluster"),
        (("10", "25%", "rest"), r"Wave 2 \(25%\) matches no cluster"),
        (("e1", "e1", "rest"), r"Wave 2 \(e1\) matches no cluster"),
        (("rest", "1"), "the last one"),
        (("1", "25%"), "in no wave: e4, e5, e6, e7, e8, …"),
        (("0", "rest"), "0 is no wave"),
        (("101%",), "101% is no wave"),
        (("half", "rest"), "half is no wave"),
        (("-1", "rest"), "-1 is no wave"),
        (("role=>", "rest"), "no label selector"),
    ],
)
def test_what_is_no_wave(asked: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        split(asked, EDGES)


@pytest.mark.parametrize(("clusters", "sizes"), [(1, (1,)), (2, (1, 1)), (3, (1, 1, 1))])
def test_what_a_configuration_says_of_any_fleet_fits_a_small_one(clusters: int, sizes: tuple[int, ...]) -> None:
    names = {f"k{n}": {} for n in range(clusters)}
    assert tuple(len(wave) for _, wave in split(("1", "25%", "rest"), names, exact=False)) == sizes
    with pytest.raises(UsageError, match="matches no cluster"):
        split(("role=edge", "rest"), names, exact=False)


def planned(cluster: str, uid: str = "") -> Operation:
    scope = ClusterScope(cluster=cluster, namespace="monitoring", identity=ClusterIdentity(uid or f"u-{cluster}", "ca"))
    return sealed(part(scope=scope, steps=()))


GONE = NotPlanned(cluster="e9", code="cluster-unreachable", why=msg("No answer."))
FINE = NotPlanned(cluster="e8", code="nothing-to-do", why=msg("Nothing is broken there."), needed=False)


def test_one_operation_of_all_plans_is_hashed_with_its_waves_and_who_is_missing() -> None:
    plans = [planned(name) for name in TEN[:8]]
    one = over_clusters(list(reversed(plans)), EDGES, FleetSettings(), (GONE, FINE))
    assert [p.id for p in one.parts] == [f"{name}/deployment/web" for name in TEN[:8]]
    assert one.fleet is not None and [len(wave.parts) for wave in one.fleet.waves] == [1, 2, 5]
    check(one)
    assert load(dump([one]), "plan.yaml") == [one]
    for other in (
        msgspec.structs.replace(one.fleet, parallel=99),
        msgspec.structs.replace(one.fleet, max_failures=99),
        msgspec.structs.replace(one.fleet, on_failure="continue"),
        msgspec.structs.replace(one.fleet, not_planned=()),
        msgspec.structs.replace(one.fleet, unplanned="refuse"),
    ):
        assert digest(msgspec.structs.replace(one, fleet=other)) != one.hash
    text = dump([one]).replace("number: 1", "number: 3", 1)
    with pytest.raises(PlanChanged):
        load(text, "plan.yaml")


def test_an_operation_without_a_fleet_has_the_hash_that_it_had_before_there_were_any() -> None:
    plain = msgspec.structs.replace(planned("c1"), made_at=datetime(2026, 11, 29, tzinfo=UTC))
    with_none = msgspec.to_builtins(msgspec.structs.replace(plain, hash=""))
    assert with_none.pop("fleet") is None
    assert digest(plain) == digest(msgspec.convert(with_none, Operation))


def test_who_is_missing_keeps_the_others_from_going_unless_the_plan_says_otherwise() -> None:
    plans = [planned("c1"), planned("e1")]
    with pytest.raises(RefusedError, match="nothing goes on without them: e9"):
        require_planned(over_clusters(plans, EDGES, FleetSettings(unplanned="refuse"), (GONE, FINE)))
    require_planned(over_clusters(plans, EDGES, FleetSettings(unplanned="skip"), (GONE, FINE)))
    require_planned(over_clusters(plans, EDGES, FleetSettings(unplanned="refuse"), (FINE,)))
    require_planned(planned("c1"))


def test_two_names_of_one_cluster_are_not_two_clusters() -> None:
    with pytest.raises(UsageError, match="c1 and e1 lead to the same cluster"):
        over_clusters([planned("c1", "same"), planned("e1", "same")], EDGES, FleetSettings())


def test_what_two_targets_led_to_goes_back_once() -> None:
    one = over_clusters([planned("c1"), planned("c1")], EDGES, FleetSettings())
    assert len(one.parts) == 1


def test_who_joined_since_is_told_apart_from_whoever_was_never_meant() -> None:
    edges = [planned(name) for name in TEN[1:4]]
    one = over_clusters(edges, EDGES, FleetSettings(), (GONE, FINE))
    known = {name: EDGES[name] for name in ("c1", "e1", "e2", "e3", "e8", "e9")}
    assert newcomers(one, known) == (), "the central one has other labels, and who is not planned is known"
    assert newcomers(one, {**known, "e77": {"role": "edge"}, "c2": {"role": "central"}}) == ("e77",)
    assert newcomers(one, {}) == newcomers(planned("c1"), known) == ()
