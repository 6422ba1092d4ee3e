# SPDX-License-Identifier: Apache-2.0
"""Differences and the ledger, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backout.cli.render.screen import Screen, paint
from backout.model.change import Changes, FieldChange, LedgerEntry, ObjectChange
from backout.model.message import Message

if TYPE_CHECKING:
    from backout.app.reading import Ledger

SIGNS = {"create": "+", "update": "~", "delete": "-", "recreate": "±", "keep": " "}
STYLES = {"create": "good", "update": "warn", "delete": "bad", "recreate": "bad", "keep": "dim"}
LIMIT = 160
"""Characters of a value on a line."""
LINES = {"+": "good", "-": "bad", "@": "dim"}


def show_changes(screen: Screen, changes: Changes, indent: int = 0) -> None:
    """What would change: deletions first, then the rest, each object with its fields."""
    order = {"delete": 0, "recreate": 1, "update": 2, "create": 3}
    effective = sorted(changes.effective, key=lambda change: (order.get(change.action, 9), change.ref))
    if not effective:
        screen.told("No object would change.", indent)
    for change in effective:
        _object(screen, change, indent)
    for note in changes.notes:
        screen.line(f"{screen.mark('warn')} {screen.say(note)}", indent)


def _object(screen: Screen, change: ObjectChange, indent: int) -> None:
    screen.line(paint(f"{SIGNS[change.action]} {change.ref}", STYLES[change.action]), indent)
    for field in change.fields:
        screen.line(field_line(screen, field), indent + 4)
        for line in field.lines:
            screen.line(quoted(line, LINES.get(line[:1], "dim")), indent + 6)
    for note in change.notes:
        screen.line(f"{screen.mark('warn')} {screen.say(note)}", indent + 4)


def quoted(line: str, style: str = "") -> str:
    """A line of a text of others, such as a log or a file, behind a mark that says so."""
    return paint("│ ", "dim") + paint(line, style)


def field_line(screen: Screen, field: FieldChange) -> str:
    """``spec.replicas: 3 → 5``; a Secret's value is never shown."""
    if field.lines:
        return screen.say("{path}: changed lines", path=field.path)
    if field.secret:
        if field.before is None:
            return screen.say("{path}: added (the value is secret)", path=field.path)
        if field.after is None:
            return screen.say("{path}: removed (the value is secret)", path=field.path)
        return screen.say("{path}: changed (the value is secret)", path=field.path)
    if field.before is None:
        return f"{field.path}: {paint('+ ' + short(field.after), 'good')}"
    if field.after is None:
        return f"{field.path}: {paint('- ' + short(field.before), 'bad')}"
    before, after = _one_line(field.before), _one_line(field.after)
    begin = _begin(before, after)
    return f"{field.path}: {paint(_cut(before, begin), 'bad')} → {paint(_cut(after, begin), 'good')}"


def short(value: Any, limit: int = LIMIT) -> str:
    """A value on one line, cut when it is long."""
    return _cut(_one_line(value), 0, limit)


def _one_line(value: Any) -> str:
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text.replace("\n", "⏎")


def _begin(before: str, after: str) -> int:
    """Where to begin with two texts, so that what differs is seen."""
    if max(len(before), len(after)) <= LIMIT:
        return 0
    same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None)
    at = min(len(before), len(after)) if same is None else same
    return max(0, at - LIMIT // 3)


def _cut(text: str, begin: int, limit: int = LIMIT) -> str:
    end = begin + limit
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"


def show_ledgers(screen: Screen, found: Sequence[Ledger]) -> None:
    """The timeline of each cluster."""
    for one in found:
        if len(found) > 1:
            screen.line(one.cluster)
        show_ledger(screen, one.changes, one.blind)


def show_ledger(screen: Screen, entries: Sequence[LedgerEntry], blind: Sequence[Message] = ()) -> None:
    """The timeline, newest last; ``blind``: where more may have changed."""
    for hidden in blind:
        screen.line(f"{screen.mark('unknown')} {screen.say(hidden)}")
    if not entries:
        screen.told("No change was seen in this time." if blind else "No change was found in this time.")
        return
    rows = []
    for entry in entries:
        revision = f"{entry.previous} → {entry.revision}" if entry.previous is not None else str(entry.revision or "")
        rows.append((screen.ago(entry.at), str(entry.target), revision, entry.actor or "-", screen.say(entry.summary)))
    screen.table(("when", "target", "revision", "by", "what"), rows)
