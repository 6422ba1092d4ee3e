# SPDX-License-Identifier: Apache-2.0
"""Writes the JSON Schemas of the documents, and their table in docs/documents.md, from the structs.

python tools/schemas.py (--check only compares)
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

from backout.documents.kinds import kinds, schema

FOLDER = Path(__file__).parent.parent / "src" / "backout" / "documents" / "schemas"
PAGE = Path(__file__).parent.parent / "docs" / "documents.md"


def files() -> dict[str, str]:
    """The name of each file and what must stand in it."""
    return {f"{kind}.json": json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n" for kind in kinds()}


def page() -> str:
    """The page with its table, the last thing on it."""
    head, mark, _ = PAGE.read_text().partition("| kind | of |\n")
    lines = [f"| `{kind}` | {_told(struct)} |\n" for kind, struct in kinds().items()]
    return "".join([head, mark, "|---|---|\n", *lines])


def _told(struct: type) -> str:
    """The first paragraph of its docstring, on a line."""
    return " ".join((inspect.getdoc(struct) or "").split("\n\n")[0].split()).replace("``", "`")


def main() -> int:
    wanted = files()
    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    if "--check" in sys.argv:
        return int(found != wanted or PAGE.read_text() != page())
    PAGE.write_text(page())
    FOLDER.mkdir(exist_ok=True)
    for name in found.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
