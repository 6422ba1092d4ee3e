# SPDX-License-Identifier: Apache-2.0
"""A state database after a disk, a full disk or a clock has been at it: what is said is a StateError (exit 3) with a next
step, or what was written; never anything else."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import BackoutError, StateError
from backout.model.change import Changes
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.revision import Revision
from backout.model.run import Run, RunEvent
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import Target
from backout.planning import document

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def operation(name: str) -> Operation:
    target = Target("helm", name, "shop", "c")
    scope = ClusterScope(cluster="c", namespace="shop", identity=ClusterIdentity("u", "ca"))
    part = Part(
        id=name,
        scope=scope,
        target=target,
        mechanism="helm",
        cause=msg("{a} broke", a=name),
        revision=Revision(number=2, digest="d"),
        steps=(),
        changes=Changes(),
    )
    return document.seal(Operation(made_at=NOW, parts=(part,)))


def run(id: str, at: datetime = NOW) -> Run:
    return Run(id=id, state="recovered", operation=operation(id), started=at, ended=at, actor="alice")


def filled(path: Path, runs: int = 8) -> None:
    with SqliteRunStore(path) as store:
        for number in range(runs):
            store.create(run(f"r{number}"))
            for step in range(4):
                store.record(RunEvent(run=f"r{number}", type="step-done", at=NOW, message=msg("{n} is done", n=step)))


def everything(path: Path) -> list[object]:
    with SqliteRunStore(path, create=False) as store:
        found = store.summaries(-1)
        return [(store.get(one.id), store.events(one.id)) for one in found]


def test_flipped_bytes_are_told_and_nothing_else_happens(tmp_path: Path) -> None:
    whole = tmp_path / "state.db"
    filled(whole)
    subprocess.run(["sync"], check=False)
    content = whole.read_bytes()
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    told = 0
    for turn in range(250):
        changed = bytearray(content)
        for _ in range(dice.choice((1, 1, 3, 30))):
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        damaged = tmp_path / "damaged.db"
        damaged.write_bytes(changed)
        try:
            everything(damaged)
        except StateError as error:
            told += 1
            assert error.exit_code == 3 and error.hint
        except BackoutError as error:
            # A name or an id that became another word: it is said that there is no such run, or whose it is.
            assert error.exit_code in (3, 4, 5) and error.hint, (seed, turn)
        except Exception as error:
            raise AssertionError(f"seed {seed}, turn {turn}: {error!r}") from error
        for name in ("damaged.db-wal", "damaged.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
    assert told > 20, "most of the file is content"


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    whole = tmp_path / "state.db"
    filled(whole)
    content = whole.read_bytes()
    for length in (1, 50, 100, 4096, len(content) // 2, len(content) - 1):
        cut = tmp_path / "cut.db"
        cut.write_bytes(content[:length])
        try:
            found = everything(cut)
        except StateError as error:
            assert error.exit_code == 3 and error.hint
        else:
            # Less than a head is what a full disk leaves of a database that was never set up; the last page has room at its end.
            assert not found if length < 100 else (length == len(content) - 1 and found == everything(whole))


WORK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from backout.errors import StateError
from test_damaged_state import filled
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    filled(Path(sys.argv[1]))
except StateError as error:
    assert error.exit_code == 3 and error.hint
    sys.exit(3)
"""


@pytest.mark.parametrize("room", [0, 1, 1000, 4096, 8192, 20_000, 50_000, 100_000])
def test_a_disk_that_is_full_during_the_first_setup_leaves_something_that_can_be_used(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "state" / "state.db"
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(path), str(room), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode in (0, 3), done.stderr
    assert room > 4096 or done.returncode == 3
    # With room again: what was kept is whole, and the rest can be kept now.
    kept = everything(path)
    filled(path)
    assert len(everything(path)) == 8 >= len(kept)


def test_limits_are_limits() -> None:
    assert resource.RLIMIT_FSIZE and signal.SIGXFSZ


def test_clocks_that_jump_do_not_change_the_order(tmp_path: Path) -> None:
    with SqliteRunStore(tmp_path / "state.db") as store:
        for number, hours in enumerate((0, 5, -3, 1, -24, 2)):
            store.create(run(f"r{number}", NOW + timedelta(hours=hours)))
            for step, minutes in enumerate((0, -90, 60)):
                at = NOW + timedelta(hours=hours, minutes=minutes)
                store.record(RunEvent(run=f"r{number}", type="step-done", at=at, message=msg("{n}", n=step)))
        assert store.find("latest") == "r5"
        assert [found.id for found in store.summaries(-1)] == ["r5", "r4", "r3", "r2", "r1", "r0"]
        for number in range(6):
            assert [event.message.args["n"] for event in store.events(f"r{number}")] == [0, 1, 2]


def test_a_folder_that_everybody_may_write_to_is_none_for_a_state_database(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StateError, match="Everybody may write"):
        SqliteRunStore(folder / "state.db")
    folder.chmod(0o1777)
    SqliteRunStore(folder / "state.db").close()


@pytest.mark.parametrize("kind", ["link to a file", "link to nothing", "folder", "pipe", "device"])
def test_a_state_database_is_a_file_of_ours(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "state.db", tmp_path / "other"
    if kind == "link to a file":
        other.write_text("precious")
        path.symlink_to(other)
    elif kind == "link to nothing":
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(StateError):
        SqliteRunStore(path)
    assert not other.exists() or other.read_text() == "precious"
