# SPDX-License-Identifier: Apache-2.0
"""The process ends at once, but never before what it printed has gone out; and its exit code tells the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = "import sys; from backout.cli.main import leave; {body}"


def left(body: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN.format(body=body)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, stderr=subprocess.PIPE, text=True, timeout=600, check=False, env=environment, **more
    )


def test_everything_printed_arrives_before_the_end(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        done = left("sys.stdout.write('x' * 300_000); sys.stderr.write('note'); leave(10)", stdout=out)
    assert done.returncode == 10 and done.stderr == "note"
    assert (tmp_path / "out").stat().st_size == 300_000


def test_a_reader_that_has_gone_does_not_change_the_exit_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = left("sys.stdout.write('x'); leave(8)", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (8, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = left("sys.stdout.write('x'); leave(0)", stdout=full)
    assert done.returncode != 0 and "No space left" in done.stderr


def test_closed_streams_are_no_reason_to_fail() -> None:
    assert left("sys.stdout = None; leave(3)", stdout=subprocess.DEVNULL).returncode == 3
