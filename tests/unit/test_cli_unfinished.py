# SPDX-License-Identifier: Apache-2.0
"""A run that stopped half-way is told of wherever somebody looks at what it left behind."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from backout.app import store
from backout.app.unfinished import tell_unfinished
from backout.app.workspace import Where, Workspace
from backout.cli.console import Console
from backout.cli.options import GlobalOptions
from backout.engine.store.port import Aim, RunSummary
from backout.model.message import msg
from backout.model.run import RunEvent
from backout.model.settings import Settings

BEGUN = RunEvent(run="r1", type="step-started", at=datetime.now(UTC), message=msg("x"), step="undo")
HALF_WAY = (
    "Run r1 on secret/s in shop of c0, c1 stopped half-way. `backout resume r1` finishes it; "
    "when it is over, `backout undo r1` takes it back.\n"
)
NOT_BEGUN = (
    "Run r1 on secret/s in shop of c0, c1 stopped before it changed anything. `backout resume r1` goes on with it, "
    "`backout abort r1` ends it.\n"
)


@pytest.mark.parametrize(
    ("state", "places", "events", "undone", "told"),
    [
        ("interrupted", [("c1", "shop")], [BEGUN], "", HALF_WAY),
        ("interrupted", [("c1", "shop")], [], "", NOT_BEGUN),
        ("interrupted", [("c1", "")], [BEGUN], "", HALF_WAY),
        ("interrupted", [("c2", "shop")], [BEGUN], "", ""),
        ("interrupted", [("c2", "")], [BEGUN], "", ""),
        ("interrupted", [("c1", "other")], [BEGUN], "", ""),
        ("interrupted", [("c2", "shop"), ("c1", "other")], [BEGUN], "", ""),
        ("interrupted", [("c1", "shop")], [BEGUN], "r9", ""),
        ("recovered", [("c1", "shop")], [BEGUN], "", ""),
    ],
)
def test_it_is_named_once_and_where_it_matters(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: Any,
    places: list[tuple[str, str]],
    events: list[RunEvent],
    undone: str,
    told: str,
) -> None:
    run = RunSummary(
        id="r1",
        state=state,
        target="secret/s",
        cluster="c0, c1",
        namespace="shop",
        revision=1,
        cause=msg("x"),
        started=datetime.now(UTC),
        undone_by=undone,
        aims=(Aim("c0", "shop", "secret/s"), Aim("c1", "shop", "secret/s")),
    )

    @contextmanager
    def opened(_: Any) -> Any:
        owners = SimpleNamespace(unfinished=lambda run: False, alive=lambda run: False)
        yield SimpleNamespace(summaries=lambda limit: [run], events=lambda run: events, owners=owners)

    monkeypatch.setattr(store, "open_store", opened)
    tell_unfinished(Workspace(Settings(), Where(), Console(GlobalOptions(lang="en"))), places)
    assert capsys.readouterr().err == told
