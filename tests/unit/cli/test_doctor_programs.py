# SPDX-License-Identifier: Apache-2.0
"""What `doctor` says of the rights to ask programs: their lack is told, and no failure."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "verify"))

from small_cluster import SmallCluster

from backout.app.doctor import _asking


def test_rights_to_ask_programs() -> None:
    cluster: Any = SmallCluster()
    found = asyncio.run(_asking(cluster, "x"))
    assert found.ok and "can be asked" in found.detail.text and found.hint is None
    cluster.may_not = {"services/proxy"}
    found = asyncio.run(_asking(cluster, "x"))
    assert found.ok and found.detail.text == "can't all be asked: missing is get services/proxy"
    assert found.hint is not None and "unknown" in found.hint.text
