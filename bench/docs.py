# SPDX-License-Identifier: Apache-2.0
"""Writes docs/performance.md from the results that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report import Report, kept, targets_table

SECTIONS = (
    "start",
    "diagnose",
    "diagnose_busy",
    "readiness",
    "overhead",
    "helm",
    "helm_slow",
    "fleet",
    "snapshot_capture",
    "snapshot_restore",
    "snapshot_verify",
)
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
INTRODUCTION = """# Performance

Measured by `python -m bench`, which also wrote this page (`--write-docs`); the raw numbers are in `bench/results/`.
Each program is run in turns with its peer (A B A B …) in one run on one machine, after a warm-up, and both the ratio of
the medians and the ratios of the pairs are given, since a machine is never quite idle. A ratio below 1 means that
Backout took less. Both programs are measured from outside, in the same way: wall clock around the process, processor
time and peak memory by `wait4`. Backout's modules are compiled before, as pip compiles what it installs.

An embedded cluster is a simulation: what is measured against it is the client and its wire, never the speed of a
cluster. Where a section says "real control plane", etcd, kube-apiserver and, where needed, the controllers of
Kubernetes ran on the same machine; pods were simulated there, too.

The load that each section names is that of the machine when it began. Above two, other programs were at work: then a wall
clock says how long one waits on such a machine, and processor time, memory and the ratios of pairs say what a program needs.
"""


def page(reports: Sequence[Report]) -> str:
    """The whole page."""
    parts = [INTRODUCTION.strip(), "## Targets", targets_table(reports)]
    parts += [report.markdown() for report in reports]
    machines = list(dict.fromkeys("\n".join(f"- {line}" for line in report.machine) for report in reports))
    parts += ["## Machine and versions", *machines]
    return "\n\n".join(parts) + "\n"


def write(path: Path = PAGE) -> str:
    """Writes the page; returns its path."""
    path.write_text(page(kept(SECTIONS)), encoding="utf-8")
    return str(path)
