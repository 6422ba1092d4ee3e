# SPDX-License-Identifier: Apache-2.0
"""How long a command takes that does nothing yet."""

from __future__ import annotations

from bench import machine, peers
from bench.compare import RAW_HEAD, compared, raw_rows
from bench.measure import Program, in_turns
from bench.report import Report, Target, Tell, write_raw
from bench.stats import ratio
from bench.table import times

LIMIT = 1.5


def measure(tell: Tell, *, rounds: int = 25) -> Report:
    """`backout --help` and `--version` beside `kubectl version --client`."""
    kubectl, backout = peers.kubectl(), peers.backout()
    contenders = [
        Program("kubectl version --client", [kubectl, "version", "--client"]),
        Program("backout --version", [backout, "--version"]),
        Program("backout --help", [backout, "--help"]),
    ]
    samples = in_turns(contenders, rounds, warm=3, tell=tell)
    report = Report(
        "start",
        "Start of the command line",
        [
            f"{rounds} rounds after 3 to warm up, each: {', then '.join(f'`{c.name}`' for c in contenders)}; output to "
            "/dev/null. Wall clock from the spawn to the exit; processor time and memory by `wait4`."
        ],
        tools=[f"kubectl {machine.tool_version(kubectl)}"],
    )
    report.tables.append(compared(contenders, samples, peer=0))
    theirs = [sample.wall for sample in samples[0]]
    for contender, ours in zip(contenders[1:], samples[1:], strict=True):
        found = ratio([sample.wall for sample in ours], theirs)
        report.targets.append(
            Target(
                f"`{contender.name}` against `kubectl version --client`",
                f"at most {times(LIMIT)}",
                f"{times(found.of_medians)}",
                found.of_medians <= LIMIT,
            )
        )
    write_raw("start", RAW_HEAD, raw_rows(contenders, samples))
    return report
