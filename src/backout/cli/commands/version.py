# SPDX-License-Identifier: Apache-2.0
"""`backout version`: what a report of a fault begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.render.screen import Screen
    from backout.cli.session import Session


@click.command("version", cls=Command)
@with_session
async def command(session: Session) -> None:
    """Says which Backout this is, and what it works with: Python, SQLite, helm, kubectl, git, embedded clusters.

    Asks no cluster. What is not installed is said, and is null in documents; `backout doctor` says what is needed.
    """
    from backout.app.version import version
    from backout.documents.machine import version_document
    from backout.lab.embedded import kubetwin_version

    facts = {**await version(), "kubetwin": kubetwin_version()}
    if not session.text:
        session.document(version_document(facts))
        return
    screen = session.screen()
    for name, fact in facts.items():
        screen.line(f"{name:<9} {_words(fact) if fact else _missing(screen, name)}")
    screen.show()


def _words(fact: dict[str, str]) -> str:
    return f"{fact['version']} ({fact['path']})" if "path" in fact else fact["version"]


def _missing(screen: Screen, name: str) -> str:
    from backout.lab.embedded import INSTALL
    from backout.model.message import msg

    said = screen.say(msg("not installed"))
    return f"{said}: {screen.say(INSTALL)}" if name == "kubetwin" else said
