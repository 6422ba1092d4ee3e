# SPDX-License-Identifier: Apache-2.0
"""A screen of text: translated sentences, colours where the terminal has them, times that people can use.

What comes from a cluster is data: it can neither style nor steer a terminal, nor begin a line. Styles are marks inside a
text that nobody else can know; they are taken out before anything is drawn, and the rest goes through one filter.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, TypeAlias

from backout.cli.output import send
from backout.model.message import Message
from backout.model.plaintext import one_line
from backout.model.redaction import redact_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from backout.cli.options import GlobalOptions

COLOURS = {"good": "green", "bad": "red", "warn": "yellow", "dim": "bright_black", "head": "bold cyan"}
MARKS = {"good": "✓", "bad": "✗", "warn": "!", "unknown": "?"}
UNBOUNDED = 100_000
"""Columns where nobody looks at a terminal: nothing is folded there."""
_OWN = os.urandom(8).hex()
_OPEN, _CLOSE = f"\x0e{_OWN}", f"\x0f{_OWN}"
"""Around a styled part of a text: mark, letter of the style, text, mark. They are other ones in each process, so that no
text of others can hold them."""
_STYLES = dict(zip("gbwdh", COLOURS, strict=True))
_LETTERS = {style: letter for letter, style in _STYLES.items()}
Drawn: TypeAlias = "str | _Rows"


class _Rows:
    """A table, not drawn yet."""

    def __init__(self, heads: Sequence[str], rows: Sequence[Sequence[str]], indent: int) -> None:
        self.heads, self.rows, self.indent = heads, rows, indent


class Screen:
    """Collects lines. ``say`` translates a Message or a template; everything else is data and printed as it is."""

    def __init__(self, lang: str = "en", now: datetime | None = None, options: GlobalOptions | None = None) -> None:
        self.lang = lang
        self.options = options
        self.now = now or datetime.now(UTC)
        self.parts: list[Drawn] = []

    def say(self, text: Message | str, /, **args: object) -> str:
        """The text in the reader's language."""
        from backout.locales import translate

        if isinstance(text, Message):
            return self.command(translate(text.template or text.text, text.args, self.lang))
        return self.command(translate(text, args, self.lang))

    def command(self, text: str, cluster: str = "") -> str:
        """The text, with the options that were given in each command of ours, so that it can be pasted.

        ``cluster`` is that which the command is for, where several were given.
        """
        from backout.cli.pasting import pasteable

        return pasteable(text, self.options, cluster) if self.options is not None else text

    def within(self, namespace: str) -> Screen:
        """Itself, for what is of that namespace: a run from a file says where it was, and the command line did not."""
        if self.options is not None and namespace and not (self.options.namespace or self.options.all_namespaces):
            self.options = replace(self.options, namespace=namespace)
        return self

    def line(self, text: str = "", indent: int = 0) -> None:
        """Adds one line, whatever the text holds."""
        self.parts.append(" " * indent + text if text else "")

    def block(self, text: str, indent: int = 0) -> None:
        """Adds a line for each line of a text of ours, such as a document."""
        for line in text.splitlines():
            self.line(line, indent)

    def told(self, text: Message | str, /, indent: int = 0, style: str = "", **args: object) -> None:
        """Adds a translated line."""
        said = self.say(text, **args)
        self.line(paint(said, style) if style else said, indent)

    def label(self, text: str, columns: int) -> str:
        """A translated label, as wide as ``columns`` at least, and two spaces."""
        said = self.say(text)
        return said + " " * (max(0, columns - width(said)) + 2)

    def mark(self, status: str) -> str:
        """✓, ✗ or ? in its colour."""
        return paint(MARKS.get(status, "?"), status if status in COLOURS else "warn")

    def ago(self, at: datetime | None) -> str:
        """``20:14:05 (2m ago)``; UTC, with the date when it was another day."""
        if at is None:
            return self.say("at an unknown time")
        at = at.astimezone(UTC)
        clock = at.strftime("%H:%M:%S") if at.date() == self.now.date() else at.strftime("%Y-%m-%d %H:%M:%S")
        return self.say("{clock} UTC ({age} ago)", clock=clock, age=duration((self.now - at).total_seconds()))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], indent: int = 0) -> None:
        """Columns as wide as their longest cell; on a terminal that is too narrow, cells are folded."""
        told = [self.say(head).upper() if self.lang == "en" else self.say(head) for head in heads]
        self.parts.append(_Rows(told, [tuple(row) for row in rows], indent))

    @property
    def lines(self) -> list[str]:
        """The screen as plain text."""
        return self._drawn(None)

    def show(self, *, err: bool = False, colours: bool = True) -> None:
        """Prints the screen, with colours where the terminal has them; nothing when it is empty."""
        if not self.parts:
            return
        stream = sys.stderr if err else sys.stdout
        terminal = colours and coloured(stream)
        send("\n".join(self._drawn(stream if stream.isatty() else None, colours=terminal)) + "\n", err=err)

    def _drawn(self, stream: IO[str] | None, *, colours: bool = False) -> list[str]:
        found: list[str] = []
        for part in self.parts:
            if isinstance(part, _Rows):
                console = _console(stream, colours=colours)
                found += _draw(_table(part, console.width), console)
            elif colours and _OPEN in part:
                found += _draw(styled(part), _console(stream, colours=True))
            else:
                found.append(plain(part))
        return found


