# SPDX-License-Identifier: Apache-2.0
"""Backout's own time in one rollback, and where it goes."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import machine, peers
from bench.measure import Failed, Program
from bench.observer import Observer, settled
from bench.phases import NAMES, Timeline, timeline
from bench.places import SOAK, Place, places
from bench.report import Raw, Report, Table, Target, Tell, prose, write_raw
from bench.servers import here
from bench.stats import spread
from bench.table import seconds, three
from kubetwin.lab import helm_scenarios, workload_scenarios
from kubetwin.lab.behaviour import Behaviour
from kubetwin.lab.builder import Lab

LIMIT = 1.0
"""Seconds, the helm program apart."""
NAMESPACE = "bench-overhead"

METHOD = """
`backout run TARGET --yes` with the durable engine, {rounds} times each, on a state that is made anew every time, with a
soak of {soak} s. "helm": a release of six workloads, one of which crash-loops since its upgrade; "workload": a
Deployment of three pods that nobody manages. Backout's own time is the wall clock from the spawn of the process to the
verdict, less the soak, less what the cluster needs: from the first write to a workload until every workload is complete
and every pod ready, as raw watches of another client see it. The time of the helm program counts as Backout's own as
far as it lies outside of that. Phases come from marks in the process and from the events of the run; they follow one
another, and the cluster converges during the later ones.
"""


async def unmanaged(lab: Lab) -> None:
    """A Deployment that nobody manages, rolled out twice, then with an image that crashes."""
    await lab.make_namespace()
    await lab.create("deployment", workload_scenarios.manifest(lab, "deployment", "1.4.0"))
    await lab.until_healthy()
    await workload_scenarios.set_image(lab, "deployment", "1.4.1", Behaviour.GOOD)
    await lab.until_healthy()
    await workload_scenarios.set_image(lab, "deployment", "2.0.0", Behaviour.CRASH)
    await lab.until_broken(workload_scenarios.NAMES["deployment"], {"CrashLoopBackOff"}, restarts=1)


async def released(lab: Lab) -> None:
    """A Helm release whose upgrade crashes (A1)."""
    await helm_scenarios.two_good(lab)
    await helm_scenarios.crash_deployment(lab)


CASES: tuple[tuple[str, str, Callable[[Lab], Awaitable[None]]], ...] = (
    ("helm", "helm/thanos", released),
    ("workload", "deployment/gateway", unmanaged),
)


def measure(tell: Tell, *, rounds: int = 5) -> Report:
    """Rollbacks by both mechanisms, on every cluster that there is."""
    helm = peers.helms().get("4") or peers.helms().get("3")
    if helm is None:
        raise Failed("helm is not installed (`python -m backout.tools` brings it)")
    report = Report(
        "overhead",
        "Backout's own time in one rollback",
        [prose(METHOD, rounds=rounds, soak=f"{SOAK:g}")],
        tools=[f"helm {machine.tool_version(helm)}"],
    )
    raw: Raw = []
    with places() as found:
        for place in found:
            for mechanism, target, prepare in CASES:
                runs = []
                for number in range(rounds):
                    runs.append(_one(place, helm, target, prepare, f"{NAMESPACE}-{mechanism}-{number}"))
                    tell(
                        f"{number + 1}/{rounds}  {mechanism}, {place.words}: own {runs[-1].own:.2f} s, "
                        f"cluster {runs[-1].cluster:.2f} s"
                    )
                _add(report, raw, place.words, mechanism, runs)
    write_raw(
        "overhead",
        ("cluster", "mechanism", "round", "until_verdict_s", "soak_s", "cluster_s", "own_s", "cpu_s", *NAMES),
        raw,
    )
    return report


def _one(place: Place, helm: str, target: str, prepare: Callable[[Lab], Awaitable[None]], namespace: str) -> Timeline:
    place.play(namespace, helm, prepare)
    marks = place.scratch / "marks.json"
    program = Program(
        "backout run",
        [
            sys.executable,
            "-m",
            "bench.traced",
            str(marks),
            "run",
            target,
            "--yes",
            "-n",
            namespace,
            "--context",
            place.context,
            "--config",
            place.config,
            "-o",
            "json",
        ],
        env={**place.env(helm), "PYTHONPATH": here()},
        keep=True,
    )
    try:
        with Observer(place.kubeconfig, place.context, namespace) as observer:
            ended = program.run()
    finally:
        place.clear(namespace)
    first, converged = observer.first_write(ended.began), observer.turned(settled, ended.began)
    if first is None or converged is None:
        raise Failed(f"{namespace}: the watches saw no write, or no healthy end")
    (run,) = json.loads(ended.out)["items"]
    watched = float(run["verdict"]["soak"])
    end = ended.began + ended.sample.wall
    cpu = ended.sample.cpu
    found = _marks(marks)
    alone = next(used for name, _, used in found if name == "processor")
    return timeline(ended.began, end, found, run["events"], watched, first, converged, cpu, alone)


def _marks(path: Path) -> list[tuple[str, float, float]]:
    return [(str(name), float(begin), float(end)) for name, begin, end in json.loads(path.read_text())]


def _add(report: Report, raw: Raw, words: str, mechanism: str, runs: list[Timeline]) -> None:
    own, apart = spread([run.own for run in runs]), spread([run.own - run.helm for run in runs])
    rows = [["**Backout's own time**", three(own)]]
    if any(run.helm for run in runs):
        rows += [["… of it without the helm program", three(apart)]]
    rows += [["Processor time, helm's included", three(spread([run.cpu for run in runs]))]]
    rows += [["Processor time of Backout alone", three(spread([run.alone for run in runs]))]]
    rows += [["Wall clock until the verdict", three(spread([run.until_verdict for run in runs]))]]
    rows += [["The cluster converges", three(spread([run.cluster for run in runs]))]]
    rows += [[name, three(spread([run.phases[name] for run in runs]))] for name in NAMES]
    report.tables.append(Table(f"Mechanism {mechanism}, {words}, {len(runs)} runs:", ["", "min / median / max"], rows))
    report.targets.append(
        Target(
            f"Own time of a rollback by {mechanism}, the helm program apart, {words}",
            f"at most {seconds(LIMIT)}",
            seconds(apart.mid),
            apart.mid <= LIMIT,
        )
    )
    raw += [
        [words, mechanism, number, run.until_verdict, run.soak, run.cluster, run.own, run.cpu, *run.phases.values()]
        for number, run in enumerate(runs, start=1)
    ]
