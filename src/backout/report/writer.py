# SPDX-License-Identifier: Apache-2.0
"""Markdown in the reader's language: lines, tables, times. What comes from a cluster is escaped and redacted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backout import locales
from backout.model.message import Message
from backout.model.plaintext import one_line
from backout.model.redaction import redact_text

_SPECIAL = re.compile(r"([\\*\[\]<>|$]|(?<![^\W_])_|_(?![^\W_])|~|&(?=#?\w+;))")
"""An underscore inside a word is left alone: it means nothing there, and names are full of it."""
_BEGINS = re.compile(r"\A(\s*)(?=#{1,6}(?:\s|\Z)|[-+](?:\s|\Z)|[-=~]{2,}|\d{1,9}[.)](?:\s|\Z))(\d*)")
"""What at the beginning of a line would make a heading, a list, a rule or a block of it (CommonMark 0.31, 4 and 5.2)."""
_INDENT = re.compile(r"\A\s+")
_SPANS = re.compile(r"(`[^`\n]+`)")
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
            return Safe(redact_text(locales.say(text, self.lang, _DRESS)))
        return Safe(locales.translate(text, args, self.lang, _DRESS))

    def line(self, text: str = "") -> None:
        """One line, whatever the text holds; it is Markdown already."""
        self._lines.append(one_line(text))

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
        shown = [one_line(cut(redact_text(line))) for line in lines]
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
    plain = one_line(redact_text(text))
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return Safe(f"{ticks}{pad}{plain}{pad}{ticks}" if plain else "")


def escape(text: str) -> str:
    """Data as Markdown shows it: every letter as it is, on one line."""
    text = _INDENT.sub(" ", one_line(redact_text(text)))
    return _BEGINS.sub(r"\1\2\\", _SPECIAL.sub(r"\\\1", text).replace("`", r"\`"))


class _Dress:
    """Puts Markdown's escapes on sentences and on what they hold."""

    def sentence(self, text: str) -> str:
        """Code spans stay, where they are as simple as ours: any other row of backticks may be read in another way."""
        if "``" in text or text.count("`") % 2:
            return escape(text)
        parts = _SPANS.split(one_line(text))
        return "".join(part if number % 2 else escape(part) for number, part in enumerate(parts))

    def data(self, value: Any) -> Any:
        """Data, unless it is Markdown already."""
        return value if isinstance(value, Safe) else escape(str(value))


_DRESS = _Dress()


def cut(line: str) -> str:
    """Not endless."""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
