# SPDX-License-Identifier: Apache-2.0
"""Which Backout this is, and what it works with here."""

from __future__ import annotations

TOOLS = ("helm", "kubectl", "git")


async def version() -> dict[str, dict[str, str] | None]:
    """Each part with its version and, where it is a program, its path; None where there is none. Asks no cluster."""
    import platform
    import sqlite3
    import sys

    from backout import __version__

    return {
        "backout": {"version": __version__},
        "python": {"version": platform.python_version(), "path": sys.executable},
        "sqlite": {"version": sqlite3.sqlite_version},
        **{name: await _tool(name) for name in TOOLS},
    }


async def _tool(name: str) -> dict[str, str] | None:
    from backout.errors import ToolMissing
    from backout.tools.locate import locate

    try:
        found = await locate(name)
    except ToolMissing:
        return None
    return {"version": found.version, "path": found.path} if found else None
