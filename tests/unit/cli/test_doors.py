# SPDX-License-Identifier: Apache-2.0
"""There are few places where text leaves for a terminal; a new one has to stand here, with what cleans it."""

from __future__ import annotations

import ast
from pathlib import Path

import backout

SOURCE = Path(backout.__file__).parent
DOORS = {
    "cli/output.py": "what is sent there: screens, whose every piece goes through one_line; escaped documents; clean pages",
    "cli/questions.py": "questions are made plain",
    "cli/main.py": "words of ours alone",
    "tools/__main__.py": "paths of this machine, for the Makefile",
}
WAYS = {"echo", "secho", "print", "confirm", "prompt", "print_exception", "print_exc", "write"}


def test_text_leaves_through_few_doors() -> None:
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            last = name.rpartition(".")[2]
            if last not in WAYS or (last == "write" and not name.startswith(("sys.", "stream"))):
                continue
            if name == "console.print":
                continue  # rich draws what `styled` made
            if last in ("print", "echo", "secho", "confirm", "prompt") and name not in ("print", f"click.{last}"):
                continue
            found.add(str(path.relative_to(SOURCE)))
    assert found == set(DOORS)
