# SPDX-License-Identifier: Apache-2.0
"""Markdown in the reader's language: lines, tables, times. What comes from a cluster is escaped and redacted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backout import locales
from backout.model.message import Message
from backout.model.redaction import redact_text

_SPECIAL = re.compile(r"([\\*\[\]<>|]|(?<!\w)_|_(?!\w))")
"""An underscore inside a word is left alone: it means nothing there, and names are full of it."""
_LONGEST_LINE = 300


class Safe(str):
    """Markdown already: not escaped again when it stands inside another sentence."""

    __slots__ = ()


class Writer:
    """Collects the lines of a document."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self._lines: list[str] = []

    def say(self, text: Message | str, /, **args: Any) -> Safe:
        """A sentence in the reader's language, safe inside Markdown; the arguments are data, or Safe."""
        if isinstance(text, Message):
            return Safe(escape(redact_text(locales.say(text, self.lang))))
        data = {name: v if isinstance(v, Safe) else escape(redact_text(str(v))) for name, v in args.items()}
        return Safe(locales.translate(text, data, self.lang))

    def line(self, text: str = "") -> None:
        """A line as it is."""
        self._lines.append(text)

    def heading(self, text: str, level: int = 2) -> None:
        """A heading with the empty lines that it needs."""
        if self._lines and self._lines[-1]:
            self.line()
        self.line(f"{'#' * level} {text}")
        self.line()

    def bullet(self, text: str, depth: int = 0) -> None:
        """One entry of a list."""
        self.line(f"{'  ' * depth}- {text}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; cells are Markdown already."""
        self.line("| " + " | ".join(head) + " |")
        self.line("|" + "---|" * len(head))
        for row in rows:
            cells = (re.sub(r"(?<!\\)\|", r"\|", cell.replace("\n", " ")) for cell in row)
            self.line("| " + " | ".join(cells) + " |")

    def block(self, lines: Sequence[str], language: str = "text") -> None:
        """A code block that its content can't end."""
        shown = [cut(redact_text(line)) for line in lines]
        fence = "`" * max(3, 1 + max((len(run) for line in shown for run in re.findall(r"`+", line)), default=0))
        self.line(f"{fence}{language}")
        for line in shown:
            self.line(line)
        self.line(fence)

    def text(self) -> str:
        """The document."""
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip() + "\n"

    def length(self, span: timedelta | None) -> Safe:
        """A length of time: ``4.2 s``, ``3 min 10 s``, ``2 h 5 min``, ``3 d 4 h``."""
        if span is None:
            return Safe("–")
        seconds = max(0.0, span.total_seconds())
        if seconds < 60:
            return self.say("{seconds} s", seconds=f"{seconds:.1f}")
        whole = round(seconds)
        if whole < 3600:
            return self.say("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
        if whole < 48 * 3600:
            return self.say("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)
        return self.say("{days} d {hours} h", days=whole // 86400, hours=whole % 86400 // 3600)


def moment(at: datetime | None) -> str:
    """A time in UTC to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def code(text: str) -> Safe:
    """Inline code, whatever ``text`` holds."""
    plain = redact_text(text).replace("\n", "⏎")
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return Safe(f"{ticks}{pad}{plain}{pad}{ticks}" if plain else "")


def escape(text: str) -> str:
    """Text that Markdown shows as it is; code spans of our own sentences stay."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if number % 2 else _SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts)).replace(
        "\n", " "
    )


def cut(line: str) -> str:
    """Not endless."""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
