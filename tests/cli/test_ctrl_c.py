# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C on a terminal: once stops at a safe point and says how to go on, twice ends at once; the run goes on either way."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backout_shell import Shell

PATIENCE = 300.0
START = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'backout.cli.main', *sys.argv[1:]])"
)
"""Makes the terminal that of the process, so that its Ctrl-C is a signal."""


class OnTerminal:
    """A command on a terminal of its own, which is typed at."""

    def __init__(self, shell: Shell, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            env={**shell.environment, "TERM": "dumb", "COLUMNS": "300"},
            cwd=shell.home, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.got = ""

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, self.got
            self._read(0.1)

    def ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

    def ended(self) -> int:
        self.until(lambda: self.process.poll() is not None)
        while self._read(0.0):
            pass
        return self.process.wait()

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError:
            return False
        self.got += piece.decode()
        return bool(piece)


@pytest.fixture
def typed(backout: Shell) -> Iterator[Callable[..., OnTerminal]]:
    started: list[OnTerminal] = []

    def start(*arguments: str) -> OnTerminal:
        started.append(OnTerminal(backout, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        os.close(one.master)


def back(release: str, soak: str) -> list[str]:
    return [
        "run",
        f"helm/{release}",
        "--to",
        "3",
        "-n",
        release,
        "--yes",
        "--approve",
        "not-proven-good",
        "--soak",
        soak,
    ]


def run_in(text: str) -> str:
    found = re.search(r"backout resume (\d{8}-\d{6}-[0-9a-f]{4})", text)
    assert found is not None, text
    return found[1]


def test_once_stops_at_a_safe_point_and_says_how_to_go_on(
    backout: Shell, release: str, typed: Callable[..., OnTerminal]
) -> None:
    one = typed(*back(release, "300"))
    one.until(lambda: "watching for" in one.got)
    one.ctrl_c()
    assert one.ended() == 130
    assert "Stopping at the next step (again: at once;" in one.got
    run = run_in(one.got)
    assert backout("show", run, "-o", "json").document["state"] == "interrupted"
    ended = backout("abort", run, "-o", "json")
    assert (ended.code, ended.document["state"]) == (0, "aborted")


def test_twice_ends_at_once_and_the_run_can_be_resumed(
    backout: Shell, release: str, typed: Callable[..., OnTerminal], tmp_path: Path
) -> None:
    slow, begun, go = tmp_path / "helm", tmp_path / "begun", tmp_path / "go"
    wait = f'case "$*" in *rollback*) : > {begun}; while [ ! -e {go} ]; do sleep 0.1; done;; esac'
    slow.write_text(f'#!/bin/sh\n{wait}\nexec {backout.environment["BACKOUT_HELM"]} "$@"\n')
    slow.chmod(0o700)
    backout.environment["BACKOUT_HELM"] = str(slow)
    one = typed(*back(release, "0"))
    one.until(begun.exists)
    one.ctrl_c()
    one.until(lambda: "Stopping at the next step" in one.got)
    assert one.process.poll() is None, "the step that is under way is let end"
    one.ctrl_c()
    assert one.ended() == 130
    go.touch()
    run = run_in(one.got)
    assert backout("show", run, "-o", "json").document["state"] == "interrupted"
    resumed = backout("resume", run, "-o", "json")
    assert (resumed.code, resumed.document["state"]) == (0, "recovered"), resumed.err
