# SPDX-License-Identifier: Apache-2.0
"""A page of text: translated sentences, colours where the terminal has them, times that people can use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click

from backout.model.message import Message

COLOURS = {"good": "green", "bad": "red", "warn": "yellow", "dim": "bright_black", "head": "cyan"}
MARKS = {"good": "✓", "bad": "✗", "warn": "!", "unknown": "?"}


class Page:
    """Collects lines. ``say`` translates a Message or a template; everything else is data and printed as it is."""

    def __init__(self, lang: str = "en", now: datetime | None = None) -> None:
        self.lang = lang
        self.now = now or datetime.now(UTC)
        self.lines: list[str] = []

    def say(self, text: Message | str, /, **args: object) -> str:
        """The text in the reader's language."""
        from backout.locales import translate

        if isinstance(text, Message):
            return translate(text.template or text.text, text.args, self.lang)
        return translate(text, args, self.lang)

    def line(self, text: str = "", indent: int = 0) -> None:
        """Adds a line; inner line breaks are indented alike."""
        for part in text.split("\n"):
            self.lines.append(" " * indent + part if part else "")

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
        """Columns as wide as their longest cell, the last one free."""
        told = [[self.say(head).upper() if self.lang == "en" else self.say(head) for head in heads], *map(list, rows)]
        widths = [max(width(row[column]) for row in told) for column in range(len(heads))]
        for number, row in enumerate(told):
            cells = [cell + " " * (widths[i] - width(cell)) for i, cell in enumerate(row)]
            text = "   ".join(cells).rstrip()
            self.line(paint(text, "dim") if number == 0 else text, indent)

    def show(self) -> None:
        """Prints the page to stdout; click drops the colours where there is no terminal."""
        click.echo("\n".join(self.lines))


def paint(text: str, style: str) -> str:
    """Colours a text by meaning."""
    return click.style(text, fg=COLOURS.get(style), bold=style == "head")


def width(text: str) -> int:
    """Terminal columns of a text: colour codes take none, wide letters (as in Korean) take two."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in click.unstyle(text))


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
