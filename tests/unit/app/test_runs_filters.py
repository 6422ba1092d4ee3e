# SPDX-License-Identifier: Apache-2.0
"""Which runs `runs` lists: by cluster, by what they are called, by when they began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from tests.contract.store.test_store_contract import part, plan, run

from backout.app.runs import runs
from backout.app.store import open_store
from backout.app.workspace import Where, Workspace
from backout.cli.commands.runs import STATES
from backout.documents.running import ToldRun
from backout.model.run import Run, RunState
from backout.model.settings import Settings


def workspace(tmp_path: Path, *contexts: str) -> Workspace:
    return Workspace(Settings(state=f"sqlite:///{tmp_path / 'state.db'}"), Where(contexts=contexts))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    now = datetime.now(UTC)
    with open_store(workspace(tmp_path), create=True) as store:

        def keep(id: str, state: RunState, hours: int, *clusters: str, undo_of: str = "") -> None:
            operation = plan(f"sha256:{id}", *(part(name, name) for name in clusters))
            at = now - timedelta(hours=hours)
            store.create(Run(id=id, state="pending", operation=operation, started=at, undo_of=undo_of))
            store.update(id, state=state)

        keep("old", "recovered", 50, "a")
        keep("wide", "failed", 20, "a", "b")
        keep("back", "recovered", 3, "b", undo_of="wide")
        keep("stopped", "interrupted", 2, "b")
    return tmp_path


@pytest.mark.parametrize(
    ("clusters", "states", "hours", "expected"),
    [
        ((), (), None, ["stopped", "back", "wide", "old"]),
        (("a",), (), None, ["wide", "old"]),
        (("b",), (), 24, ["stopped", "back", "wide"]),
        ((), ("recovered",), None, ["old"]),
        ((), ("taken-back",), None, ["back"]),
        ((), ("interrupted", "failed"), None, ["stopped", "wide"]),
        ((), (), 10, ["stopped", "back"]),
        (("a",), ("failed",), 10, []),
    ],
)
def test_what_is_listed(
    kept: Path, clusters: tuple[str, ...], states: tuple[str, ...], hours: int | None, expected: list[str]
) -> None:
    since = timedelta(hours=hours) if hours is not None else None
    assert [one.id for one in runs(workspace(kept, *clusters), states=states, since=since)] == expected


def test_the_limit_counts_what_is_listed(kept: Path) -> None:
    assert [one.id for one in runs(workspace(kept), 1, states=("failed",))] == ["wide"]


def test_every_state_that_a_document_has_can_be_asked_for() -> None:
    (told,) = (one for one in ToldRun.__struct_fields__ if one == "state")
    from typing import get_type_hints

    hints = get_type_hints(ToldRun)[told]
    assert {value for one in get_args(hints) for value in (get_args(one) or (one,))} == set(STATES)
    assert run().state in STATES
