# SPDX-License-Identifier: Apache-2.0
"""How the benchmark writes numbers, tables and the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.docs import page
from bench.measure import Program
from bench.report import Report, Target, keep, kept, targets_table, write_raw
from bench.stats import Sample, spread
from bench.table import markdown, mebibytes, seconds, three, times

PEER, OURS = Program("peer", ["true"]), Program("ours | quoted", ["true"])
SAMPLES = [[Sample(2.0, 1.0, 0.5, 64 * 1024**2), Sample(4.0, 1.0, 0.5, 1)], [Sample(1.0), Sample(1.0)]]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "0 ms"), (0.0617, "62 ms"), (0.9994, "999 ms"), (0.9996, "1.00 s"), (12.3456, "12.35 s")],
)
def test_times_have_the_unit_that_reads_best(value: float, text: str) -> None:
    assert seconds(value) == text


def test_sizes_ratios_and_spreads() -> None:
    assert mebibytes(200 * 1024**2) == "200 MiB"
    assert times(1.238) == "1.24x"
    assert three(spread([0.05, 0.06, 0.2])) == "50 / 60 / 200 ms"
    assert three(spread([0.5, 1.0, 2.0])) == "0.50 / 1.00 / 2.00 s"


def test_a_table_is_aligned_and_its_cells_can_not_break_it() -> None:
    text = markdown(["What", "Time"], [["a|b", "1"], ["c\nd", "1000"]])
    assert text.splitlines() == ["| What | Time |", "| ---- | ---: |", "| a\\|b |    1 |", "| c d  | 1000 |"]


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="number of cells"):
        markdown(["a", "b"], [["only one"]])


def test_the_peer_has_no_ratio_and_ours_has_both() -> None:
    peer, ours = compared([PEER, OURS], SAMPLES, peer=0).rows
    assert peer[1:] == ["2.00 / 3.00 / 4.00 s", "1", "–", "1.50 s", "64 MiB", "2"]
    assert ours[1:4] == ["1.00 / 1.00 / 1.00 s", "0.33x", "0.25 – 0.50x"]


def test_raw_numbers_are_kept_one_run_a_row(tmp_path: Path) -> None:
    write_raw("x", RAW_HEAD, raw_rows([PEER, OURS], SAMPLES), tmp_path)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0] == ",".join(RAW_HEAD)
    assert lines[1] == "peer,1,2.0000,1.0000,0.5000,67108864,0"
    assert len(lines) == 5


def _report(name: str, met: bool | None) -> Report:
    targets = [Target("speed", "at most 1.50x", "1.20x", met)]
    return Report(
        name,
        f"Section {name}",
        ["How."],
        [compared([PEER, OURS], SAMPLES, peer=0)],
        targets,
        ["Noted."],
        machine=["a machine"],
        load_before="0.1",
        at="2026-01-01 00:00 UTC",
    )


@pytest.mark.parametrize(("met", "word"), [(True, "met"), (False, "missed"), (None, "not measured")])
def test_a_target_says_what_became_of_it(met: bool | None, word: str) -> None:
    assert targets_table([_report("start", met)]).splitlines()[2].endswith(f" {word} |")


def test_a_kept_report_makes_the_same_page(tmp_path: Path) -> None:
    reports = [_report("start", True), _report("helm", False)]
    for report in reports:
        keep(report, tmp_path)
    again = kept(["start", "readiness", "helm"], tmp_path)
    assert page(again) == page(reports)
    assert page(again).count("- a machine") == 1
