# SPDX-License-Identifier: Apache-2.0
"""Log lines of Go programs: logfmt and JSON, as go-kit/log and log/slog write them. Pure.

Facts: thanos-io/thanos pkg/logging/logger.go (``ts``, ``caller``, ``level``, ``msg``, ``err``; ``--log.format=json``),
prometheus/prometheus 2.x (the same) and 3.x (``time``, ``level=ERROR``, ``source``, ``msg``, ``err``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from backout.model.decoding import UNREADABLE
from backout.model.redaction import HIDDEN, redact_text

LONGEST_LINE = 16 * 1024
CUT = 300
_PAIR = re.compile(r'([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)')
_FRACTION = re.compile(r"\.(\d+)")
_QUERY = re.compile(r"(?P<url>[a-z][a-z0-9+.-]*://[^\s?\"'`]+)\?[^\s\"'`]+", re.IGNORECASE)
_FRAME = re.compile(r"\t|\S+\.\S+$")
_QUOTED = re.compile(r"`[^`]*`")


class Entry(msgspec.Struct, frozen=True):
    """One line. ``at`` is None when it carries no time; ``level`` is lower case."""

    at: datetime | None = None
    level: str = ""
    message: str = ""
    error: str = ""
    fields: dict[str, str] = {}


def entries(text: str) -> Iterator[Entry]:
    """The lines that are logfmt or JSON objects, in order; others (banners, stack traces) are left out."""
    for line in text.splitlines():
        line = line.strip()
        if not line or len(line) > LONGEST_LINE:
            continue
        fields = _json(line) if line.startswith("{") else _logfmt(line)
        if fields:
            yield Entry(
                at=instant(fields.get("ts") or fields.get("time") or fields.get("t") or ""),
                level=(fields.get("level") or fields.get("lvl") or "").lower(),
                message=fields.get("msg") or fields.get("message") or "",
                error=fields.get("err") or fields.get("error") or "",
                fields=fields,
            )


def shown(text: str) -> str:
    """A program's own words for people: one line, cut, without credentials and without values that it quotes.

    Go's YAML parser quotes the value that it can't read in back quotes, and errors of HTTP clients hold whole URLs.
    Stack traces, as ``%+v`` of github.com/pkg/errors adds them to an error, are left out.
    """
    first, *rest = (part for number, part in enumerate(text.split("\n")) if not number or not _FRAME.match(part))
    if rest and not rest[0][:1].isspace():
        # ``%+v`` puts the cause first; Error() would put it last.
        first, *rest = (*reversed(rest), first)
    line = ": ".join(words for part in (first, *rest) if (words := plain(part).rstrip(":")))
    line = _QUERY.sub(rf"\g<url>?{HIDDEN}", _QUOTED.sub(f"`{HIDDEN}`", line))
    line = redact_text(line)
    return line if len(line) <= CUT else line[: CUT - 1] + "…"


def plain(text: str) -> str:
    """One line that does nothing to a terminal: what is not printable is a space."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def instant(text: str) -> datetime | None:
    """RFC 3339, or seconds since the epoch; None for anything else."""
    try:
        if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        # Nanoseconds: Python reads six digits.
        found = datetime.fromisoformat(_FRACTION.sub(lambda m: f".{m[1][:6]}", text))
    except (ValueError, OverflowError, OSError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _json(line: str) -> dict[str, str]:
    try:
        found = msgspec.json.decode(line)
    except UNREADABLE:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): value if isinstance(value, str) else str(value) for key, value in found.items()}


def _logfmt(line: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in _PAIR.findall(line):
        fields.setdefault(name, _unquoted(value))
    return fields if {"level", "lvl", "msg"} & fields.keys() else {}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(msgspec.json.decode(value))
    except UNREADABLE:
        return value[1:-1]
