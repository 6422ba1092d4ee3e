# SPDX-License-Identifier: Apache-2.0
"""What is deployed, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.cli.render.page import Page

if TYPE_CHECKING:
    from backout.app.reading import ClusterStatus, TargetStatus

MARKS = {True: "good", False: "bad", None: "unknown"}


def show_status(page: Page, found: Sequence[ClusterStatus]) -> None:
    """A line a target."""
    for one in found:
        if len(found) > 1:
            page.line(one.cluster)
        if not one.targets:
            page.told("Nothing is deployed here.")
            continue
        heads = ("target", "namespace", "revision", "since", "state", "back to", "problem")
        page.table(heads, [_row(page, row) for row in one.targets])


def _row(page: Page, row: TargetStatus) -> tuple[str, ...]:
    return (
        f"{page.mark(MARKS[row.healthy])} {row.target}",
        row.target.namespace,
        str(row.current.number) if row.current else "?",
        page.ago(row.current.created) if row.current else "",
        page.say({True: "healthy", False: "broken", None: "unknown"}[row.healthy]),
        str(row.back_to.number) if row.back_to else "-",
        page.say(row.problem) if row.problem else "",
    )
