# SPDX-License-Identifier: Apache-2.0
"""What the server, an ingress and the simulated pods agree on: HTTP requests to programs in pods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PodRequest:
    """``path`` with its query; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """What the program answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Unreachable(Exception):
    """No answer; the message is that of Go's HTTP client."""


Dialer = Callable[[str, int, str, PodRequest], Awaitable[PodAnswer]]
"""(IP, port, http or https, request) → the answer. Raises Unreachable."""
