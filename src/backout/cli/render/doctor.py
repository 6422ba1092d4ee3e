# SPDX-License-Identifier: Apache-2.0
"""What `doctor` found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.cli.render.page import Page, paint

if TYPE_CHECKING:
    from backout.app.doctor import Examination


def show_examination(page: Page, found: Examination) -> None:
    """A line a check, and the Roles to apply where rights are missing."""
    from backout.cli.output import to_yaml

    for check in found.checks:
        said = page.say(check.detail)
        detail = f"{said} ({check.code})" if check.code else said
        page.line(f"{page.mark('good' if check.ok else 'bad')} {check.name:<18} {detail}")
        if check.hint is not None:
            page.line(paint(page.say(check.hint), "dim"), 21)
    if found.roles:
        page.line()
        page.told("Rights are missing. Somebody who may grant them applies this:")
        page.line("---\n".join(to_yaml(role) for role in found.roles).rstrip())
