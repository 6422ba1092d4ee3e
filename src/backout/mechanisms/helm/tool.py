# SPDX-License-Identifier: Apache-2.0
"""Which helm is called, and its version."""

from __future__ import annotations

from backout.mechanisms.helm.binary import Helm
from backout.tools import ensure


async def find_helm() -> Helm:
    """The user's own helm, else the pinned one if it was put into the tool folder before. Nothing is installed here.

    Raises:
        ToolMissing: there is none, or it does not say its version.
    """
    found = await ensure("helm", install=False)
    return Helm(found.path, found.version)
