# SPDX-License-Identifier: Apache-2.0
"""Runs git, helm and kubectl: argument vectors, an environment of our own, bounded time and output.

Programs run in a process group of their own, so that one that hangs is ended with all that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes of the largest output that is taken from a program."""
_PASSED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Programs:
    """The binaries, by name or path; whoever starts the controllers says which."""

    git: str = "git"
    helm: str = "helm"
    kubectl: str = "kubectl"


class ProgramFailed(Exception):
    """A program ended with an error, took too long, said too much, or is not there. The text is its own last words."""

    def __init__(self, program: str, message: str, code: int = -1) -> None:
        self.program = Path(program).name
        self.code = code
        super().__init__(message)


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program gets to see: nothing of the user's own configuration, and never a prompt."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "HOME": str(home), **(more or {})}


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    data: bytes | None = None,
    timeout: float = 90.0,
) -> bytes:
    """What the program printed. ``timeout`` is in seconds, as Argo CD's exec timeout (util/exec/exec.go: 90 s).

    Raises:
        ProgramFailed: anything but exit code 0.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if data is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramFailed(argv[0], f"{argv[0]} can't be run: {error.strerror or error}") from error
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(timeout):
            out, err, _ = await asyncio.gather(
                _read(argv[0], process.stdout), _read(argv[0], process.stderr), _feed(process, data)
            )
            code = await process.wait()
    except TimeoutError:
        raise ProgramFailed(argv[0], f"{Path(argv[0]).name} did not end within {timeout:g} s") from None
    finally:
        await _ended(process)
    if code:
        said = err.decode(errors="replace").strip() or out.decode(errors="replace").strip() or f"exit code {code}"
        raise ProgramFailed(argv[0], said[-2000:], code)
    return out


async def _read(program: str, stream: asyncio.StreamReader) -> bytes:
    parts, size = [], 0
    while chunk := await stream.read(65536):
        size += len(chunk)
        if size > OUTPUT_LIMIT:
            raise ProgramFailed(program, f"{Path(program).name} printed more than {OUTPUT_LIMIT} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data or b"")
        await process.stdin.drain()
    process.stdin.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Nothing of a program stays behind, however we were left: its whole group is ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
