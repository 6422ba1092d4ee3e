# SPDX-License-Identifier: Apache-2.0
"""How long it takes to find what is broken in a namespace in which much goes on, and how far the network decides it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench import busy, machine, peers
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.diagnose import FOUND
from bench.measure import Failed, Program, in_turns
from bench.report import Raw, Report, Target, Tell, prose, write_raw
from bench.servers import running
from bench.stats import Sample, spread
from bench.table import MIB, mebibytes, seconds

WALL, MEMORY = 3.0, 250 * MIB
DELAY = 0.1
KINDS = (
    "deployments,statefulsets,replicasets,controllerrevisions,pods,configmaps,secrets,services,endpointslices,events"
)

METHOD = """
One namespace of 2,000 objects: {workloads} workloads of three pods with two earlier templates each, 12 Helm releases of
10 revisions that own 60 of them, ConfigMaps, Secrets, Services, EndpointSlices, autoscalers, budgets and accounts; 500
changes over two days (388 revisions of releases and workloads, {edits} fields written by hand); {events:,} events. {broken}
workloads are broken since their last change, twenty of them crash. `backout diagnose -n {name}` reads all of that,
and has to name every broken workload; `kubectl get -o json` reads and prints the same kinds. Output to /dev/null; each
run a new process, against an embedded API server in another one.
"""


def measure(tell: Tell, *, rounds: int = 7) -> Report:
    """Beside kubectl; then Backout alone where each answer takes a tenth of a second."""
    kubectl = peers.kubectl()
    report = Report(
        "diagnose_busy",
        "Diagnosis of a busy namespace",
        [
            prose(
                METHOD,
                workloads=len(busy.apps()),
                edits=busy.EDITS,
                events=busy.EVENTS,
                broken=busy.BROKEN,
                name=busy.NAME,
            )
        ],
        tools=[f"kubectl {machine.tool_version(kubectl)}"],
    )
    raw: Raw = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for words, delay in (("answers at once", 0.0), (f"each answer takes {seconds(DELAY)}", DELAY)):
            kubeconfig = Path(scratch) / f"kubeconfig-{delay}"
            env = {"HOME": scratch, "KUBECONFIG": str(kubeconfig)}
            ours = Program("backout diagnose", [*diagnose(), "-n", busy.NAME], frozenset({FOUND}), env=env)
            theirs = Program("kubectl get … -o json", [kubectl, "get", KINDS, "-n", busy.NAME, "-o", "json"], env=env)
            contenders = [ours] if delay else [theirs, ours]
            with running("bench.serve_busy", str(kubeconfig), "--delay", str(delay)):
                found = _check(env)
                samples = in_turns(contenders, rounds if not delay else 3, warm=1, tell=tell)
            caption = f"An embedded API server that {words}: {found}" if not delay else f"The same where {words}:"
            report.tables.append(compared(contenders, samples, peer=0, caption=caption))
            if not delay:
                report.targets += _targets(samples[-1], words)
            raw += [[delay, *row] for row in raw_rows(contenders, samples)]
    write_raw("diagnose_busy", ("delay_s", *RAW_HEAD), raw)
    return report


def diagnose() -> list[str]:
    """The command."""
    return [peers.backout(), "diagnose"]


def _check(env: dict[str, str]) -> str:
    """Looks once whether the diagnosis is right: a wrong one is fast for nothing."""
    command = [*diagnose(), "-n", busy.NAME, "-o", "json"]
    look = Program("backout diagnose -o json", command, frozenset({FOUND}), env=env, keep=True)
    document = json.loads(look.run().out)
    symptoms = [symptom for problem in document["problems"] for symptom in problem["symptoms"]]
    found = {symptom["ref"]["name"] for symptom in symptoms}
    expected = {app.name for app in busy.apps() if app.fault}
    if found != expected:
        raise Failed(
            f"the diagnosis names {len(found & expected)} of {len(expected)} broken workloads: {sorted(found)}"
        )
    return f"the diagnosis named all {len(expected)} broken workloads in {len(document['problems'])} problems."


def _targets(samples: list[Sample], words: str) -> list[Target]:
    wall = spread([sample.wall for sample in samples]).mid
    rss = max(sample.rss for sample in samples)
    return [
        Target(f"Diagnosis of a busy namespace, {words}", f"under {seconds(WALL)}", seconds(wall), wall < WALL),
        Target(f"Its memory, {words}", f"under {mebibytes(MEMORY)}", mebibytes(rss), rss < MEMORY),
    ]
