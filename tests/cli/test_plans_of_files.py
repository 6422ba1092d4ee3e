# SPDX-License-Identifier: Apache-2.0
"""A plan from a file has the risks and the checks that the cluster gives such a plan now, or it is refused: whoever edits one and
knows how hashes are made takes nothing out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from backout_shell import Shell

from backout.model.part import Part
from backout.planning import document


def forge(path: Path, change: Callable[[Part], Part]) -> Path:
    """As whoever edits it would leave it."""
    (plan,) = document.load(path.read_text(), "plan")
    edited = msgspec.structs.replace(plan, parts=tuple(map(change, plan.parts)), hash="")
    forged = path.with_name("forged.yaml")
    forged.write_text(document.dump([document.seal(edited)]))
    return forged


def less(part: Part) -> Part:
    return msgspec.structs.replace(part, checks=part.checks[:-1])


def blind(part: Part) -> Part:
    """The same checks, of which one asks for nothing."""
    first = msgspec.structs.replace(part.checks[0], params={})
    return msgspec.structs.replace(part, checks=(first, *part.checks[1:]))


def calm(part: Part) -> Part:
    return msgspec.structs.replace(part, risks=())


def test_what_only_the_cluster_knows_can_not_be_taken_out(backout: Shell, helm: Any, release: str) -> None:
    path = backout.home / "plan.yaml"
    assert backout("plan", f"helm/{release}", "--to", "4", "-n", release, "--out", str(path)).code == 0
    (plan,) = document.load(path.read_text(), "plan")
    (part,) = plan.parts
    changes = [less, blind] if not part.risks else [less, blind, calm]
    for change in changes:
        for more in (("--yes",), ("--dry-run",)):
            error = backout.error("run", str(forge(path, change)), *more)
            assert (error["code"], error["exitCode"]) == ("plan-changed", 5)
    assert backout("run", str(path), "--dry-run").code == 0
    assert backout("run", str(forge(path, lambda part: part)), "--dry-run").code == 0, "the same, sealed again"
