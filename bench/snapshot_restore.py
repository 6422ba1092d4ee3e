# SPDX-License-Identifier: Apache-2.0
"""How fast a namespace is put back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.measure import Failed
from bench.report import Raw, Report, Table, Target, Tell, prose, write_raw
from bench.snapshots import Served, serving
from bench.stats import Sample, spread
from bench.table import mebibytes, three

OBJECTS, CHANGED = 2_000, 1_000
RATE = 100.0

METHOD = """
A namespace of {objects:,} objects (ConfigMaps, Secrets, Services, Deployments) of which {changed:,} were changed since
the snapshot. `backout snapshot restore` compares all of them, lets the server try every write (dry run), reserves the
namespace, and writes each that differs by PUT, conditional on what it read, after a look at its Lease. It was told to
take no snapshot of the present state first. Objects per second are changed objects by the wall clock of the whole
process; writes were counted by the embedded API server, those to Leases included.
"""


def measure(tell: Tell, *, rounds: int = 5, objects: int = OBJECTS, changed: int = CHANGED) -> Report:
    """Changes, puts back, looks whether all of it is as it was; then once more with nothing changed."""
    report = Report(
        "snapshot_restore", f"Restore of {changed:,} objects", [prose(METHOD, objects=objects, changed=changed)]
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, serving(objects, Path(scratch)) as served:
        served.made("--tag", "before")
        samples, writes = [], []
        for number in range(rounds):
            served.change(0, changed, number + 1)
            samples.append(_restored(served, changed, writes))
            tell(f"{number + 1}/{rounds}  {changed / samples[-1].wall:.0f} objects/s, {writes[-1]} writes")
        before = served.writes()
        nothing = served.program("restore", "before", "--yes", "--no-snapshot", "-o", "json", keep=True).run()
        idle = served.writes() - before
    walls = [sample.wall for sample in samples]
    rates = spread([changed / wall for wall in walls])
    rows = [
        ["Wall clock", three(spread(walls))],
        ["Processor time", three(spread([sample.cpu for sample in samples]))],
        ["Changed objects per second", f"{rates.low:.0f} / {rates.mid:.0f} / {rates.high:.0f}"],
        ["Writes that the server saw", f"{min(writes):,} – {max(writes):,}"],
        ["Peak RSS", mebibytes(max(sample.rss for sample in samples))],
        ["With nothing changed: wall clock", three(spread([nothing.sample.wall]))],
        ["With nothing changed: writes", str(idle)],
    ]
    report.tables.append(Table(f"{len(samples)} runs, min / median / max:", ["", ""], rows))
    leases = max(writes) - changed
    report.targets += [
        Target(
            f"Restore of {changed:,} changed objects",
            f"at least {RATE:.0f} objects/s",
            f"{rates.mid:.0f} objects/s",
            rates.mid >= RATE,
        ),
        Target(
            f"Writes for the {objects - changed:,} unchanged objects",
            "none",
            "none" if idle == 0 and leases < 20 else f"{idle} and {leases}",
            idle == 0 and leases < 20,
        ),
    ]
    raw: Raw = [
        [changed, n, s.wall, s.user, s.system, s.rss, w]
        for n, (s, w) in enumerate(zip(samples, writes, strict=True), 1)
    ]
    write_raw("snapshot_restore", ("changed", "round", "wall_s", "user_s", "system_s", "peak_rss_bytes", "writes"), raw)
    return report


def _restored(served: Served, changed: int, writes: list[int]) -> Sample:
    before = served.writes()
    done = served.program("restore", "before", "--yes", "--no-snapshot", "-o", "json", keep=True).run()
    writes.append(served.writes() - before)
    items = json.loads(done.out)["items"]
    put_back = sum(1 for item in items if item.get("state") == "done")
    if put_back != changed or any(item.get("state") not in (None, "done") for item in items):
        raise Failed(f"{put_back} of {changed} objects were put back")
    return done.sample
