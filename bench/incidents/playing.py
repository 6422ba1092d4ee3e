# SPDX-License-Identifier: Apache-2.0
"""Plays many situations at once: one embedded cluster, and processes that share the situations among them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.incidents.cluster import embedded
from bench.incidents.score import Score
from bench.incidents.work import chosen
from bench.measure import Failed

WORKERS, SLOTS = 4, 16


def play(
    seed: int,
    only: Sequence[str],
    healthy: int,
    *,
    helm: str,
    workers: int = WORKERS,
    slots: int = SLOTS,
    told: Callable[[Score, int], None] = lambda score, left: None,
) -> list[Score]:
    """Plays what is chosen; each is told with how many are left. In the order of the situations.

    Raises:
        Failed: a process ended before its time.
        KeyboardInterrupt: it was stopped; what was told until then was played.
    """
    every = chosen(seed, list(only), healthy)
    slots = min(slots, len(every))
    workers = max(1, min(workers, slots))
    names = [each.name for each in every]
    scores: dict[str, Score] = {}
    # What takes longest begins first.
    order = sorted(range(len(every)), key=lambda number: -every[number].seconds())
    with tempfile.TemporaryDirectory(prefix="incidents-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        with embedded(folder, 2 * slots) as kubeconfig:
            processes = []
            for number in range(workers):
                job = {
                    "seed": seed,
                    "only": list(only),
                    "healthy": healthy,
                    "helm": helm,
                    "kubeconfig": str(kubeconfig),
                    "mine": order[number::workers],
                    "slots": list(range(number, slots, workers)),
                }
                processes.append(_start(folder / f"worker-{number}", job))
            lock = threading.Lock()

            def listen(process: subprocess.Popen[str]) -> None:
                assert process.stdout is not None
                for line in process.stdout:
                    with lock:
                        score = Score(**json.loads(line))
                        scores[score.name] = score
                        told(score, len(every) - len(scores))

            threads = [threading.Thread(target=listen, args=(process,)) for process in processes]
            try:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
        if missing := [name for name in names if name not in scores]:
            words = " ".join((folder / f"worker-{number}.log").read_text()[-800:] for number in range(workers))
            raise Failed(f"{len(missing)} situations were not played, such as {missing[0]}: {words}")
    return [scores[name] for name in names]


def _start(folder: Path, job: dict[str, object]) -> subprocess.Popen[str]:
    with folder.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.incidents.work", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "LANG": "C.UTF-8"},
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process
