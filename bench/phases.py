# SPDX-License-Identifier: Apache-2.0
"""Where the time of one rollback went: from the marks of the process, the events of the run and the watches. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

Mark = tuple[str, float, float]
HELM = "Steps: the helm program"
NAMES = (
    "Interpreter and command line",
    "Imports of the command",
    "Reading and diagnosis",
    "Planning",
    "Plan shown, tools found",
    "Engine launched",
    "Plan, cluster and rights checked",
    "Lease",
    "Capture",
    HELM,
    "Steps: the rest",
    "Verify, until all holds",
    "Soak",
    "Verdict",
    "Record, lease, engine closed, exit",
)


class Timeline(NamedTuple):
    """One run. ``phases`` follow one another; ``cluster`` lies within them."""

    phases: dict[str, float]
    until_verdict: float
    soak: float
    cluster: float
    cpu: float = 0.0
    """Seconds of processor time of the process and of the helm that it called."""
    alone: float = 0.0
    """Those of the process alone, its end included."""

    @property
    def helm(self) -> float:
        """How long the helm program ran in the steps: part of the own time."""
        return self.phases[HELM]

    @property
    def own(self) -> float:
        """Until the verdict, less what the cluster took to converge, less the soak."""
        return self.until_verdict - self.soak - self.cluster


def timeline(
    began: float,
    ended: float,
    marks: Sequence[Mark],
    events: Sequence[dict[str, Any]],
    watched: float,
    first_write: float,
    converged: float,
    cpu: float = 0.0,
    alone: float = 0.0,
) -> Timeline:
    """The phases in order; all arguments but ``watched`` (seconds of soak) are seconds since 1970.

    Raises:
        ValueError: a mark or an event is missing.
    """
    helm = [(a, b) for name, a, b in marks if name == "run"]
    first_step, last_step = _event(events, "step-started"), _event(events, "step-done", last=True)
    in_helm = sum(b - a for a, b in helm if a >= first_step)
    verdict = _event(events, "verdict", last=True)
    soaked = _event(events, "soak", last=True) if watched else last_step
    edges = [
        began,
        _mark(marks, "main")[1],
        _mark(marks, "diagnose")[0],
        _mark(marks, "diagnose")[1],
        _mark(marks, "make_operation")[1],
        _mark(marks, "carry_out")[0],
        _event(events, "run-started"),
        _mark(marks, "PartStages._take_lock")[0],
        _mark(marks, "PartStages._take_lock")[1],
        first_step,
    ]
    lengths = [after - before for before, after in pairwise(edges)]
    lengths += [in_helm, last_step - first_step - in_helm, soaked - last_step, watched, verdict - soaked - watched]
    lengths.append(ended - verdict)
    cluster = max(0.0, converged - first_write)
    return Timeline(dict(zip(NAMES, lengths, strict=True)), verdict - began, watched, cluster, cpu, alone)


def _mark(marks: Sequence[Mark], name: str) -> tuple[float, float]:
    for found, begin, end in marks:
        if found == name:
            return begin, end
    raise ValueError(f"no mark {name}")


def _event(events: Sequence[dict[str, Any]], type: str, *, last: bool = False) -> float:
    found = [datetime.fromisoformat(event["at"]).timestamp() for event in events if event["type"] == type]
    if not found:
        raise ValueError(f"no event {type}")
    return found[-1] if last else found[0]
