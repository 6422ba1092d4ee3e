# SPDX-License-Identifier: Apache-2.0
"""What the server and the source of container logs agree on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What a client asked of ``pods/NAME/log``; times in seconds and RFC 3339, sizes in bytes."""

    follow: bool = False
    previous: bool = False
    since_seconds: int | None = None
    since_time: str = ""
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str = "All"


class LogUnavailable(Exception):
    """There is nothing to read; code (HTTP) and message are the kubelet's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


LogSource = Callable[[dict[str, Any], str, LogOptions], Awaitable[AsyncIterator[bytes]]]
"""(pod, container, options) → the log; raises LogUnavailable as a kubelet would answer."""
