# SPDX-License-Identifier: Apache-2.0
"""`backout version`: what a report of a fault begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cli.views.page import Page

TOOLS = ("helm", "kubectl", "git")


@click.command("version")
@common_options
@with_session
async def command(session: Session) -> None:
    """Says which Backout this is, and what it works with: Python, SQLite, helm, kubectl, git, embedded clusters.

    Asks no cluster. What is not installed is said, and is null in documents; `backout doctor` says what is needed.
    """
    from backout.cli.output import versioned

    facts = await gathered()
    if session.text:
        page = session.page()
        for name, fact in facts.items():
            page.line(f"{name:<9} {_words(fact) if fact else _missing(page, name)}")
        page.show()
    else:
        session.document(versioned("Version", **facts))


async def gathered() -> dict[str, dict[str, str] | None]:
    """Each part with its version and, where it is a program, its path; None where there is none."""
    import platform
    import sqlite3
    import sys

    from backout import __version__

    return {
        "backout": {"version": __version__},
        "python": {"version": platform.python_version(), "path": sys.executable},
        "sqlite": {"version": sqlite3.sqlite_version},
        **{name: await _tool(name) for name in TOOLS},
        "kubetwin": _kubetwin(),
    }


async def _tool(name: str) -> dict[str, str] | None:
    from backout.errors import ToolMissing
    from backout.tools.locate import locate

    try:
        found = await locate(name)
    except ToolMissing:
        return None
    return {"version": found.version, "path": found.path} if found else None


def _kubetwin() -> dict[str, str] | None:
    try:
        from kubetwin import __version__
    except ModuleNotFoundError:
        return None
    return {"version": __version__}


def _words(fact: dict[str, Any]) -> str:
    return f"{fact['version']} ({fact['path']})" if "path" in fact else str(fact["version"])


def _missing(page: Page, name: str) -> str:
    from backout.cli.embedded import INSTALL
    from backout.model.message import msg

    said = page.say(msg("not installed"))
    return f"{said}: {page.say(INSTALL)}" if name == "kubetwin" else said
