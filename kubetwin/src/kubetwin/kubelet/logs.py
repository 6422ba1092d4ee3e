# SPDX-License-Identifier: Apache-2.0
"""What the simulated programs printed: the current and the previous run of each container."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class RunLog:
    """One run of a container. Times are seconds since the epoch."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    ended: bool = False
    _changed: list[asyncio.Future[None]] = field(default_factory=list)

    def write(self, when: float, *texts: str) -> None:
        self.lines.extend((when, text) for text in texts)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._changed = self._changed, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        await future


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The options of the log subresource that a kubelet serves."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: float | None = None
    """Only lines at or after this moment (seconds since the epoch)."""


async def stream(run: RunLog, query: LogQuery) -> AsyncIterator[bytes]:
    """The bytes of one run, in chunks; with ``follow`` until the run ends."""
    left = query.limit_bytes
    position = 0
    chosen = [i for i, (when, _) in enumerate(run.lines) if query.since is None or when >= query.since]
    if query.tail_lines is not None:
        chosen = chosen[-query.tail_lines :] if query.tail_lines else []
    position = len(run.lines)
    chunk = b"".join(_encoded(run.lines[i], query.timestamps) for i in chosen)
    while True:
        if left is not None:
            chunk = chunk[:left]
            left -= len(chunk)
        if chunk:
            yield chunk
        if (left is not None and left <= 0) or not query.follow:
            return
        while position >= len(run.lines):
            if run.ended:
                return
            await run.changed()
        chunk = b"".join(_encoded(line, query.timestamps) for line in run.lines[position:])
        position = len(run.lines)


def _encoded(line: tuple[float, str], timestamps: bool) -> bytes:
    when, text = line
    if not timestamps:
        return f"{text}\n".encode()
    moment = dt.datetime.fromtimestamp(when, dt.UTC)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z {text}\n".encode()
