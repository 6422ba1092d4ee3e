# SPDX-License-Identifier: Apache-2.0
"""The model: what must be true once a way back by the command line is over, however often it was killed.

I1 the end is the good state, or the one from before, and named; I2 no effect is done twice; I3 no success is claimed that is not there;
I4 what was there is kept before the first write; I5 intent and outcome of each step; I6 no secret; I7 in bounded time; I8 nothing is
left held.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kill_stories import SECRET, Story

from backout.engine.store.opening import open_store
from backout.model.run import ENDED, Run
from backout.snapshots.capture import CaptureStore

COUNTED = ("ready", "generation")


def runs_of(ns: str) -> list[dict[str, Any]]:
    """The runs in a namespace, oldest first: which are over, and which take another one back."""
    with open_store() as store:
        mine = [s for s in reversed(store.summaries(-1)) if any(aim.namespace == ns for aim in s.aims)]
        return [
            {
                "id": s.id,
                "over": s.state in ENDED and not store.owners.unfinished(s.id),
                "state": s.state,
                "undo": bool(s.undo_of),
            }
            for s in mine
        ]


def judged(story: Story, ns: str, folder: Path, was: dict[str, Any], now: dict[str, Any], cut: int) -> list[str]:
    """The invariants that do not hold. ``was``: the looks before and after the change; ``now``: at the end. ``cut``: how often a life
    was killed while a program of it may have been at work."""
    found: list[str] = []
    with open_store() as store:
        runs = [store.get(run["id"]) for run in runs_of(ns)]
        for run in runs:
            found += _of_run(story, run, store.events(run.id), folder)
        # Seeds share a database, and one that could not be played may have left something.
        if left := sorted({run.id for run in runs} & set(store.owners.orphans())):
            found.append(f"I8: nobody's: {left}")
    last = runs[-1]
    wanted = was["bad"] if last.undo_of else was["good"]
    for name, state in now["look"].items():
        if name == "revisions":
            found += _revisions(was["bad"]["revisions"], state, len(runs), cut)
            continue
        if _but_counts(state) != _but_counts(wanted[name]):
            found.append(f"I1: {name} is {state}, wanted {wanted[name]}")
        if not last.undo_of and isinstance(state, dict) and state.get("ready", 0) != state.get("replicas", 0):
            found.append(f"I3: recovered, but {name} is not ready: {state}")
        if name in story.writes:
            made = state["generation"] - was["bad"][name]["generation"]
            if made != story.writes[name] * len(runs):
                found.append(f"I2: {name} was written {made} times instead of {story.writes[name]} for each run")
    if now["leases"]:
        found.append(f"I8: leases are held: {now['leases']}")
    for path in folder.rglob("*"):
        if path.is_file() and SECRET.encode() in path.read_bytes():
            found.append(f"I6: the secret is in {path.relative_to(folder)}")
    return found


def _but_counts(state: Any) -> Any:
    return {k: v for k, v in state.items() if k not in COUNTED} if isinstance(state, dict) else state


def _of_run(story: Story, run: Run, events: list[Any], folder: Path) -> list[str]:
    found: list[str] = []
    if (run.state, run.verdict and run.verdict.outcome) != ("recovered", "recovered"):
        found.append(f"I1: run {run.id} is {run.state}: {run.failure.message.text if run.failure else ''}")
    types = [event.type for event in events]
    for once in ("run-started", "run-ended", "snapshot"):
        if types.count(once) != 1:
            found.append(f"I5: {once} is told {types.count(once)} times")
    for part in run.operation.parts:
        kept = run.captures.get(part.id)
        if kept is None or not CaptureStore(folder / "data").load(run.id, kept.digest):
            found.append("I4: nothing was kept")
        if "step-started" in types and types.index("captured") > types.index("step-started"):
            found.append("I4: it was kept after the first write")
        planned = {step.action for step in part.steps}
        says = story.undoes if run.undo_of else story.actions
        if not says <= planned:
            found.append(
                f"the story does not play {', '.join(sorted(says - planned))}, but {', '.join(sorted(planned))}"
            )
        for step in part.steps:
            mine = [event for event in events if event.step == step.id]
            started = [event for event in mine if event.type == "step-started"]
            done = [event for event in mine if event.type == "step-done"]
            if not started or len(done) != 1:
                found.append(f"I5: {step.id} began {len(started)} times and was done {len(done)} times")
    if SECRET in " ".join(repr(event) for event in events):
        found.append("I6: the secret is in an event")
    return found


def _revisions(before: list[Any], after: list[Any], runs: int, cut: int) -> list[str]:
    found: list[str] = []
    statuses = [status for _, status in after]
    if statuses.count("deployed") != 1 or statuses[-1] != "deployed":
        found.append(f"I1: Helm's revisions are {after}")
    # A helm that was killed once it had made its record can't be gone on with: the next one makes another one.
    made = len(after) - len(before)
    if not runs <= made <= runs + cut:
        found.append(f"I2: {made} revisions were made by {runs} runs of which {cut} helms were cut off")
    return found
