# SPDX-License-Identifier: Apache-2.0
"""The same rollback by `helm rollback --wait` and by `backout run`, and one that Helm alone does not bring home."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bench import machine, peers
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.measure import Ended, Failed, Program
from bench.observer import Observer, settled
from bench.places import SOAK, Place, places
from bench.report import Raw, Report, Table, Target, Tell, write_raw
from bench.stats import Sample, ratio, spread
from bench.table import seconds, three, times
from kubetwin.lab import helm_scenarios
from kubetwin.lab.builder import Lab

LIMIT, SLOW_LIMIT = 1.5, 1.2
"""Times the wall clock of helm: where pods start at once, and where each takes seconds."""
RELEASE, GOOD = "thanos", "2"
PATIENCE = 20
"""Seconds for which Helm may wait where it waits in vain; its own default is five minutes."""


async def crashing_deployment(lab: Lab) -> None:
    """A1."""
    await helm_scenarios.two_good(lab)
    await helm_scenarios.crash_deployment(lab)


async def healthy_upgrade(lab: Lab) -> None:
    """Nothing is broken, but every pod has to be replaced on the way back."""
    await helm_scenarios.three_good(lab)


async def crashing_statefulset(lab: Lab) -> None:
    """A2."""
    await helm_scenarios.two_good(lab)
    await helm_scenarios.crash_statefulset(lab)


def measure(tell: Tell, *, rounds: int = 3) -> Report:
    """Every helm that there is, on every cluster that there is."""
    helms = peers.helms()
    if not helms:
        raise Failed("helm is not installed (`python -m backout.tools` brings it)")
    report = Report(
        "helm",
        "Beside helm rollback",
        [
            "A release of six workloads (the chart of `backout demo`) is installed and upgraded, both healthy; the third "
            f"revision has an image that crash-loops. Then either `helm rollback {RELEASE} {GOOD} --wait` or `backout run "
            f"helm/{RELEASE} --yes`, in turns, each on a state of its own that was made the same way. Backout diagnoses, "
            "chooses the revision, captures, calls the same helm, waits, and then watches for a soak of "
            f"{SOAK:g} s, which is taken off below; Helm is told the revision, and does not look what came of it.",
            "In A1 the old pods of the Deployment still run, so that there is hardly anything to wait for and what Backout "
            "does beyond Helm is most of its time. Where the third revision is a healthy one, every pod of the release has "
            f"to be replaced on the way back (`--to {GOOD}`), which is nearer to what a rollback takes on real nodes.",
            f"Where the pods of an OrderedReady StatefulSet crash, Helm waits in vain; it was given {PATIENCE} s.",
        ],
        tools=[f"helm {machine.tool_version(path)}" for path in helms.values()],
    )
    raw: Raw = []
    with places() as found:
        for place in found:
            for major, helm in sorted(helms.items(), reverse=True):
                # A round takes a minute: the older Helm is measured on the embedded cluster only.
                if place is found[0] or major == max(helms):
                    for case in CASES:
                        succeeds(report, raw, place, major, helm, case, rounds, tell)
        for place in found:
            for major, helm in sorted(helms.items(), reverse=True):
                if place is found[0] or major == max(helms):
                    _fails(report, raw, place, major, helm, max(2, rounds // 2), tell)
    write_raw("helm", ("cluster", "helm", "scenario", *RAW_HEAD), raw)
    return report


CASES: dict[str, tuple[Callable[[Lab], Awaitable[None]], str, Sequence[str]]] = {
    "A1": (crashing_deployment, "A1, a Deployment that crash-loops", []),
    "whole": (healthy_upgrade, "every pod of the release replaced", ["--to", GOOD]),
}
SLOW = {"slow": (healthy_upgrade, "every pod of the release replaced, each slow to start", ["--to", GOOD])}


def _programs(place: Place, helm: str, namespace: str, *, fails: bool = False, to: Sequence[str] = ()) -> list[Program]:
    env = place.env(helm)
    wait = ["--wait", "--timeout", f"{PATIENCE}s"] if fails else ["--wait"]
    reach = ["--kube-context", place.context, "-n", namespace]
    return [
        Program(
            f"helm rollback {RELEASE} {GOOD} {' '.join(wait)}",
            [helm, "rollback", RELEASE, GOOD, *wait, *reach],
            frozenset({1}) if fails else frozenset({0}),
            env=env,
        ),
        Program(
            f"backout run helm/{RELEASE} --yes{' ' if to else ''}{' '.join(to)}",
            [
                peers.backout(),
                "run",
                f"helm/{RELEASE}",
                "--yes",
                *to,
                "-n",
                namespace,
                "--context",
                place.context,
                "--config",
                place.config,
            ],
            env=env,
        ),
    ]


def _play(
    place: Place,
    helm: str,
    prepare: Callable[[Lab], Awaitable[None]],
    namespace: str,
    contender: int,
    *,
    fails: bool = False,
    to: Sequence[str] = (),
) -> tuple[Ended, bool]:
    """One run of one contender on a fresh state, and whether everything was healthy right after it."""
    place.play(namespace, helm, prepare)
    program = _programs(place, helm, namespace, fails=fails, to=to)[contender]
    try:
        with Observer(place.kubeconfig, place.context, namespace) as observer:
            ended = program.run()
        return ended, observer.turned(settled) is not None
    finally:
        place.clear(namespace)


def succeeds(report: Report, raw: Raw, place: Place, major: str, helm: str, case: str, rounds: int, tell: Tell) -> None:
    """One case: samples, tables and target."""
    prepare, words, to = (CASES | SLOW)[case]
    limit = SLOW_LIMIT if case in SLOW else LIMIT
    samples: list[list[Sample]] = [[], []]
    for number in range(rounds):
        for contender in (0, 1):
            namespace = f"bench-{case.lower()}-{major}-{number}-{contender}"
            sample = _play(place, helm, prepare, namespace, contender, to=to)[0].sample
            samples[contender].append(sample)
            tell(f"{number + 1}/{rounds}  {case}, helm {major}, {place.words}: {sample.wall:.2f} s")
    programs = _programs(place, helm, "", to=to)
    caption = f"{words[0].upper()}{words[1:]}; helm {major}, {place.words}; Backout's wall clock has the soak in it:"
    report.tables.append(compared(programs, samples, peer=0, caption=caption))
    theirs = [sample.wall for sample in samples[0]]
    ours = [sample.wall - SOAK for sample in samples[1]]
    found = ratio(ours, theirs)
    report.tables.append(
        Table(
            "The same without the soak:",
            ["", "min / median / max", "Ratio of medians", "Ratios of pairs"],
            [
                ["helm", three(spread(theirs)), "1", "–"],
                [
                    "Backout less the soak",
                    three(spread(ours)),
                    times(found.of_medians),
                    f"{found.pairs.low:.2f} – {found.pairs.high:.2f}x",
                ],
            ],
        )
    )
    report.targets.append(
        Target(
            f"`backout run --yes` less its soak against `helm rollback --wait`: {words}, helm {major}, {place.words}",
            f"at most {times(limit)}",
            times(found.of_medians),
            found.of_medians <= limit,
        )
    )
    raw += [[place.words, major, case, *row] for row in raw_rows(programs, samples)]


def _fails(report: Report, raw: Raw, place: Place, major: str, helm: str, rounds: int, tell: Tell) -> None:
    samples: list[list[Sample]] = [[], []]
    healthy = [0, 0]
    said: set[str] = set()
    for number in range(rounds):
        for contender in (0, 1):
            namespace = f"bench-a2-{major}-{number}-{contender}"
            ended, well = _play(place, helm, crashing_statefulset, namespace, contender, fails=True)
            sample = ended.sample
            if contender == 0:
                said.add(ended.err.strip().splitlines()[-1].replace(namespace, "NAMESPACE"))
            samples[contender].append(sample)
            healthy[contender] += well
            tell(f"{number + 1}/{rounds}  A2, helm {major}, {place.words}: {sample.wall:.2f} s, code {sample.code}")
    programs = _programs(place, helm, "", fails=True)
    rows = [
        [
            f"`{program.name}`",
            str(found[0].code),
            f"{well} of {len(found)}",
            three(spread([sample.wall for sample in found])),
        ]
        for program, found, well in zip(programs, samples, healthy, strict=True)
    ]
    report.tables.append(
        Table(
            f"A2, an OrderedReady StatefulSet that crash-loops; helm {major}, {place.words}:",
            ["Program", "Exit code", "Healthy afterwards", "Wall min / median / max"],
            rows,
        )
    )
    words = " or ".join(f'"{line}"' for line in sorted(said))
    report.notes.append(f"A2, helm {major}, {place.words}: helm said {words}.")
    middle = spread([sample.wall for sample in samples[1]]).mid
    recovered = healthy[1] == rounds and healthy[0] == 0
    report.targets.append(
        Target(
            f"Where Helm fails (A2), Backout recovers, helm {major}, {place.words}",
            "recovered",
            f"{healthy[1]} of {rounds} in {seconds(middle)} with the soak; helm: {healthy[0]} of {rounds}",
            recovered,
        )
    )
    raw += [[place.words, major, "A2", *row] for row in raw_rows(programs, samples)]
