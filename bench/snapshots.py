# SPDX-License-Identifier: Apache-2.0
"""What the sections about snapshots share: a namespace that is served, and homes that are made anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import namespace, peers
from bench.measure import Ended, Failed, Program
from bench.servers import ROOT


class Served:
    """The namespace on an embedded API server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], home: Path, kubeconfig: Path) -> None:
        self._process = process
        self.home = home
        self.env = {"HOME": str(home), "BACKOUT_DATA": str(home / "data"), "KUBECONFIG": str(kubeconfig)}

    def ask(self, *words: object) -> str:
        """Sends a command to the server and waits for its answer."""
        assert self._process.stdin and self._process.stdout
        print(*words, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def change(self, first: int, last: int, round_: int) -> None:
        """Gives objects another content."""
        if self.ask("change", first, last, round_) != "done":
            raise Failed("the server did not change the objects")

    def writes(self) -> int:
        """How many writes the server has seen."""
        return int(self.ask("writes"))

    def program(
        self, *arguments: str, name: str = "", keep: bool = False, codes: frozenset[int] = frozenset({0})
    ) -> Program:
        """`backout snapshot …` in that namespace."""
        command = [peers.backout(), "snapshot", *arguments, "-n", namespace.NAME]
        return Program(name or f"backout snapshot {arguments[0]}", command, codes, self.env, keep=keep)

    def made(self, *arguments: str) -> dict[str, Any]:
        """Takes a snapshot, and reads what is told of it."""
        document = json.loads(self.program("create", *arguments, "-o", "json", keep=True).run().out)
        found: dict[str, Any] = document["items"][0]
        return found

    def clear(self) -> None:
        """No key, no repository."""
        shutil.rmtree(self.home / "data", ignore_errors=True)

    def repository_bytes(self) -> int:
        """The size of all its files."""
        return sum(path.stat().st_size for path in (self.home / "data" / "snapshots").rglob("*") if path.is_file())


@contextmanager
def serving(count: int, home: Path) -> Iterator[Served]:
    """A namespace of so many objects, until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    kubeconfig = home / "kubeconfig"
    command = [sys.executable, "-m", "bench.serve_namespace", str(count), str(kubeconfig)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin and process.stdout
    try:
        if process.stdout.readline() != "ready\n":
            raise Failed(f"the server ended with {process.wait()}")
        yield Served(process, home, kubeconfig)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(60)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program before each run of which something is made ready; only the program is measured."""

    program: Program
    prepare: Callable[[], None]

    @property
    def name(self) -> str:
        return self.program.name

    def run(self) -> Ended:
        """As `Program.run`."""
        self.prepare()
        return self.program.run()
