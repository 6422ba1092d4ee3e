# SPDX-License-Identifier: Apache-2.0
"""``python -m backout.tools``: puts the pinned helm 3, helm 4 and kubectl into the tool folder, for the tests."""

from __future__ import annotations

import asyncio
import sys

from backout.tools import pinned


def main() -> None:
    """Installs what is missing, and says where each is."""
    found = asyncio.run(pinned(lambda text: print(text, file=sys.stderr)))  # noqa: T201
    for name, path in found.items():
        print(f"{name}\t{path}")  # noqa: T201


if __name__ == "__main__":
    main()
