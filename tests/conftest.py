# SPDX-License-Identifier: Apache-2.0
"""For all tests: neither the snapshots nor the keys of whoever runs them are looked at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_server_stays() -> Iterator[None]:
    """Whoever began a PostgreSQL ends it, before this process is ended itself."""
    yield
    if module := sys.modules.get("tests.postgres"):
        module.remove_all()


@pytest.fixture(scope="session", autouse=True)
def _own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("BACKOUT_DATA")
    os.environ["BACKOUT_DATA"] = str(tmp_path_factory.mktemp("data"))
    yield
    if before is None:
        del os.environ["BACKOUT_DATA"]
    else:
        os.environ["BACKOUT_DATA"] = before
