# SPDX-License-Identifier: Apache-2.0
"""Runs a program as an argument vector in a process group of its own, with bounded output and no secrets in errors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from backout.effects import passing
from backout.errors import TimedOut, ToolFailed, ToolMissing
from backout.model.redaction import redact_text

OUTPUT = 1024 * 1024
LINE = 64 * 1024
GRACE = 10.0
"""Seconds between SIGINT, upon which helm cleans up, and SIGKILL."""
_ELSEWHERE = ("HELM_KUBE", "HELM_NAMESPACE", "HELM_DEBUG")


class Completed(msgspec.Struct, frozen=True):
    """How a program ended. The outputs are as it wrote them, cut where they were too long: redact what you show of them.

    ``cut``: standard output was longer than what is kept of it.
    """

    code: int
    stdout: str
    stderr: str
    cut: bool = False


def environment(kubeconfig: str = "", **more: str) -> dict[str, str]:
    """The user's environment without what would lead helm to another cluster.

    All else stays, since the credential programs of a kubeconfig need variables that nobody can list.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith(_ELSEWHERE)}
    if kubeconfig:
        env["KUBECONFIG"] = kubeconfig
    return env | more


async def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
    largest: int = 0,
    stdin: bytes | None = None,
    output: int = OUTPUT,
    errors: Literal["replace", "surrogateescape"] = "replace",
) -> Completed:
    """Runs a program to its end. ``on_line`` gets each line of standard error as it comes, redacted.

    ``largest``: bytes that no file may exceed which the program writes, where the system can see to that (Linux).
    ``stdin``: what it reads, None for nothing. ``output``: bytes that are kept of standard output. ``errors``: what becomes
    of bytes there that are no UTF-8; with ``surrogateescape`` each of them can be had back.

    Raises:
        ToolMissing: there is no such program, or it can't be started.
        ToolFailed: it ended with an error (only with ``check``).
        TimedOut: it did not end in time, and was stopped.
    """
    name = Path(argv[0]).name
    try:
        with passing("program", name):
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(environment() if env is None else env),
                start_new_session=True,
                limit=LINE,
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
    except OSError as error:
        raise ToolMissing(
            "{program} can't be started: {reason}.", program=argv[0], reason=(error.strerror or "error").lower()
        ) from None
    assert process.stdout is not None
    assert process.stderr is not None
    if largest and hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
    try:
        async with asyncio.timeout(timeout):
            (stdout, long), (stderr, _), code, _ = await asyncio.gather(
                _read(process.stdout, None, output),
                _read(process.stderr, on_line, OUTPUT),
                process.wait(),
                _write(process.stdin, stdin),
            )
    except TimeoutError:
        raise TimedOut(
            "{program} did not end within {seconds} s and was stopped.", program=name, seconds=round(timeout)
        ) from None
    finally:
        if process.returncode is None:
            await _stop(process)
    said = stderr.decode("utf-8", "replace")
    if check and code != 0:
        raise ToolFailed(
            "{program} ended with code {code}: {words}",
            program=name,
            code=code,
            words=_last_words(said) or "it said nothing",
        )
    return Completed(code, stdout.decode("utf-8", errors), said, cut=long)


async def _write(pipe: asyncio.StreamWriter | None, content: bytes | None) -> None:
    """What the program reads; it may end before it has read all."""
    if pipe is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(content or b"")
        await pipe.drain()
    pipe.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await pipe.wait_closed()


async def _read(pipe: asyncio.StreamReader, on_line: Callable[[str], None] | None, most: int) -> tuple[bytearray, bool]:
    """What it wrote, and whether that was more than is kept."""
    kept = bytearray()
    part = b""
    long = False
    while chunk := await pipe.read(65536):
        room = max(0, most - len(kept))
        long = long or len(chunk) > room
        kept += chunk[:room]
        if on_line is not None:
            *lines, part = (part + chunk).split(b"\n")
            part = part[-LINE:]
            for line in lines:
                on_line(redact_text(line.decode("utf-8", "replace").rstrip()))
    if on_line is not None and part:
        on_line(redact_text(part.decode("utf-8", "replace").rstrip()))
    return kept, long


async def _stop(process: asyncio.subprocess.Process) -> None:
    """The whole group: a program may have started others. Finished even when we are cancelled a second time."""

    def send(what: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, what)

    send(signal.SIGINT)
    waiting = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait_for(asyncio.shield(waiting), GRACE)
    except TimeoutError:
        pass
    finally:
        send(signal.SIGKILL)
    await waiting


def _last_words(text: str) -> str:
    lines = [line.strip() for line in redact_text(text).splitlines() if line.strip()]
    return " ".join(lines[-3:])[-300:]
