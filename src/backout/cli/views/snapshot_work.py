# SPDX-License-Identifier: Apache-2.0
"""What was taken, what differs, and what a restore does, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.cli.views.page import Page, paint
from backout.cli.views.snapshot import bytes_, clean, state

if TYPE_CHECKING:
    from backout.snapshots.collect import Taken

MANY = 12
"""Rows of left-out objects; `backout snapshot show` has them all."""


def show_taken(page: Page, taken: Taken) -> None:
    """A snapshot that was just completed."""
    snapshot = taken.snapshot
    page.line(paint(f"{snapshot.short}   {clean(snapshot.cluster)} · {clean(snapshot.namespace)}", "head"))
    page.told("Objects: {count}, {size}; added to the repository: {written}", 2, count=snapshot.objects,
              size=bytes_(snapshot.size), written=bytes_(taken.written))  # fmt: skip
    page.line(state(page, snapshot), 2)
    if snapshot.incident:
        page.told("It was taken while something was broken: good never means it, latest only if there is no other.", 2,
                  style="warn")  # fmt: skip
    if snapshot.tags:
        page.told("tags: {tags}", 2, tags=clean(", ".join(snapshot.tags)))
    if snapshot.skipped:
        page.told("left out:", 2)
        rows = [(clean(str(s.ref)) if s.ref.name else clean(s.ref.kind), str(s.count) if s.ref.name or s.count > 1 else
                 "*", clean(page.say(s.reason))) for s in snapshot.skipped]  # fmt: skip
        page.table(("object", "count", "why"), rows[:MANY], 4)
        if len(rows) > MANY:
            page.told("{count} more; see backout snapshot show {id}", 4, count=len(rows) - MANY, id=snapshot.short,
                      style="dim")  # fmt: skip
