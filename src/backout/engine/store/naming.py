# SPDX-License-Identifier: Apache-2.0
"""Names of runs and of processes: unique without asking anybody."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path


def new_run_id(now: datetime | None = None) -> str:
    """Sorts by time, can be typed and read out: ``20261122-031500-7f3a``."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def new_process_id() -> str:
    """``host-pid-boot-random``: unique over reboots and reused process numbers."""
    host = socket.gethostname().split(".")[0][:32] or "host"
    return f"{host}-{os.getpid()}-{_boot()}-{secrets.token_hex(3)}"


def describe(process: str) -> dict[str, str]:
    """Host and process number, as they are in an id."""
    host, pid, _boot_id, _random = process.rsplit("-", 3)
    return {"host": host, "pid": pid}


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return "00000000"
