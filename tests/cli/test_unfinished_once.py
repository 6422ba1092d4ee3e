# SPDX-License-Identifier: Apache-2.0
"""Whoever looks at what a killed run left behind is told of that run, once."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from backout_shell import Shell

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.model.run import Run
from backout.planning.document import seal

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))

from rollback_world import plan


@pytest.mark.parametrize("command", ["diagnose", "plan"])
def test_it_is_told_once(backout: Shell, release: str, command: str) -> None:
    operation = plan()
    part = operation.parts[0]
    scope = msgspec.structs.replace(part.scope, namespace=release, cluster="cluster-01")
    target = msgspec.structs.replace(part.target, namespace=release, cluster="cluster-01")
    sealed = seal(
        msgspec.structs.replace(operation, parts=(msgspec.structs.replace(part, scope=scope, target=target),))
    )
    # Nobody owns it any more: it was begun, and its process is gone.
    SqliteRunStore(backout.home / "state.db").create(
        Run(id="", state="interrupted", operation=sealed, started=datetime.now(UTC))
    )
    answer = backout(command, "-n", release, "--context", "cluster-01")
    assert answer.err.count("stopped before it changed anything") == 1, answer.err
