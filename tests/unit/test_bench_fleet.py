# SPDX-License-Identifier: Apache-2.0
"""The benchmark of operations over many clusters, small."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bench.fleet import syncs_in
from bench.fleet_simulated import operation, run

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.68    0.023380          51       452           fdatasync
  0.32    0.000075          12         6         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.023455          51       458         1 total
"""


def test_waits_for_the_disk_are_counted() -> None:
    assert syncs_in(STRACE) == 458
    assert syncs_in("") == 0


@pytest.mark.parametrize(("clusters", "waves", "sizes"), [(400, 5, [80] * 5), (10, 3, [4, 4, 2]), (1, 1, [1])])
def test_the_waves_of_simulated_clusters(clusters: int, waves: int, sizes: list[int]) -> None:
    made = operation(clusters, waves, 1)
    assert made.fleet is not None and [len(wave.parts) for wave in made.fleet.waves] == sizes


def test_simulated_clusters_recover_by_the_durable_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    numbers = asyncio.run(run(tmp_path, operation(3, 2, 2)))
    assert numbers["state"] == "recovered"
    assert float(numbers["cpu"]) > 0
    assert sorted(path.name for path in (tmp_path / "files").glob("edge-*")) == [
        f"edge-{cluster:03d}-{step}" for cluster in range(3) for step in range(2)
    ]
