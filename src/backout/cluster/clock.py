# SPDX-License-Identifier: Apache-2.0
"""A clock for how long something has not been looked at: it goes on while the process is stopped or the machine sleeps.

CLOCK_MONOTONIC stands still in a suspended Linux (clock_gettime(2)); elsewhere it does not.
"""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def passed() -> float:
    """Seconds since some moment in the past; only differences mean anything."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
