# SPDX-License-Identifier: Apache-2.0
"""The report says what the run and its events say, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest
from a_run import CANARY, at, changed, event, plan, recovered

from backout.model.change import Changes
from backout.model.message import Message, msg
from backout.model.run import Failure, Run, RunEvent, RunState
from backout.report import render
from backout.report.writer import Writer, code, escape

GOLDEN = Path(__file__).parent


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_whole_document(lang: str) -> None:
    """Golden files; ``BACKOUT_UPDATE_GOLDEN=1`` writes them, to be read before they are committed."""
    run, events = recovered()
    text = render(run, events, lang)
    path = GOLDEN / f"recovered.{lang}.md"
    if os.environ.get("BACKOUT_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def ticks(text: str) -> dict[str, bool]:
    found = re.findall(r"^- \[([ x])\] ([^—\n]+?)(?: — .*)?$", text, re.MULTILINE)
    return {name: tick == "x" for tick, name in found}


def test_ticks_follow_the_evidence_alone() -> None:
    run, events = recovered()
    good = ticks(render(run, events))
    assert good["Pods running and ready"]
    assert good["Helm rollback"]
    for name in ("Services have ready addresses", "Remote write connected", "Metric queries answer", "S3 upload works"):
        assert not good[name], name
    run, events = recovered(workload_ready="fail", pvc_bound="unknown")
    bad = ticks(render(run, events))
    assert not bad["Pods running and ready"]
    assert not bad["PVCs Bound"]
    assert bad["No new restarts"]
    without = ticks(render(changed(run, verdict=None), []))
    assert not any(without[name] for name in ("Helm rollback", "Pods running and ready", "PVCs Bound"))
    assert not without["State backed up (objects and release records)"]


def test_every_line_that_is_not_ticked_says_why() -> None:
    run, events = recovered(pvc_bound="unknown")
    for line in render(run, events).splitlines():
        if line.startswith("- [ ]"):
            assert " — " in line, line


def test_a_step_that_failed_unticks_the_rollback_and_is_listed_as_left() -> None:
    run, events = recovered()
    events = [e for e in events if e.seq < 5]
    events += [
        event("step-started", 201, msg("replace"), 9, "replace"),
        event("step-failed", 210, msg("The pod was replaced by another."), 10, "replace", wrote=False),
    ]
    failure = Failure(code="partly-done", exit_code=8, message=msg("It failed: {why}", why="x"), hint=msg("look"))
    text = render(changed(run, state="failed", verdict=None, failure=failure), events)
    assert text.startswith("# Failed: the rollback of helm/thanos to revision 2 is incomplete")
    assert not ticks(text)["Helm rollback"]
    assert "- Not done: Replace pods of thanos-receive" in text
    assert "`backout undo" in text
    assert "> Next: look" in text


TITLES: list[tuple[RunState, str]] = [
    ("recovered", "# Recovered"),
    ("not-recovered", "# Not recovered"),
    ("unknown", "# Not proven"),
    ("aborted", "# Aborted"),
    ("interrupted", "# Interrupted"),
    ("running", "# In progress"),
    ("failed", "# Failed"),
]


@pytest.mark.parametrize(("state", "title"), TITLES)
def test_the_title_says_the_outcome(state: RunState, title: str) -> None:
    run, events = recovered()
    text = render(changed(run, state=state), events)
    assert text.startswith(title)
    if state != "recovered":
        assert "to recovery." not in text.split("## Timeline")[0]


def test_a_run_that_wrote_nothing_says_so() -> None:
    run, _ = recovered()
    events = [event("run-started", 190, msg("x"), 1), event("run-ended", 191, msg("Failed."), 2)]
    failure = Failure(code="wrong-cluster", exit_code=5, message=msg("Another cluster."))
    text = render(changed(run, state="failed", verdict=None, failure=failure, captures={}), events)
    assert text.startswith("# Refused: helm/thanos was not touched")
    assert "Nothing was written; the cluster is as it was found." in text
    assert "## Diff of the plan (not carried out)" in text
    assert "Nothing was written, so there is nothing to take back." in text


def test_an_undo_never_claims_health() -> None:
    run, events = recovered()
    undo = changed(run, undo_of="r0", operation=plan(undo_of="r0", problems=()))
    text = render(undo, events)
    assert text.startswith("# Taken back:")
    assert "that the restored state is healthy is not claimed" in text
    assert "Recovered" not in text
    assert "Before the change comes back" not in text


def test_a_cut_off_step_is_unknown_and_an_earlier_attempt_is_told_apart() -> None:
    run, events = recovered()
    cut = [e for e in events if e.seq <= 5]
    assert "cut off, outcome unknown" in render(changed(run, state="interrupted", verdict=None), cut)
    again = [
        msgspec.structs.replace(e, data={"changed": False, "earlierAttempt": True}) if e.seq == 6 else e for e in events
    ]
    again.append(event("resumed", 203, msg("Going on after an interruption."), 20))
    text = render(run, again)
    assert "done before the interruption" in text
    assert "Interruptions of the run: 1" in text


def test_no_secret_comes_through() -> None:
    run, events = recovered()
    leaking = Message(f"token={CANARY}", "token={t}", {"t": CANARY})
    run = changed(run, operation=plan(cause=Message(f"password={CANARY}"), risks=()))
    events = [*events, event("step-progress", 200, leaking, 30)]
    for lang in ("en", "ko"):
        assert CANARY not in render(run, events, lang)


def test_markdown_from_the_cluster_stays_text() -> None:
    run, events = recovered()
    evil = msg("<script>alert(1)</script> | [x](javascript:1) *b* `c|d` {n}", n=1)
    events = [msgspec.structs.replace(e, message=evil) if e.type == "step-done" else e for e in events]
    text = render(run, events)
    assert "<script>" not in text.replace("\\<", "")
    assert "[x](" not in text.replace("\\[", "")
    for line in text.splitlines():
        if line.startswith("| 1 |"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 6


def test_small_parts() -> None:
    assert code("a`b") == "``a`b``"
    assert code("") == ""
    assert escape("snake_case _x_ `a_b*`") == "snake_case \\_x\\_ \\`a_b\\*\\`"
    assert Writer("en").say("see `a_b*` {x}", x="`<b>`") == "see `a_b*` \\`\\<b\\>\\`"
    page = Writer("en")
    page.block(["x ```` y", "z" * 1000])
    lines = page.text().splitlines()
    assert lines[0] == "`````text"
    assert lines[-1] == "`````"
    assert len(lines[2]) == 300
    assert page.length(None) == "–"
    assert [page.length(at(s) - at(0)) for s in (0.04, 59.94, 61, 3600, 90000 * 2)] == [
        "0.0 s",
        "59.9 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 d 2 h",
    ]


def test_a_run_with_nothing_at_all_still_renders() -> None:
    run, _ = recovered()
    bare = Run(
        id="r",
        state="pending",
        started=at(0),
        operation=plan(problems=(), steps=(), checks=(), changes=Changes(), risks=(), why_good=(), current=None),
    )
    events: list[RunEvent] = []
    for lang in ("en", "ko"):
        assert render(bare, events, lang).startswith("#")
    assert run.id


def test_the_snapshot_before_the_run_is_named_or_why_there_is_none() -> None:
    run, events = recovered()
    id_ = "7f3a" * 8
    kept = event("snapshot", 191, msg("kept"), 2, snapshot=id_, objects=41)
    text = render(run, [*events, kept], "en")
    assert f"`{id_}`" in text and "(41 objects)" in text and f"backout snapshot diff {id_[:8]} live" in text
    skipped = event("snapshot-skipped", 191, msg("No snapshot was taken. Why: {why}", why="the *disk* is full"), 2)
    text = render(run, [*events, skipped], "en")
    # In the timeline and below the steps, escaped.
    assert text.count("No snapshot was taken. Why: the \\*disk\\* is full") == 2
    assert "is snapshot" not in render(run, events, "en") and "No snapshot" not in render(run, events, "en")
