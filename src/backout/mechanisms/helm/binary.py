# SPDX-License-Identifier: Apache-2.0
"""The user's helm: its version, the arguments of a rollback for either major version, and running it.

`helm rollback` has no signal handler: killed, it leaves the release pending. So no signal of a terminal reaches it (it
runs in a session of its own), its output goes to a file that needs no reader, and it holds a lock that the next run of
Backout waits for. It is killed only when it takes too long or may not write any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from backout.effects import passing
from backout.errors import LockedError, StateError, TimedOut, ToolFailed
from backout.helm.text import first_line
from backout.model.message import Message, msg
from backout.tools.locate import Tool

MAX_OUTPUT = 256 * 1024
_TICK = 0.2


class Result(msgspec.Struct, frozen=True):
    """How helm ended, and what it wrote (not yet redacted)."""

    code: int
    output: str


def rollback_arguments(
    helm: Tool,
    *,
    release: str,
    revision: int,
    namespace: str,
    context: str,
    server_side: bool,
    force_conflicts: bool = False,
    no_hooks: bool = False,
    timeout: float = 300.0,
) -> list[str]:
    """The argument vector. Without ``--wait``: Helm's wait proves too little in both directions, so Backout watches.

    ``--history-max 0`` because any other number may prune the very revision that is needed.
    """
    arguments = [helm.path, "rollback", release, str(revision), "--namespace", namespace]
    if context:
        arguments += ["--kube-context", context]
    arguments += ["--history-max", "0", "--timeout", f"{max(1, round(timeout))}s"]
    if no_hooks:
        arguments.append("--no-hooks")
    if helm.major >= 4:
        arguments.append(f"--server-side={'true' if server_side else 'false'}")
        if server_side and force_conflicts:
            arguments.append("--force-conflicts")
    return arguments


@contextlib.asynccontextmanager
async def lock(key: str, *, wait: float, waiting: Callable[[Message], None]) -> AsyncIterator[int]:
    """Waits until no helm that Backout started on this machine is at work on ``key``; gives the lock's descriptor.

    A helm that is started with the descriptor keeps the lock for as long as it lives, whatever becomes of us.

    Raises:
        LockedError: it was not over after ``wait`` seconds.
    """
    import fcntl

    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "backout" / "helm"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(
            "The folder {path} can't be used: {reason}.",
            path=str(folder),
            reason=error.strerror or type(error).__name__,
            hint="Nothing was written. Check the folder and its rights, or set XDG_STATE_HOME, then `backout resume`.",
        ) from error
    try:
        left, told = wait, False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if left <= 0:
                    raise LockedError(
                        "A helm that Backout started earlier is still at work on this release.",
                        hint="Wait until it has ended, then `backout resume`.",
                    ) from None
                if not told:
                    waiting(msg("A helm that was started earlier is still at work; waiting for it."))
                    told = True
                await asyncio.sleep(_TICK)
                left -= _TICK
        yield handle
    finally:
        os.close(handle)


async def run(
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    keep: Sequence[int] = (),
    timeout: float,
    line: Callable[[str], None],
    stop: asyncio.Event | None = None,
) -> Result:
    """Runs a program without a shell; calls ``line`` with each line as it comes, redacted.

    It is killed, with all that it started, when ``stop`` is set, and when we are cancelled.

    Raises:
        ToolFailed: it can't be started.
        TimedOut: it did not end, and was killed.
    """
    with tempfile.TemporaryFile() as out:
        try:
            with passing("program", " ".join((Path(arguments[0]).name, *arguments[1:2]))):
                process = subprocess.Popen(  # noqa: ASYNC220 - starting takes a moment; waiting for it does not block
                    list(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=dict(env),
                    start_new_session=True,
                    pass_fds=tuple(keep),
                    close_fds=True,
                )
        except OSError as error:
            raise ToolFailed(
                "{program} can't be started: {reason}", program=arguments[0], reason=error.strerror or "error"
            ) from error
        reader = _Tail(out.fileno(), line)
        left = timeout
        try:
            async with _exit_of(process) as ended:
                while process.poll() is None and not (stop and stop.is_set()):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), _TICK)
                    reader.read()
                    left -= _TICK
                    if left <= 0 and process.poll() is None:
                        raise TimedOut(
                            "{program} did not end within {seconds} s and was stopped.",
                            program=Path(arguments[0]).name,
                            seconds=round(timeout),
                            hint="The release may be left pending; `backout resume` looks and finishes.",
                        )
        finally:
            _kill(process)
        reader.read(last=True)
        return Result(process.returncode, reader.text)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends it and all that it started, also where they are stopped; without effect when it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.asynccontextmanager
async def _exit_of(process: subprocess.Popen[bytes]) -> AsyncIterator[asyncio.Event]:
    """An event that is set the moment the process ends, where the system can tell (Linux)."""
    ended = asyncio.Event()
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        yield ended
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        yield ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


class _Tail:
    """Reads what was added to a file, and passes on whole lines."""

    def __init__(self, descriptor: int, line: Callable[[str], None]) -> None:
        self._descriptor, self._line = descriptor, line
        self._offset = 0
        self._part = b""
        self.text = ""

    def read(self, *, last: bool = False) -> None:
        while self._offset < MAX_OUTPUT:
            chunk = os.pread(self._descriptor, 65536, self._offset)
            if not chunk:
                break
            self._offset += len(chunk)
            self.text += chunk.decode("utf-8", "replace")
            *lines, self._part = (self._part + chunk).split(b"\n")
            for raw in lines:
                self._emit(raw)
        if last and self._part:
            self._emit(self._part)
            self._part = b""

    def _emit(self, raw: bytes) -> None:
        if text := first_line(raw.decode("utf-8", "replace")):
            self._line(text)
