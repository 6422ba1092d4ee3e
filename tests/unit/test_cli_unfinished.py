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
from backout.model.settings import Settings


@pytest.mark.parametrize(
    ("state", "contexts", "namespace", "undone", "told"),
    [
        ("interrupted", ["c1"], "shop", "", True),
        ("interrupted", [""], None, "", True),
        ("interrupted", ["c2"], "shop", "", False),
        ("interrupted", ["c1"], "other", "", False),
        ("interrupted", ["c1"], "shop", "r9", False),
        ("recovered", ["c1"], "shop", "", False),
    ],
)
def test_it_is_named_once_and_where_it_matters(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: Any,
    contexts: list[str],
    namespace: str | None,
    undone: str,
    told: bool,
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
        yield SimpleNamespace(summaries=lambda limit: [run])

    monkeypatch.setattr(store, "open_store", opened)
    where = Where(contexts=tuple(contexts), namespace=namespace or "")
    tell_unfinished(Workspace(Settings(), where, Console(GlobalOptions(lang="en"))))
    wanted = (
        "Run r1 on secret/s in shop of c0, c1 stopped half-way. `backout resume r1` finishes it; "
        "when it is over, `backout undo r1` takes it back."
    )
    assert capsys.readouterr().err == (wanted + "\n" if told else "")
