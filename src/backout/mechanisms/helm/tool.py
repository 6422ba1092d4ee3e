# SPDX-License-Identifier: Apache-2.0
"""Which helm is called."""

from __future__ import annotations

from backout.tools import ensure
from backout.tools.locate import Tool


async def find_helm() -> Tool:
    """The user's own helm, else the pinned one if it was put into the tool folder before. Nothing is installed here.

    Raises:
        ToolMissing: there is none, or it does not say its version.
    """
    return await ensure("helm", install=False)