def coloured(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that has colours, and nobody wants none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def paint(text: str, style: str) -> str:
    """Colours a text by meaning."""
    return f"{_OPEN}{_LETTERS[style]}{text}{_CLOSE}" if style in _LETTERS else text


def plain(text: str) -> str:
    """Without styles."""
    return "".join(piece for piece, _ in _pieces(text))


def styled(text: str) -> Text:
    """With styles, to be drawn. No markup is ever read from it."""
    from rich.text import Text

    found = Text(no_wrap=True, overflow="ignore")
    for piece, style in _pieces(text):
        found.append(piece, COLOURS.get(style))
    return found


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a text, cleaned, each with its style."""
    styles: list[str] = []
    for number, part in enumerate(text.split(_OPEN)):
        if number and part[:1] in _STYLES:
            styles.append(_STYLES[part[0]])
            part = part[1:]
        for turn, piece in enumerate(part.split(_CLOSE)):
            if turn and styles:
                styles.pop()
            if piece:
                yield one_line(redact_text(piece)), styles[-1] if styles else ""


def _table(rows: _Rows, room: int) -> Table:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from backout.cli.render.columns import fit

    widths, gap = fit([rows.heads, *([plain(cell) for cell in row] for row in rows.rows)], room - rows.indent)
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style=COLOURS["dim"])
    for head, columns in zip(rows.heads, widths, strict=True):
        table.add_column(Text(head), overflow="fold", width=columns)
    for row in rows.rows:
        cells = [styled(cell) for cell in row]
        for cell in cells:
            cell.no_wrap, cell.overflow = False, "fold"
        table.add_row(*cells)
    return Padding(table, (0, 0, 0, rows.indent), expand=False)  # type: ignore[return-value]


def _console(stream: IO[str] | None, *, colours: bool) -> Console:
    from rich.console import Console

    settings = {"highlight": False, "markup": False, "emoji": False, "legacy_windows": False}
    if stream is None:
        return Console(width=UNBOUNDED, color_system=None, force_terminal=False, **settings)  # type: ignore[arg-type]
    return Console(file=stream, color_system="auto" if colours else None, **settings)  # type: ignore[arg-type]


def _draw(drawn: Table | Text, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(drawn, soft_wrap=not hasattr(drawn, "renderable"))
    return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


def width(text: str) -> int:
    """Terminal columns of a text: styles take none, wide letters (as in Korean) take two."""
    from rich.cells import cell_len

    return cell_len(plain(text))


def duration(seconds: float) -> str:
    """``8s``, ``5m12s``, ``3h05m``, ``2d4h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
