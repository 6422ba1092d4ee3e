# SPDX-License-Identifier: Apache-2.0
"""Who runs what, and whether that process still lives.

Each process has an id of its own (two with the same one would recover each other's live work) and holds an exclusive
flock on a file of that name. The kernel drops the lock when the process dies, however it dies, so a lock that can be
taken is the proof of death: no heartbeat, no clock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from backout.engine.store.sqlite.file import translated


class ProcessLock:
    """The flock that this process holds as long as it lives."""

    def __init__(self, state: Path, process: str) -> None:
        self.process = process
        self._file = lock_file(state, process)
        # Locked under another name first: whoever sees the final name sees it locked.
        draft = self._file.with_suffix(".new")
        with translated(state):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(self._file)

    def leave(self) -> None:
        """Says that this process is done; the file goes first, so that nobody finds it without its lock."""
        if self._descriptor < 0:
            return
        self._file.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def lock_file(state: Path, process: str) -> Path:
    """Where the lock of ``process`` is."""
    return state.parent / "processes" / f"{process}.lock"


def alive(state: Path, process: str) -> bool:
    """Whether that process still holds its lock. A missing file means it ended (or the machine was made anew)."""
    try:
        descriptor = os.open(lock_file(state, process), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def sweep(state: Path, keep: set[str]) -> None:
    """Removes lock files of dead processes that own nothing."""
    folder = state.parent / "processes"
    if not folder.is_dir():
        return
    for file in folder.glob("*.lock"):
        process = file.name.removesuffix(".lock")
        if process not in keep and not alive(state, process):
            file.unlink(missing_ok=True)
