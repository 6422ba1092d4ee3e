# SPDX-License-Identifier: Apache-2.0
"""Which run is meant by ``latest``: that of the namespace and cluster that were named, never one of elsewhere."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from backout.app.runs import runs
from backout.app.store import run_meant, run_to_undo
from backout.app.workspace import Where, Workspace
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import RunNotFound, UsageError
from backout.model.message import msg
from backout.model.run import Run, RunEvent
from backout.model.settings import Settings, StackSettings
from backout.planning.document import seal

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import plan


def of(namespace: str, cluster: str) -> Run:
    operation = plan()
    part = operation.parts[0]
    scope = msgspec.structs.replace(part.scope, namespace=namespace, cluster=cluster)
    target = msgspec.structs.replace(part.target, namespace=namespace, cluster=cluster)
    sealed = seal(
        msgspec.structs.replace(operation, parts=(msgspec.structs.replace(part, scope=scope, target=target),))
    )
    return Run(id="", state="pending", operation=sealed, started=datetime.now(UTC))


@pytest.fixture
def store(tmp_path: Path) -> SqliteRunStore:
    store = SqliteRunStore(tmp_path / "state.db")
    runs = [("one", "shop", "east"), ("two", "store", "east"), ("three", "shop", "west"), ("four", "other", "west")]
    for age, (name, namespace, cluster) in enumerate(runs):
        began = datetime.now(UTC) + timedelta(minutes=age)
        store.create(msgspec.structs.replace(of(namespace, cluster), id=name, started=began))
    return store


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (Where(), "four"),
        (Where(namespace="shop"), "three"),
        (Where(namespace="store"), "two"),
        (Where(contexts=("east",)), "two"),
        (Where(contexts=("east",), namespace="shop"), "one"),
        (Where(contexts=("east", "west"), namespace="shop"), "three"),
    ],
)
def test_the_latest_is_that_of_what_was_named(store: SqliteRunStore, where: Where, name: str) -> None:
    with store:
        assert run_meant(Workspace(Settings(), where), store) == name


def test_runs_are_listed_by_what_was_named(
    tmp_path: Path, store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setenv("BACKOUT_STATE", str(tmp_path / "state.db"))
    shop = Workspace(Settings(), Where(namespace="shop"))
    assert [run.id for run in runs(shop)] == ["three", "one"]
    assert [run.id for run in runs(shop, 1)] == ["three"]
    assert [run.id for run in runs(Workspace(Settings()), 2)] == ["four", "three"]


def test_where_nothing_was_done_there_is_no_latest_and_an_id_is_an_id(store: SqliteRunStore) -> None:
    elsewhere = Workspace(Settings(), Where(namespace="empty"))
    with store:
        with pytest.raises(RunNotFound) as caught:
            run_meant(elsewhere, store)
        assert "empty" in caught.value.message
        assert run_meant(elsewhere, store, "two") == "two"


def event(run: str, type: str, **data: object) -> RunEvent:
    return RunEvent(run=run, type=type, at=datetime.now(UTC), message=msg("so it was"), step="s", data=dict(data))


@pytest.mark.parametrize(
    ("stacks", "where", "name"),
    [
        ({"a": StackSettings("shop")}, Where(), "three"),
        ({"a": StackSettings("shop", ("east",))}, Where(), "one"),
        ({"a": StackSettings("store"), "b": StackSettings("shop", ("east",))}, Where(), "two"),
        ({"a": StackSettings("shop")}, Where(contexts=("east",)), "one"),
        ({"a": StackSettings("shop")}, Where(namespace="other"), "four"),
        ({"a": StackSettings("shop")}, Where(all_namespaces=True), "four"),
    ],
)
def test_the_latest_is_that_of_the_stacks_of_the_configuration(
    store: SqliteRunStore, stacks: dict[str, StackSettings], where: Where, name: str
) -> None:
    with store:
        assert run_meant(Workspace(Settings(stacks=stacks), where), store) == name


def test_a_run_that_was_refused_is_not_the_latest_while_there_is_another(store: SqliteRunStore) -> None:
    workspace = Workspace(Settings())
    with store:
        store.update("four", state="failed")
        assert run_meant(workspace, store) == "three"
        store.record(event("four", "step-started"))
        assert run_meant(workspace, store) == "four"
        for name in ("one", "two", "three"):
            store.update(name, state="aborted")
        assert run_meant(Workspace(Settings(), Where(namespace="shop")), store) == "three", "there is nothing else"


def test_an_undo_of_the_latest_says_which_runs_one_command_made(store: SqliteRunStore) -> None:
    workspace = Workspace(Settings())
    with store:
        for name in ("two", "three", "four"):
            store.record(event(name, "run-started", command="c1"))
        assert run_to_undo(workspace, store) == "four", "none changed anything"
        store.record(event("three", "step-done", changed=True))
        assert run_to_undo(workspace, store) == "three"
        store.record(event("two", "step-done", changed=True))
        with pytest.raises(UsageError) as caught:
            run_to_undo(workspace, store)
        assert "three" in caught.value.message and "two" in caught.value.message
        assert "backout undo two" in caught.value.hint.format(**caught.value.arguments)
        assert run_to_undo(workspace, store, "three") == "three", "a name says it"
        store.update("three", undone_by="x")
        assert run_to_undo(workspace, store) == "two"
