# SPDX-License-Identifier: Apache-2.0
"""What `doctor` found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.cli.render.screen import Screen, paint

if TYPE_CHECKING:
    from backout.app.doctor import Examination


def show_examination(screen: Screen, found: Examination) -> None:
    """A line a check, and the Roles to apply where rights are missing."""
    from backout.model.yamltext import to_yaml

    for check in found.checks:
        said = screen.say(check.detail)
        detail = f"{said} ({check.code})" if check.code else said
        screen.line(f"{screen.mark('good' if check.ok else 'bad')} {check.name:<18} {detail}")
        if check.hint is not None:
            screen.line(paint(screen.say(check.hint), "dim"), 21)
    if found.roles:
        screen.line()
        screen.told("Rights are missing. Somebody who may grant them applies this:")
        screen.block("---\n".join(to_yaml(role) for role in found.roles))
