# SPDX-License-Identifier: Apache-2.0
"""A plan and a run over many clusters as people read them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import part, sealed

from backout.cli.render.fleet import show_outcomes
from backout.cli.render.plan import show_plan
from backout.cli.render.screen import Screen
from backout.model.fleet import NotPlanned
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.outcomes import outcomes
from backout.model.revision import Revision
from backout.model.run import RunEvent
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.settings import FleetSettings
from backout.planning.fleet import over_clusters

T0 = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)


def planned(cluster: str, **more: Any) -> Operation:
    scope = ClusterScope(cluster=cluster, namespace="monitoring", identity=ClusterIdentity(f"u-{cluster}", "ca"))
    number = int(cluster[1:])
    first = Revision(number=1, digest=f"d{number}", created=T0 + timedelta(seconds=number))
    return sealed(part(scope=scope, revision=first, **more))


def fleet(count: int, odd: int = 0, **more: Any) -> Operation:
    names = [f"k{n}" for n in range(count)]
    plans = [planned(name) for name in names[: count - odd]]
    plans += [planned(name, cause=msg("another cause")) for name in names[count - odd :]]
    return over_clusters(plans, {name: {} for name in names}, FleetSettings(), **more)


def shown(operation: Operation) -> str:
    screen = Screen()
    show_plan(screen, operation)
    return "\n".join(screen.lines)


def test_what_is_alike_is_told_once_and_what_is_not_is_told_apart() -> None:
    text = shown(fleet(40, odd=3))
    assert "37 clusters alike · monitoring · deployment/web" in text and "3 clusters alike" in text
    assert "k0, k1, k2, k3, k4, k5 and 31 more" in text
    assert (text.count("a bad image"), text.count("another cause")) == (1, 1)
    assert "40 parts on 40 clusters, in 3 waves" in text


def test_who_has_no_part_is_said_and_why() -> None:
    gone = NotPlanned(cluster="k9", code="cluster-unreachable", why=msg("No answer."))
    fine = NotPlanned(cluster="k8", code="nothing-to-do", why=msg("Nothing."), needed=False)
    text = shown(fleet(3, not_planned=(gone, fine)))
    assert "k9: No answer." in text and "Nothing to do on 1 clusters: k8" in text
    assert "The others go on without them" in text


def event(operation: Operation, number: int, type: str, seq: int, **data: Any) -> RunEvent:
    id = operation.parts[number].id
    return RunEvent(run="r", part=id, type=type, at=T0, message=msg("x"), seq=seq, data=data)


@pytest.mark.parametrize(
    ("told", "under_way", "state"),
    [
        ([], True, "not-started"),
        ([("part-started", {})], True, "running"),
        ([("part-started", {})], False, "parked"),
        ([("part-started", {}), ("part-ended", {"state": "recovered"})], False, "recovered"),
        ([("part-started", {}), ("part-parked", {"state": "parked"})], True, "parked"),
        ([("part-started", {}), ("part-parked", {"state": "parked"}), ("part-started", {})], True, "running"),
        ([("part-ended", {"state": "recovered"}), ("part-started", {})], True, "recovered"),
        ([("part-ended", {"state": "recovered"}), ("part-ended", {"state": "not-recovered"})], True, "not-recovered"),
    ],
)
def test_what_became_of_a_part(told: list[tuple[str, dict[str, Any]]], under_way: bool, state: str) -> None:
    operation = fleet(2)
    events = [event(operation, 0, type, number, **data) for number, (type, data) in enumerate(told, 1)]
    found = outcomes(operation, events, under_way=under_way)
    assert [one.state for one in found] == [state, "not-started"]
    assert [(one.cluster, one.wave) for one in found] == [("k0", 1), ("k1", 2)]


def test_of_many_those_that_are_not_verified_are_listed_the_worst_first() -> None:
    operation = fleet(40)
    failure = {"code": "conflict", "exit_code": 5, "message": msgspec.to_builtins(msg("Changed."))}
    ended = ["recovered"] * 36 + ["refused", "failed"]
    events = [
        event(operation, n, "part-ended", n, state=state, **({"failure": failure} if state != "recovered" else {}))
        for n, state in enumerate(ended)
    ]
    screen = Screen()
    show_outcomes(screen, outcomes(operation, events, under_way=False))
    text = "\n".join(screen.lines)
    lines = text.splitlines()
    assert "36 recovered, 1 failed, 1 refused, 2 not started" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ["k37", "k36", "k38", "k39"] and "Changed." in text


def test_an_undo_is_never_called_recovered() -> None:
    operation = fleet(2)
    events = [event(operation, n, "part-ended", n, state="recovered") for n in range(2)]
    screen = Screen()
    show_outcomes(screen, outcomes(operation, events, under_way=False), undo=True)
    text = "\n".join(screen.lines)
    assert "2 taken back" in text and "recovered" not in text


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_the_live_table_is_as_wide_as_its_names_ask_for_and_what_stands_below_is_whole(columns: int) -> None:
    from io import StringIO

    from rich.cells import cell_len
    from rich.console import Console

    from backout.cli.render.fleet_live import picture

    below = "1 복구됨, 1 진행 중, 1 시작하지 않음, 3 not healthy"
    out = StringIO()
    console = Console(file=out, width=columns, height=40, highlight=False, markup=False)
    console.print(picture([("edge-1", "8s", "기다리는 중 " * 30), ("edge-22", "12s", "")], [below]))
    first, second, *last = out.getvalue().splitlines()
    assert first.startswith("edge-1   8s   기다리는 중") and cell_len(first) <= columns
    assert second.startswith("edge-22  12s")
    assert "".join(last).strip() == below
