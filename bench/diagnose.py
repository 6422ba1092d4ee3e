# SPDX-License-Identifier: Apache-2.0
"""How long it takes to find what is broken among ten thousand pods."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from bench import machine, peers, population
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.measure import Failed, Program, in_turns
from bench.report import Raw, Report, Target, Tell, write_raw
from bench.servers import serving
from bench.stats import Sample, ratio
from bench.table import MIB, mebibytes, times

PODS, MANY = 10_000, 50_000
WALL, MEMORY = 0.5, 200 * MIB
FOUND = 10


def measure(tell: Tell, *, rounds: int = 7) -> Report:
    """Against an embedded API server, a real control plane where there is one, and with five times as many pods."""
    kubectl = peers.kubectl()
    given = os.environ.get("BACKOUT_BENCH_KUBECONFIG", "")
    report = Report(
        "diagnose",
        f"Diagnosis of {PODS:,} pods",
        [
            f"{PODS:,} pods in {len(population.namespaces(PODS))} namespaces, about 10 kB of JSON each (4 kB of it "
            f"managedFields), of {_apps('Deployment')} Deployments and {_apps('StatefulSet')} StatefulSets with their "
            "ReplicaSets and ControllerRevisions; 2 % of the pods are broken (crash loop, out of memory, image that can't "
            "be pulled, missing ConfigMap, never ready, unschedulable), spread over "
            f"{sum(1 for app in population.apps(PODS) if app.fault)} workloads; ten Helm releases own some of them. "
            "`backout diagnose -A` reads all of it, then the events, logs, owners and histories of what is broken; "
            "`kubectl get pods -A -o json` reads and prints the pods alone. Output to /dev/null; each run a new process."
        ],
        tools=[f"kubectl {machine.tool_version(kubectl)}"],
    )
    raw: Raw = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        _one(report, raw, Path(scratch), "embedded", "an embedded API server", PODS, rounds, None, tell)
        if given:
            _one(report, raw, Path(scratch), "real", "a real control plane", PODS, rounds, given, tell)
        else:
            report.notes.append("No real control plane was given by BACKOUT_BENCH_KUBECONFIG.")
        _many(report, raw, Path(scratch), tell)
    report.notes.append(
        "kubectl's `--disable-compression` made no difference on one machine: its time goes into decoding and printing."
    )
    write_raw("diagnose", ("server", "pods", *RAW_HEAD), raw)
    return report


def _apps(kind: str) -> int:
    return sum(1 for app in population.apps(PODS) if app.kind == kind)


def _one(
    report: Report,
    raw: Raw,
    scratch: Path,
    server: str,
    words: str,
    pods: int,
    rounds: int,
    given: str | None,
    tell: Tell,
) -> None:
    """One cluster and one number of pods."""
    kubeconfig = Path(given) if given else scratch / f"kubeconfig-{pods}"
    env = {"HOME": str(scratch), "KUBECONFIG": str(kubeconfig)}
    contenders = [
        Program("kubectl get pods -A -o json", [peers.kubectl(), "get", "pods", "-A", "-o", "json"], env=env),
        Program("backout diagnose -A", [peers.backout(), "diagnose", "-A"], frozenset({FOUND}), env=env),
    ]
    with serving(pods, kubeconfig, context="" if given else None):
        found = _check(env, pods)
        samples = in_turns(contenders, rounds, warm=1, tell=tell)
    caption = f"{pods:,} pods against {words}: {found}"
    report.tables.append(compared(contenders, samples, peer=0, caption=caption))
    report.targets += _targets(samples, pods, words)
    raw += [[server, pods, *row] for row in raw_rows(contenders, samples)]


def _many(report: Report, raw: Raw, scratch: Path, tell: Tell) -> None:
    """Backout alone: kubectl would need five times the memory that it takes for ten thousand pods."""
    kubeconfig = scratch / "kubeconfig-many"
    env = {"HOME": str(scratch), "KUBECONFIG": str(kubeconfig)}
    ours = Program("backout diagnose -A", [peers.backout(), "diagnose", "-A"], frozenset({FOUND}), env=env)
    with serving(MANY, kubeconfig):
        found = _check(env, MANY)
        samples = in_turns([ours], 3, warm=0, tell=tell)
    words = "against an embedded API server, Backout alone, since kubectl's memory grows with the pods"
    caption = f"{MANY:,} pods {words}: {found}"
    report.tables.append(compared([ours], samples, peer=0, caption=caption))
    raw += [["embedded", MANY, *row] for row in raw_rows([ours], samples)]


def _check(env: dict[str, str], pods: int) -> str:
    """Looks once whether the diagnosis is right: a wrong one is fast for nothing."""
    expected = {
        (app.namespace, plan.name) for app in population.apps(pods) for plan in population.pods_of(app) if plan.fault
    }
    seen, broken, problems = _diagnosed(env)
    if broken < expected:
        # A population that was written just now: a pod that is not ready counts as broken after a minute.
        time.sleep(60)
        seen, broken, problems = _diagnosed(env)
    if broken != expected or seen < pods:
        raise Failed(f"the diagnosis names {len(broken & expected)} of {len(expected)} broken pods of {seen}")
    return f"the diagnosis named all {len(expected)} broken pods in {problems} problems."


def _diagnosed(env: dict[str, str]) -> tuple[int, set[tuple[str, str]], int]:
    """How many pods were looked at, which are said to be broken, in how many problems."""
    command = [peers.backout(), "diagnose", "-A", "-o", "json"]
    look = Program("backout diagnose -A -o json", command, frozenset({FOUND}), env=env, keep=True)
    document = json.loads(look.run().out)
    symptoms = [symptom for problem in document["problems"] for symptom in problem["symptoms"]]
    broken = {(symptom["ref"]["namespace"], pod) for symptom in symptoms for pod in symptom.get("pods", ())}
    return document["items"][0]["lookedAt"]["pods"], broken, len(document["problems"])


def _targets(samples: list[list[Sample]], pods: int, words: str) -> list[Target]:
    theirs, ours = ([sample.wall for sample in found] for found in samples)
    rss = max(sample.rss for sample in samples[1])
    found = ratio(ours, theirs).of_medians
    return [
        Target(
            f"`backout diagnose -A` against `kubectl get pods -A -o json`, {pods:,} pods, {words}",
            f"at most {times(WALL)}",
            times(found),
            found <= WALL,
        ),
        Target(
            f"Memory of `backout diagnose -A`, {pods:,} pods, {words}",
            f"under {mebibytes(MEMORY)}",
            mebibytes(rss),
            rss < MEMORY,
        ),
    ]
