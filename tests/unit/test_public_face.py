# SPDX-License-Identifier: Apache-2.0
"""The names that others may build on: added on purpose, never lost by accident, and imported only when asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import backout

PUBLIC = [
    "Backout",
    "BackoutError",
    "CheckResult",
    "ClusterUnreachable",
    "Clusters",
    "ConfigError",
    "Diagnosis",
    "Event",
    "Execution",
    "Front",
    "Interrupted",
    "LockedError",
    "NotFoundError",
    "NotVerifiedError",
    "Operation",
    "PartOutcome",
    "PartlyDoneError",
    "Problem",
    "RefusedError",
    "Revision",
    "Run",
    "RunEvent",
    "Settings",
    "Snapshot",
    "Snapshots",
    "Taken",
    "Target",
    "TimedOut",
    "UsageError",
    "Verdict",
    "__version__",
]
STUB = Path(backout.__file__).with_suffix(".pyi")
HEAVY = (
    "msgspec",
    "lightkube",
    "dbos",
    "click",
    "rich",
    "yaml",
    "hpack",
    "httpx2",
    "cryptography",
    "obstore",
    "asyncio",
    "kubetwin",
)


def test_the_public_names_are_these() -> None:
    assert sorted(backout.__all__) == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(backout))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_is_there_and_documented(name: str) -> None:
    found = getattr(backout, name)
    assert found is getattr(backout, name)
    if isinstance(found, type):
        assert found.__doc__ and found.__name__ == name


def test_nothing_else_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Backin'"):
        backout.Backin  # noqa: B018


def test_type_checkers_see_the_same() -> None:
    tree = ast.parse(STUB.read_text())
    told = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, "only such imports are exported"
                told[alias.name] = node.module
    assert {*told, "__version__"} == set(backout.__all__)
    for name, module in told.items():
        assert getattr(import_module(str(module)), name) is getattr(backout, name)
    assert (Path(backout.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize(
    ("work", "loaded"),
    [
        ("import backout", ()),
        ("import backout; backout.errors if hasattr(backout, 'errors') else backout.BackoutError", ()),
        ("import sys; sys.argv = ['backout', '--help']; from backout.cli.main import run; run()", ("click",)),
        ("from backout.cli.main import own_process; own_process(); import httpx2, httpcore2", ("click", "httpx2")),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(work: str, loaded: tuple[str, ...]) -> None:
    check = f"{work}\nimport sys; print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    answer = subprocess.run(
        [sys.executable, "-c", check],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stderr.strip() == str(list(loaded))
