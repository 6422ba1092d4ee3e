# SPDX-License-Identifier: Apache-2.0
"""Calls `backout` on a terminal of its own, and tells which of the bytes there nobody of ours wrote."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import click
from backout_shell import Shell

from backout.cli.main import cli
from backout.model.plaintext import OBEYED

OURS = re.compile(
    # Colours that a screen has, and what a line that overwrites itself needs; line ends as a terminal writes them.
    r"\x1b\[(?:0|1|2|3[1236]|9[0-7]|[0-9];3[1236])?(?:;(?:0|1|3[1236]|90))*m|\x1b\[\?25[hl]|\x1b\[[12]K|\x1b\[1A|\r"
)
LONG_AGO = 600.0


def commands(group: click.Group | None = None, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command of the command line that does something, by its words."""
    for name in (group or cli).list_commands(click.Context(group or cli)):
        found = (group or cli).get_command(click.Context(group or cli), name)
        assert found is not None
        path = (*above, name)
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield " ".join(path)
        if isinstance(found, click.Group):
            yield from commands(found, path)


def on_terminal(shell: Shell, *arguments: str, answers: str = "", columns: int = 4000) -> tuple[int, str]:
    """The exit code, and everything that the terminal got."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    settings = termios.tcgetattr(slave)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    with subprocess.Popen(
        [sys.executable, "-m", "backout.cli.main", *arguments],
        env={**shell.environment, "TERM": "xterm-256color"},
        cwd=shell.home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        os.write(master, answers.encode())
        got, until = b"", time.monotonic() + LONG_AGO
        while time.monotonic() < until:
            readable, _, _ = select.select([master], [], [], 1.0)
            if not readable:
                continue
            try:
                piece = os.read(master, 65536)
            except OSError:
                break  # nobody holds the other side any more
            if not piece:
                break
            got += piece
        else:
            process.kill()
        code = process.wait()
    os.close(master)
    return code, got.decode("utf-8", errors="surrogateescape")


def obeyed(screen: str) -> list[str]:
    """What on a terminal steers it, or the reader, and is not ours; each with what stands around it."""
    left = OURS.sub("", screen)
    return [ascii(left[max(0, found.start() - 30) : found.end() + 30]) for found in _STEERS.finditer(left)]


_STEERS = re.compile(f"(?!\n){OBEYED.pattern}")
