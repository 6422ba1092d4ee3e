# SPDX-License-Identifier: Apache-2.0
"""Lives of Backout that end by SIGKILL: forked from a process that has paid its imports and has no thread.

A life is the command line itself. It is killed at a passage of the gate of effects (`backout.effects`), at a commit of the durable
engine, or from outside at some moment; or it is left alone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backout.effects import Passage, observed

MODULES = "KILLS_MODULES"
"""Names a file to which a life writes what it has imported, so that others find it there already."""
UNFORESEEN = 99
LONGEST = 120.0
"""Seconds in which a life must end by itself, on a busy machine."""
PLACES = ("cluster", "lock", "program", "storage", "capture", "state", "engine")
"""Where a life may be killed, before and after; and at any ``moment``."""


@dataclass(frozen=True)
class Kill:
    """At the ``number``-th passage of one kind, ``before`` or ``after`` it, or once it is ``recorded`` (after the next write of the
    state database); or so many ``seconds`` after the first passage of all."""

    when: str = ""
    kind: str = ""
    number: int = 0
    seconds: float = 0.0

    @property
    def place(self) -> str:
        return f"{self.when} {self.kind}" if self.kind else "any moment"


def drawn(dice: random.Random, most: Mapping[str, int], seconds: float) -> Kill:
    """One kill by chance; ``most``: how many passages of each kind there are in a life that is left alone."""
    if dice.random() < 0.2:
        return Kill(seconds=dice.uniform(0.0, seconds))
    kinds = [kind for kind in PLACES if most.get(kind)]
    # Rare kinds are as interesting as frequent ones.
    kind = dice.choice(kinds)
    return Kill(dice.choice(("before", "after")), kind, dice.randint(1, most[kind]))


@dataclass(frozen=True)
class Life:
    """How a life ended: its exit code, or None where it was killed; ``late`` where it had to be for taking too long."""

    code: int | None
    seen: dict[str, int]
    late: bool = False


def learned(file: Path) -> None:
    """Imports what a life had imported: from now on that is paid."""
    for name in json.loads(file.read_text()):
        if name not in sys.modules and name != "__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, "a thread would be lost in a fork"


def apart(work: Callable[[], Any], folder: Path) -> Any:
    """What ``work`` answers, asked in a process of its own: this one never has a thread."""
    answer = folder / "answer"
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            answer.write_text(json.dumps(work()))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "it could not be prepared or looked at"
    return json.loads(answer.read_text())


def lived(work: Callable[[], int], environment: Mapping[str, str], folder: Path, kill: Kill | None) -> Life:
    """One life that does ``work`` and ends with its exit code; its output is added to files of ``folder``."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(reading)
        try:
            _born(work, environment, folder, kill, writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(UNFORESEEN)
    os.close(writing)
    return _followed(pid, reading, kill)


def command(words: Sequence[str]) -> Callable[[], int]:
    """The command line."""

    def work() -> int:
        from backout.cli import main

        sys.argv = ["backout", *words]
        return main.run()

    return work


def _followed(pid: int, reading: int, kill: Kill | None) -> Life:
    """Until it ends. The first word through the pipe says that effects begin, each further one what was passed."""
    end, told, late = time.monotonic() + LONGEST, b"", False
    strikes = 0.0
    while True:
        now = time.monotonic()
        limit = min(end, strikes) if strikes else end
        if now >= limit:
            late = now >= end
            os.kill(pid, signal.SIGKILL)
            strikes, end = 0.0, now + LONGEST
            continue
        if not select.select([reading], [], [], limit - now)[0]:
            continue
        chunk = os.read(reading, 65536)
        if not chunk:
            break
        if not told and kill is not None and not kill.kind:
            strikes = time.monotonic() + kill.seconds
        told += chunk
    os.close(reading)
    status = os.waitpid(pid, 0)[1]
    words = told.decode().split()
    code = os.waitstatus_to_exitcode(status)
    return Life(code if code >= 0 else None, {kind: words.count(kind) for kind in PLACES}, late)


def _born(work: Callable[[], int], environment: Mapping[str, str], folder: Path, kill: Kill | None, pipe: int) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    observer = _Observer(kill, pipe)
    _engine_too(observer)
    with observed(observer):
        code = work()
    sys.stdout.flush()
    sys.stderr.flush()
    if loaded := environment.get(MODULES):
        Path(loaded).write_text(json.dumps(sorted(sys.modules)))
    os._exit(code)


class _Observer:
    """Kills this process where it was told to."""

    def __init__(self, kill: Kill | None, pipe: int) -> None:
        self._kill, self._pipe = kill, pipe
        self._seen: dict[tuple[str, str], int] = {}
        self._happened = False
        self._passing = threading.Lock()

    def __call__(self, passage: Passage) -> None:
        locks = passage.kind == "cluster" and "/leases" in passage.what
        self.at(passage.when, "lock" if locks else passage.kind)

    def at(self, when: str, kind: str) -> None:
        # Some come from threads, and none may be passed over.
        with self._passing:
            if when == "before":
                os.write(self._pipe, f"{kind} ".encode())
            number = self._seen[when, kind] = self._seen.get((when, kind), 0) + 1
            kill = self._kill
            if kill is None or not kill.kind:
                return
            here = (kind, number) == (kill.kind, kill.number)
            if (here and when == kill.when) or (self._happened and (when, kind) == ("after", "state")):
                os.kill(os.getpid(), signal.SIGKILL)
            self._happened |= here and when == "after" and kill.when == "recorded"


def _engine_too(observer: _Observer) -> None:
    """The durable engine's own records, which go past our tables."""
    import sqlalchemy.event
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import Pool

    committed = threading.local()

    def commits(_: Any) -> None:
        observer.at("before", "engine")
        committed.now = True

    def done(*_: Any) -> None:
        if getattr(committed, "now", False):
            committed.now = False
            observer.at("after", "engine")

    sqlalchemy.event.listen(Engine, "commit", commits)
    sqlalchemy.event.listen(Pool, "checkin", done)
