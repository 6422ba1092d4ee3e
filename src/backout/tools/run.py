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

import msgspec

from backout.errors import TimedOut, ToolFailed, ToolMissing
from backout.model.redaction import redact_text

OUTPUT = 1024 * 1024
LINE = 64 * 1024
GRACE = 10.0
"""Seconds between SIGINT, upon which helm cleans up, and SIGKILL."""
_ELSEWHERE = ("HELM_KUBE", "HELM_NAMESPACE", "HELM_DEBUG")


class Completed(msgspec.Struct, frozen=True):
    """How a program ended. The outputs are as it wrote them, cut to 1 MiB each: redact what you show of them."""

    code: int
    stdout: str
    stderr: str


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
) -> Completed:
    """Runs a program to its end. ``on_line`` gets each line of standard error as it comes, redacted.

    ``largest``: bytes that no file may exceed which the program writes, where the system can see to that (Linux).

    Raises:
        ToolMissing: there is no such program, or it can't be started.
        ToolFailed: it ended with an error (only with ``check``).
        TimedOut: it did not end in time, and was stopped.
    """
    name = Path(argv[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(environment() if env is None else env),
            start_new_session=True,
            limit=LINE,
            stdin=asyncio.subprocess.DEVNULL,
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
            stdout, stderr, code = await asyncio.gather(
                _read(process.stdout, None), _read(process.stderr, on_line), process.wait()
            )
    except TimeoutError:
        raise TimedOut(
            "{program} did not end within {seconds} s and was stopped.", program=name, seconds=round(timeout)
        ) from None
    finally:
        if process.returncode is None:
            await _stop(process)
    if check and code != 0:
        raise ToolFailed(
            "{program} ended with code {code}: {words}",
            program=name,
            code=code,
            words=_last_words(stderr) or "it said nothing",
        )
    return Completed(code, stdout, stderr)


async def _read(stream: asyncio.StreamReader, on_line: Callable[[str], None] | None) -> str:
    kept = bytearray()
    part = b""
    while chunk := await stream.read(65536):
        kept += chunk[: max(0, OUTPUT - len(kept))]
        if on_line is not None:
            *lines, part = (part + chunk).split(b"\n")
            part = part[-LINE:]
            for line in lines:
                on_line(redact_text(line.decode("utf-8", "replace").rstrip()))
    if on_line is not None and part:
        on_line(redact_text(part.decode("utf-8", "replace").rstrip()))
    return kept.decode("utf-8", "replace")


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
