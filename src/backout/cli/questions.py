# SPDX-License-Identifier: Apache-2.0
"""Questions to the person at the terminal; without one nobody is asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from backout.cli.render.screen import plain
from backout.errors import RefusedError

if TYPE_CHECKING:
    from backout.app.approval import Ask
    from backout.cli.session import Session
    from backout.model.part import Part, Risk


def ask(session: Session, question: str) -> bool:
    """Asks for a yes or no.

    Raises:
        RefusedError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise RefusedError(
            "Nobody can be asked: this is no terminal.", hint="Look at the plan, then say yes beforehand: --yes"
        )
    return click.confirm(plain(session.screen().say(question)), err=True)


def typed_yes(session: Session) -> Ask:
    """Asks whether a risk is accepted: a whole word, so that no key that was pressed too early counts."""

    def asked(part: Part, risk: Risk) -> bool:
        if not sys.stdin.isatty():
            return False
        screen = session.screen()
        screen.told("{target}: {risk}", target=str(part.target), risk=screen.say(risk.message))
        screen.show(err=True, colours=False)
        question = screen.say("Type yes to accept that ({code})", code=risk.code)
        return str(click.prompt(plain(question), default="", show_default=False, err=True)).strip().lower() == "yes"

    return asked
