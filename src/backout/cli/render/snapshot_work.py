# SPDX-License-Identifier: Apache-2.0
"""What was taken, what differs, and what a restore does, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.cli.render.changes import field_line, quoted
from backout.cli.render.screen import Screen, paint
from backout.cli.render.snapshot import bytes_, show_list, skipped_rows, state
from backout.locales import N_

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backout.app.results import Comparison, Exported, Imported, RestoreItem, Taken, TextChange
    from backout.model.change import FieldChange
    from backout.model.snapshot import Snapshot

MANY = 12
"""Rows of left-out objects; `backout snapshot show` has them all."""


def show_all_taken(screen: Screen, found: Sequence[Taken]) -> None:
    """Snapshots that were just completed."""
    for one in found:
        show_taken(screen, one)


def show_taken(screen: Screen, taken: Taken) -> None:
    """A snapshot that was just completed."""
    snapshot = taken.snapshot
    screen.line(paint(f"{snapshot.short}   {snapshot.cluster} · {snapshot.namespace}", "head"))
    screen.told(
        "Objects: {count}, {size}; added to the repository: {written}",
        2,
        count=snapshot.objects,
        size=bytes_(snapshot.size),
        written=bytes_(taken.written),
    )
    screen.line(state(screen, snapshot), 2)
    if snapshot.incident:
        screen.told(
            "It was taken while something was broken: good never means it, latest only if there is no other.",
            2,
            style="warn",
        )
    if snapshot.tags:
        screen.told("tags: {tags}", 2, tags=", ".join(snapshot.tags))
    for git in snapshot.pointers.git:
        screen.line(f"{git.url}   {git.commit[:12]}   {git.tag}".rstrip(), 2)
    if snapshot.skipped:
        screen.told("left out:", 2)
        rows = skipped_rows(screen, snapshot)
        screen.table(("object", "count", "why"), rows[:MANY], 4)
        if len(rows) > MANY:
            screen.told(
                "{count} more; see backout snapshot show {id}",
                4,
                count=len(rows) - MANY,
                id=snapshot.short,
                style="dim",
            )


LINES = 60
"""Lines of one changed text; ``-o json`` has them all."""
_SIGNS = {"added": ("+", "good"), "gone": ("-", "bad"), "changed": ("~", "warn")}


def show_comparison(screen: Screen, result: Comparison) -> None:
    """Every object that differs."""
    for difference in result.differences:
        sign, style = _SIGNS[difference.change]
        owner = f"   {screen.say('owner: {name}', name=difference.owner)}" if difference.owner else ""
        screen.line(paint(f"{sign} {difference.ref!s}", style) + paint(owner, "dim"))
        show_fields(screen, difference.fields, difference.texts)
    for note in result.notes:
        screen.line(f"{screen.mark('warn')} {screen.say(note)}")
    if not result.differences:
        screen.told("No difference. Objects compared: {count}", count=result.compared)
        return
    count = {change: sum(1 for d in result.differences if d.change == change) for change in _SIGNS}
    screen.line()
    screen.told(
        "{changed} changed, {added} added, {gone} gone; objects compared: {count}",
        changed=count["changed"],
        added=count["added"],
        gone=count["gone"],
        count=result.compared,
    )


def show_fields(screen: Screen, fields: Sequence[FieldChange], texts: Sequence[TextChange], indent: int = 4) -> None:
    """The fields of one object, then its texts line by line."""
    for field in fields:
        screen.line(field_line(screen, field), indent)
    for text in texts:
        screen.line(f"{text.path}:", indent)
        if text.lines == ("~",):
            screen.told("changed where it is not shown", indent + 2)
            continue
        for line in text.lines[:LINES]:
            style = "good" if line.startswith("+") else "bad" if line.startswith("-") else "dim"
            screen.line(quoted(line.expandtabs(4), style), indent + 2)
        if len(text.lines) > LINES:
            screen.told("{count} more lines; see -o json", indent + 2, count=len(text.lines) - LINES, style="dim")


_ACTIONS = {"create": ("+", "good"), "update": ("~", "warn"), "recreate": ("±", "bad"), "blocked": ("✗", "bad")}
_STATES = {
    "done": (N_("done"), "good"),
    "failed": (N_("failed"), "bad"),
    "not-reached": (N_("not begun"), "warn"),
    "unknown": (N_("unknown: look at it"), "bad"),
}
_SUMMARY = {
    "done": N_("put back: {count}"),
    "failed": N_("failed: {count}"),
    "unknown": N_("unknown: {count}"),
    "not-reached": N_("not begun: {count}"),
    "create": N_("to be created: {count}"),
    "update": N_("to be changed: {count}"),
    "recreate": N_("to be deleted and created anew: {count}"),
    "unchanged": N_("unchanged: {count}"),
    "left-alone": N_("left alone: {count}"),
    "blocked": N_("can't be put back: {count}"),
}


def show_restore(screen: Screen, snapshot: Snapshot, items: Sequence[RestoreItem]) -> None:
    """What is to be done, or what was done, to each object."""
    screen.line(paint(f"{snapshot.short}   {snapshot.cluster} · {snapshot.namespace}", "head"))
    if snapshot.incident:
        screen.told("This snapshot was taken while something was broken.", 2, style="warn")
    for item in items:
        if item.action in _ACTIONS:
            _restored(screen, item)
    aside = [item for item in items if item.action == "left-alone" or (item.action == "unchanged" and item.notes)]
    if aside:
        screen.told("left alone:", 2)
        rows = [(str(i.ref), screen.say(i.reason or i.notes[0])) for i in aside[:MANY]]
        screen.table(("object", "why"), rows, 4)
        if len(aside) > MANY:
            screen.told("{count} more; see -o json", 4, count=len(aside) - MANY, style="dim")
    counts: dict[str, int] = {}
    for item in items:
        name = item.state or item.action
        counts[name] = counts.get(name, 0) + 1
    screen.line()
    screen.line("; ".join(screen.say(_SUMMARY[name], count=counts[name]) for name in _SUMMARY if name in counts), 2)
    if any(i.ref.kind in ("ConfigMap", "Secret") and i.action in ("update", "recreate") for i in items):
        screen.told("Programs that read ConfigMaps or Secrets only at their start need a restart.", 2, style="dim")


def _restored(screen: Screen, item: RestoreItem) -> None:
    sign, style = _ACTIONS[item.action]
    state = ""
    if item.state:
        word, shade = _STATES[item.state]
        state = "   " + paint(screen.say(word), shade)
    screen.line(paint(f"{sign} {item.ref!s}", style) + state, 2)
    if item.reason is not None:
        screen.line(screen.say(item.reason), 6)
    if not item.state:
        show_fields(screen, item.fields, item.texts, 6)
    for note in item.notes:
        screen.line(f"{screen.mark('warn')} {screen.say(note)}", 6)


def show_exported(screen: Screen, result: Exported) -> None:
    """The archive that was written, and who can open it."""
    screen.told(
        "In {file}: snapshots: {count}; objects: {objects}; bytes: {bytes}",
        count=len(result.snapshots),
        objects=result.objects,
        file=result.path,
        bytes=result.bytes,
    )
    screen.told("It can be opened by:", 2)
    for recipient in result.recipients:
        screen.line(recipient, 4)


def show_imported(screen: Screen, result: Imported) -> None:
    """What came, and what was here already."""
    screen.told(
        "Snapshots imported: {count}; here already: {present}", count=len(result.snapshots), present=len(result.present)
    )
    if result.foreign and result.snapshots:
        screen.told("They are marked as foreign: latest, good and tags never mean them.", 2, style="warn")
    if result.snapshots:
        show_list(screen, list(result.snapshots), len(result.snapshots))
