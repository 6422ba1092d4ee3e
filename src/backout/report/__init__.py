# SPDX-License-Identifier: Apache-2.0
"""The write-up of a run, made from the run and its events alone: every sentence of it was seen or measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backout.model.run import Run, RunEvent


def render(run: Run, events: list[RunEvent], lang: str = "en") -> str:
    """The report as Markdown, in ``en`` or ``ko``."""
    from backout.report.document import write

    return write(run, events, lang)
