# SPDX-License-Identifier: Apache-2.0
"""`helm rollback --wait` and `backout run` where pods take as long to start as they do on real nodes."""

from __future__ import annotations

from bench import machine, peers
from bench.compare import RAW_HEAD
from bench.helm import succeeds
from bench.measure import Failed
from bench.places import places
from bench.report import Raw, Report, Tell, prose, write_raw

START = 5.0
"""Seconds from the assignment of a pod to its containers: the image is there, and the program reads its state."""

METHOD = """
As before, on an embedded cluster of its own whose pods take {start:g} s to start. The third revision is a healthy
one, so that every pod of the release is replaced, the three of the OrderedReady StatefulSet one after another. The
newest helm, {rounds} rounds, since each takes minutes.
"""


def measure(tell: Tell, *, rounds: int = 3) -> Report:
    """The embedded cluster only: a simulated kubelet of its own can be told how slow to be."""
    helms = peers.helms()
    if not helms:
        raise Failed("helm is not installed (`python -m backout.tools` brings it)")
    major = max(helms)
    report = Report(
        "helm_slow",
        "Beside helm rollback, with slow pods",
        [prose(METHOD, start=START, rounds=rounds)],
        tools=[f"helm {machine.tool_version(helms[major])}"],
    )
    raw: Raw = []
    with places({"start_delay": START}) as found:
        succeeds(report, raw, found[0], major, helms[major], "slow", rounds, tell)
    write_raw("helm_slow", ("cluster", "helm", "scenario", *RAW_HEAD), raw)
    return report
