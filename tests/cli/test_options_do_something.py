# SPDX-License-Identifier: Apache-2.0
"""No option and no setting is ignored in silence."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from backout_shell import Shell

from backout.model import settings
from backout.model.settings import Settings

SOURCE = Path(settings.__file__).parents[1]
CHART = Path(__file__).parent / "tiny"
CONFIG = """apiVersion: backout.dev/v1
clusters:
  cluster-01: {labels: {role: central}}
  cluster-02: {labels: {role: edge}}
verify: {soak: 0}
"""


@pytest.fixture
def configured(backout: Shell, tmp_path: Path) -> Shell:
    (tmp_path / "backout.yaml").write_text(CONFIG)
    return backout


@pytest.fixture
def own(helm: Any, request: pytest.FixtureRequest) -> str:
    """A release of the test's own with two revisions."""
    name = f"own-{abs(hash(request.node.name)) % 10**8}"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    helm("upgrade", name, str(CHART), "-n", name, "--set", "word=two")
    return name


def fields(shape: type[msgspec.Struct]) -> set[str]:
    """The keys of the configuration, those of its sections included."""
    found: set[str] = set()
    todo: list[object] = [shape]
    while todo:
        one = todo.pop()
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            for field in msgspec.structs.fields(one):
                found.add(field.name)
                todo.append(field.type)
        else:
            todo += getattr(one, "__args__", ())
    return found


def test_every_setting_is_read_somewhere() -> None:
    read: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        if path == Path(settings.__file__):
            continue
        read |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    checked_by_its_reader = {"apiVersion"}
    assert fields(Settings) - read - checked_by_its_reader == set()


def test_labels_choose_clusters(configured: Shell) -> None:
    found = configured("status", "-n", "default", "-l", "role=edge", "-o", "json").document
    assert [item["cluster"] for item in found["items"]] == ["cluster-02"]
    both = configured("status", "-n", "default", "--selector", "role in (edge,central)", "-o", "json").document
    assert [item["cluster"] for item in both["items"]] == ["cluster-01", "cluster-02"]
    for wrong in (("-l", "role=west"), ("-l", "role=>"), ("-l", "role=edge", "--context", "cluster-01")):
        error = configured.error("status", "-n", "default", *wrong)
        assert (error["code"], error["exitCode"]) == ("usage", 2), error
    assert "role=edge" in json.dumps(configured.error("status", "-l", "role=west"))


def test_what_looks_at_one_cluster_says_so(configured: Shell, release: str) -> None:
    both = ("--context", "cluster-01", "--context", "cluster-02")
    error = configured.error("history", f"helm/{release}", "-n", release, *both)
    assert (error["code"], "one cluster at a time" in error["message"]) == ("usage", True)
    assert configured.error("history", f"helm/{release}", "-n", release, "-l", "role")["code"] == "usage"


def test_a_yes_that_nothing_asks_for_is_told(configured: Shell, own: str) -> None:
    words = ("run", f"helm/{own}", "--to", "1", "-n", own, "--context", "cluster-01", "--yes")
    refused = configured(*words, "--approve", "no-such-risk", "-o", "json")
    assert "--approve no-such-risk: no risk of this plan asks for that." in refused.err
    assert "no risk of this plan" not in configured(*words, "--dry-run").err


def test_runs_are_those_of_what_was_named(configured: Shell, own: str) -> None:
    words = ("run", f"helm/{own}", "-n", own, "--context", "cluster-01", "--yes", "--approve", "not-proven-good")
    assert configured(*words, "--to", "1").code in (0, 7)
    runs = configured("runs", "-n", own, "-o", "json").document["items"]
    assert len(runs) == 1
    assert configured("runs", "-n", own, "--context", "cluster-01", "-o", "json").document["items"] == runs
    assert configured("runs", "-n", "elsewhere", "-o", "json").document["items"] == []
    assert configured("runs", "-l", "role=edge", "-o", "json").document["items"] == []
