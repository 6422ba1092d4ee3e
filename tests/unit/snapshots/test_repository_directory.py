# SPDX-License-Identifier: Apache-2.0
"""A directory as a backend: what is there is not replaced by who wants to make it, and nothing of a write that is refused stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backout.snapshots.repository.backend import Exists
from backout.snapshots.repository.directory import Directory


def test_what_is_to_be_made_replaces_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        backend = Directory(tmp_path / "r")
        await backend.put("locks/one", b"first", create=True)
        with pytest.raises(Exists):
            await backend.put("locks/one", b"second", create=True)
        assert await backend.get("locks/one", 100) == b"first"
        await backend.put("locks/one", b"third")
        assert await backend.get("locks/one", 100) == b"third"

    asyncio.run(main())
    assert list((tmp_path / "r" / "tmp").iterdir()) == []
