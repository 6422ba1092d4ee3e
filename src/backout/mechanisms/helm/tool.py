# SPDX-License-Identifier: Apache-2.0
"""Which helm is called: the user's own before any other."""

from __future__ import annotations

from backout.errors import ToolMissing
from backout.tools import ensure
from backout.tools.locate import Tool


async def find_helm() -> Tool:
    """The helm that every write goes through; a run installs nothing.

    Raises:
        ToolMissing: there is none, or one of another major version than 3 and 4.
    """
    found = await ensure("helm", install=False)
    if found.major not in (3, 4):
        raise ToolMissing(
            "{path} is helm {version}, which Backout does not know.",
            path=found.path,
            version=found.version,
            expected="helm 3 or helm 4",
            hint="Name another one in BACKOUT_HELM.",
        )
    return found
