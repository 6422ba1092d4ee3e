# SPDX-License-Identifier: Apache-2.0
"""Workers on a PostgreSQL share one operation over simulated clusters, and die; the long form is `share_killer`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from tests.postgres import server

from backout.engine.store.opening import open_store

sys.path.insert(0, str(Path(__file__).parent))

from share_killer import PATIENCE, ends, names, over, play, sharing


def test_two_workers_share_an_operation_while_one_after_the_other_is_killed_and_the_database_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _find_the_house(monkeypatch)
    answer = play(tmp_path, clusters=8, every=1.0, restarts=1, lasts=1.0)
    assert answer["wrong"] == [], answer["said"]
    assert answer["kills"] and answer["restarts"] == 1
    assert len(answer["parts by process"]) > 1, "parts were done by more than one"


def test_each_takes_what_it_knows_and_another_judges_the_gate_of_one_that_died_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _find_the_house(monkeypatch)
    clusters = names(5)
    with sharing(tmp_path, server(), lasts=0.2) as shared:
        shared.submit(clusters, (1,), soak=1.5)
        first = shared.worker(clusters[:1])
        with open_store(shared.url) as store:
            end = time.monotonic() + PATIENCE
            while not any(event.type == "gate" for event in store.events("r1")):
                assert time.monotonic() < end and first.poll() is None, shared.said()
                time.sleep(0.05)
            first.kill()
            first.wait()
            second, third = shared.worker(clusters[:3]), shared.worker(clusters[3:])
            while not over(store):
                assert time.monotonic() < end and second.poll() is None and third.poll() is None, shared.said()
                time.sleep(0.1)
            assert shared.wrong(store, clusters) == []
            by = {
                part.partition("/")[0]: int(process.partition(":")[2])
                for part, process in ends(store.events("r1")).items()
            }
            assert by == {
                "c001": first.pid, "c002": second.pid, "c003": second.pid, "c004": third.pid, "c005": third.pid,
            }  # fmt: skip
            holds = [event for event in store.events("r1") if event.key == "gate-open:1"]
            resumed = [event for event in store.events("r1") if event.type == "resumed"]
            assert len(holds) == 1 and resumed and holds[0].seq > resumed[0].seq, (
                "the gate was judged after its worker died"
            )


def _find_the_house(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
