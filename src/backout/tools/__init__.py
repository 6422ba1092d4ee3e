# SPDX-License-Identifier: Apache-2.0
"""Programs that Backout calls: helm, kubectl, git. The user's own are preferred and never replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from backout.model.message import Message
    from backout.tools.locate import Tool


async def ensure(
    name: str, *, major: int = 0, install: bool = True, say: Callable[[Message], None] | None = None
) -> Tool:
    """The program; a pinned one is installed into the tool folder when there is none and ``install`` is set.

    ``major`` asks for a major version (0: any). ``say`` gets sentences about the progress.

    Raises:
        ToolMissing: there is none.
    """
    from backout.errors import ToolMissing
    from backout.tools.locate import locate
    from backout.tools.pins import pin_of

    found = await locate(name, major)
    if found is not None:
        return found
    pin = pin_of(name, major)
    if pin is None or not install:
        raise ToolMissing(
            "{name}{version} is not installed.",
            name=name,
            version=f" {major}" if major else "",
            expected="{name} in PATH, or a path to it in BACKOUT_{variable}",
            variable=name.upper(),
            hint="Install it, or let `backout doctor --install` get a pinned one." if pin else "Install it.",
        )
    from backout.tools.install import install as put

    return await put(pin, say)


async def describe(name: str, *, install: bool = False) -> Message:
    """One line about a program: version, path, where it was found.

    Raises:
        ToolMissing: there is none.
    """
    from backout.model.message import msg

    tool = await ensure(name, install=install)
    facts = {"version": tool.version, "path": tool.path}
    if tool.source == "PATH":
        return msg("{version} ({path})", **facts)
    if tool.source == "variable":
        return msg("{version} ({path}, from the variable)", **facts)
    return msg("{version} ({path}, from the tool folder)", **facts)


async def pinned(say: Callable[[Message], None] | None = None) -> dict[str, Path]:
    """``helm3``, ``helm4`` and ``kubectl`` of pinned versions, whatever the user has: for tests and comparisons.

    Raises:
        ToolMissing: they can't be had here.
    """
    from pathlib import Path

    from backout.tools.install import install
    from backout.tools.pins import pin_of

    found = {}
    for key, name, major in (("helm3", "helm", 3), ("helm4", "helm", 4), ("kubectl", "kubectl", 0)):
        pin = pin_of(name, major)
        assert pin is not None
        found[key] = Path((await install(pin, say)).path)
    return found
