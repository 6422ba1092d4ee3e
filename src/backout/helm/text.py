# SPDX-License-Identifier: Apache-2.0
"""How lengths of time and Helm's own sentences stand in ours."""

from __future__ import annotations

from datetime import timedelta

from backout.model.redaction import redact_text

MAX_LINE = 300


def duration(span: timedelta) -> str:
    """A length of time in its two largest units: ``45s``, ``12m``, ``3h 5m``, ``2d 4h``."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 90:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 90:
        return f"{minutes}m"
    if hours < 48:
        return f"{hours}h {minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{days}d {hours % 24}h" if hours % 24 else f"{days}d"


def first_line(text: str) -> str:
    """The first line of what a program wrote, without credentials and not endless."""
    stripped = text.strip()
    line = redact_text(stripped.splitlines()[0]) if stripped else ""
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"
