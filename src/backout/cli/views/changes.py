# SPDX-License-Identifier: Apache-2.0
"""Differences and the ledger, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backout.cli.views.page import Page, paint
from backout.model.change import Changes, FieldChange, LedgerEntry, ObjectChange

SIGNS = {"create": "+", "update": "~", "delete": "-", "recreate": "±", "keep": " "}
STYLES = {"create": "good", "update": "warn", "delete": "bad", "recreate": "bad", "keep": "dim"}

LINES = {"+": "good", "-": "bad", "@": "dim"}


def show_changes(page: Page, changes: Changes, indent: int = 0) -> None:
    """What would change: deletions first, then the rest, each object with its fields."""
    order = {"delete": 0, "recreate": 1, "update": 2, "create": 3}
    effective = sorted(changes.effective, key=lambda change: (order.get(change.action, 9), change.ref))
    if not effective:
        page.told("No object would change.", indent)
    for change in effective:
        _object(page, change, indent)
    for note in changes.notes:
        page.line(f"{page.mark('warn')} {page.say(note)}", indent)


def _object(page: Page, change: ObjectChange, indent: int) -> None:
    page.line(paint(f"{SIGNS[change.action]} {change.ref}", STYLES[change.action]), indent)
    for field in change.fields:
        page.line(field_line(page, field), indent + 4)
        for line in field.lines:
            page.line(paint(line, LINES.get(line[:1], "dim")), indent + 6)
    for note in change.notes:
        page.line(f"{page.mark('warn')} {page.say(note)}", indent + 4)


def field_line(page: Page, field: FieldChange) -> str:
    """``spec.replicas: 3 → 5``; a Secret's value is never shown."""
    if field.lines:
        return page.say("{path}: changed lines", path=field.path)
    if field.secret:
        if field.before is None:
            return page.say("{path}: added (the value is secret)", path=field.path)
        if field.after is None:
            return page.say("{path}: removed (the value is secret)", path=field.path)
        return page.say("{path}: changed (the value is secret)", path=field.path)
    if field.before is None:
        return f"{field.path}: {paint('+ ' + short(field.after), 'good')}"
    if field.after is None:
        return f"{field.path}: {paint('- ' + short(field.before), 'bad')}"
    return f"{field.path}: {paint(short(field.before), 'bad')} → {paint(short(field.after), 'good')}"


def short(value: Any, limit: int = 160) -> str:
    """A value on one line, cut when it is long."""
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text.replace("\n", "⏎")
    return text if len(text) <= limit else f"{text[:limit]}…"


def show_ledger(page: Page, entries: Sequence[LedgerEntry]) -> None:
    """The timeline, newest last."""
    if not entries:
        page.told("No change was found in this time.")
        return
    rows = []
    for entry in entries:
        revision = f"{entry.previous} → {entry.revision}" if entry.previous is not None else str(entry.revision or "")
        rows.append((page.ago(entry.at), str(entry.target), revision, entry.actor or "-", page.say(entry.summary)))
    page.table(("when", "target", "revision", "by", "what"), rows)
