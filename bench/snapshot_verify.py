# SPDX-License-Identifier: Apache-2.0
"""How long it takes to read back and prove every byte, beside restic on the same contents."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from shutil import which

from bench import machine, namespace
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.measure import Program, in_turns
from bench.report import Raw, Report, Target, Tell, prose, write_raw
from bench.snapshots import serving
from bench.stats import ratio
from bench.table import times

OBJECTS = 10_000
RATIO = 1.0

METHOD = """
`backout snapshot verify --read-data` on the repository of one snapshot of {objects:,} objects: every pack is read, its
hash compared, every object decrypted, authenticated, decompressed and hashed. `restic check --read-data` on a
repository with the same contents, one file an object. Both repositories are on the same disk, in the page cache; each
run a new process.
"""


def measure(tell: Tell, *, rounds: int = 7, objects: int = OBJECTS) -> Report:
    """In turns with restic where it is installed."""
    restic = os.environ.get("BACKOUT_BENCH_RESTIC") or which("restic") or ""
    tools = [f"restic {machine.tool_version(restic)}"] if restic else []
    report = Report("snapshot_verify", "Reading back a repository", [prose(METHOD, objects=objects)], tools=tools)
    raw: Raw = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        with serving(objects, Path(scratch)) as served:
            served.made()
        contenders = [served.program("verify", "--read-data", name="backout snapshot verify --read-data")]
        if restic:
            contenders.insert(0, _restic(restic, Path(scratch), objects))
        else:
            report.notes.append("restic is not installed (BACKOUT_BENCH_RESTIC names it), so nothing was compared.")
        samples = in_turns(contenders, rounds, warm=1, tell=tell)
    report.tables.append(compared(contenders, samples, peer=0))
    raw += [[objects, *row] for row in raw_rows(contenders, samples)]
    what = "`verify --read-data` against `restic check --read-data`"
    if restic:
        theirs, ours = ([sample.wall for sample in found] for found in samples)
        found = ratio(ours, theirs).of_medians
        report.targets.append(Target(what, f"at most {times(RATIO)}", times(found), found <= RATIO))
    else:
        report.targets.append(Target(what, f"at most {times(RATIO)}", "–", None))
    write_raw("snapshot_verify", ("objects", *RAW_HEAD), raw)
    return report


def _restic(restic: str, scratch: Path, objects: int) -> Program:
    """A repository of restic with the same contents."""
    files, env = (
        scratch / "files",
        {
            "HOME": str(scratch),
            "RESTIC_REPOSITORY": str(scratch / "restic"),
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(scratch / "restic-cache"),
        },
    )
    files.mkdir()
    for number, obj in enumerate(namespace.objects(objects)):
        (files / f"{number:06d}.json").write_text(json.dumps(obj, separators=(",", ":")))
    for command in (["init"], ["backup", str(files)]):
        Program(f"restic {command[0]}", [restic, *command, "--quiet"], env=env).run()
    return Program("restic check --read-data", [restic, "check", "--read-data", "--quiet"], env=env)
