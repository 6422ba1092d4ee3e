# SPDX-License-Identifier: Apache-2.0
"""Processes of tests with another clock than the machine's, by libfaketime."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def skewed(hours: int) -> dict[str, str]:
    """What a process needs in its environment so that its clock is so many hours off; time goes on as ever."""
    if not hours:
        return {}
    if sys.platform != "linux":
        pytest.skip("libfaketime comes for Linux")
    spec = importlib.util.find_spec("libfaketime")
    assert spec is not None and spec.origin is not None
    library = Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{hours:+d}h", "DONT_FAKE_MONOTONIC": "1"}
