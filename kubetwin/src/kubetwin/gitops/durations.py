# SPDX-License-Identifier: Apache-2.0
"""Go's durations, as custom resources of Argo CD and Flux write them: ``1h30m``, ``500ms``. Pure."""

from __future__ import annotations

import re
from typing import Any

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds(duration: Any) -> float | None:
    """In seconds; None when it is no duration."""
    text = str(duration if duration is not None else "")
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
