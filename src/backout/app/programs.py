# SPDX-License-Identifier: Apache-2.0
"""The programs that Backout calls, for those who call them themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backout.model.message import Message


async def program(name: str, say: Callable[[Message], None] | None = None) -> Path:
    """The path of helm, kubectl or git; a pinned one is installed where there is none. ``say`` hears of that.

    Raises:
        ToolMissing: it can't be had.
    """
    from backout.tools import ensure

    return Path((await ensure(name, say=say)).path)
