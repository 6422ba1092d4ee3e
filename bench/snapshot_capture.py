# SPDX-License-Identifier: Apache-2.0
"""How long it takes to keep a namespace, encrypted, beside reading it with kubectl; and what a second snapshot adds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import machine, namespace, peers
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.measure import Program, in_turns
from bench.report import Raw, Report, Table, Target, Tell, prose, write_raw
from bench.snapshots import Prepared, Served, serving
from bench.stats import ratio
from bench.table import MIB, mebibytes, times

OBJECTS, MANY = 10_000, 50_000
WALL, MEMORY, FLAT, ADDED = 1.2, 200 * MIB, 1.2, 0.03

METHOD = """
A namespace of {objects:,} objects: ConfigMaps of 2 kB (45 %), Secrets (25 %), Services (15 %) and Deployments (15 %),
as an API server lists them, with managedFields. `backout snapshot create` reads the namespace's kinds by discovery,
diagnoses it (which reads pods, workloads, events and Helm's records), and writes a new repository: each object
sanitised, hashed, compressed, encrypted, and synced to the disk. `kubectl get {plurals} -o json` reads and prints the
same objects. Output to /dev/null; each run a new process, against an embedded API server.
"""


def measure(tell: Tell, *, rounds: int = 5, objects: int = OBJECTS, many: int = MANY) -> Report:
    """Beside kubectl; then Backout alone with five times as many objects; then again with a hundredth changed."""
    kubectl = peers.kubectl()
    report = Report(
        "snapshot_capture",
        f"A snapshot of {objects:,} objects",
        [prose(METHOD, objects=objects, plurals=namespace.PLURALS)],
        tools=[f"kubectl {machine.tool_version(kubectl)}"],
    )
    raw: Raw = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        with serving(objects, Path(scratch) / "few") as served:
            few = _beside_kubectl(report, raw, served, kubectl, objects, rounds, tell)
            _again(report, served, objects)
        with serving(many, Path(scratch) / "many") as served:
            ours = Prepared(served.program("create"), served.clear)
            samples = in_turns([ours], 2, warm=0, tell=tell)
            found = max(sample.rss for sample in samples[0])
            caption = f"{many:,} objects, Backout alone:"
            report.tables.append(compared([ours], samples, peer=0, caption=caption))
            raw += [[many, *row] for row in raw_rows([ours], samples)]
    report.targets += [
        Target(
            f"Memory of a snapshot of {many:,} objects", f"under {mebibytes(MEMORY)}", mebibytes(found), found < MEMORY
        ),
        Target(
            f"Its memory with {many:,} objects against {objects:,}",
            f"at most {times(FLAT)}",
            times(found / few),
            found / few <= FLAT,
        ),
    ]
    report.notes.append(
        "What grows with the number of objects is mostly the diagnosis that goes with a snapshot: it holds all "
        "Deployments and Services of the namespace at once. Without it, keeping 10,001 and 50,001 objects was seen to "
        "take 80 and 101 MiB."
    )
    write_raw("snapshot_capture", ("objects", *RAW_HEAD), raw)
    return report


def _beside_kubectl(
    report: Report, raw: Raw, served: Served, kubectl: str, objects: int, rounds: int, tell: Tell
) -> int:
    command = [
        kubectl,
        "get",
        namespace.PLURALS,
        "-n",
        namespace.NAME,
        "-o",
        "json",
        "--cache-dir",
        str(served.home / "cache"),
    ]
    contenders = [
        Program("kubectl get … -o json", command, env=served.env),
        Prepared(served.program("create"), served.clear),
    ]
    samples = in_turns(contenders, rounds, warm=1, tell=tell)  # type: ignore[arg-type]
    report.tables.append(compared(contenders, samples, peer=0, caption=f"{objects:,} objects:"))
    raw += [[objects, *row] for row in raw_rows(contenders, samples)]
    theirs, ours = ([sample.wall for sample in found] for found in samples)
    found, rss = ratio(ours, theirs).of_medians, max(sample.rss for sample in samples[1])
    report.targets += [
        Target(
            f"Snapshot of {objects:,} objects against `kubectl get … -o json`",
            f"at most {times(WALL)}",
            times(found),
            found <= WALL,
        ),
        Target(
            f"Memory of a snapshot of {objects:,} objects", f"under {mebibytes(MEMORY)}", mebibytes(rss), rss < MEMORY
        ),
    ]
    return rss


def _again(report: Report, served: Served, objects: int) -> None:
    """A second snapshot after one object of a hundred changed."""
    served.clear()
    first = served.made()
    whole = served.repository_bytes()
    changed = max(1, objects // 100)
    served.change(0, changed, 1)
    second = served.made()
    added = served.repository_bytes() - whole
    rows = [
        ["objects", f"{first['objects']:,}", f"{second['objects']:,}"],
        ["bytes of the objects", f"{first['size']:,}", f"{second['size']:,}"],
        ["bytes added to the repository", f"{whole:,}", f"{added:,}"],
    ]
    report.tables.append(
        Table(f"Two snapshots, {changed:,} objects changed between them:", ["", "first", "second"], rows)
    )
    report.targets.append(
        Target(
            "Bytes of a second snapshot with 1 % changed objects",
            f"at most {ADDED:.0%}",
            f"{added / whole:.1%}",
            added / whole <= ADDED,
        )
    )
