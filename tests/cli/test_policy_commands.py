# SPDX-License-Identifier: Apache-2.0
"""Policy by the command line: what is refused, with which code; what is overridden, and where that stands afterwards."""

from __future__ import annotations

from backout_shell import Shell

ALWAYS = "{name: change freeze, days: [mon, tue, wed, thu, fri, sat, sun]}"


def test_in_a_freeze_window_a_run_is_refused_unless_somebody_says_why_not(backout: Shell, release: str) -> None:
    (backout.home / "backout.yaml").write_text(f"policy: {{freeze: [{ALWAYS}]}}\nverify: {{soak: 0}}\n")
    here = (f"helm/{release}", "--to", "4", "-n", release)
    planned = backout("plan", *here)
    assert planned.code == 0 and "By policy it would be refused: Nothing is begun on" in planned.out
    words = ("run", *here, "--yes", "--approve", "not-proven-good")
    refused = backout.error(*words)
    assert (refused["code"], refused["exitCode"]) == ("frozen", 5) and "change freeze, until" in refused["message"]
    assert backout("runs").out == "No run yet.\n"
    done = backout(*words, "--override-freeze", "the shop is down", "-o", "json")
    assert done.code == 0, done.err
    run = done.document["items"][0]
    assert [e["data"]["reason"] for e in run["events"] if e["type"] == "freeze-overridden"] == ["the shop is down"]
    for command in ("show", "report"):
        assert "lets it begin in a freeze window: the shop is down" in backout(command, run["id"]).out
    undone = backout("undo", run["id"], "--yes", "-o", "json")
    assert undone.code == 0, "what takes a run back is not held up"


def test_nobody_in_time_is_a_no_and_a_limit_is_a_limit(backout: Shell, release: str) -> None:
    config = backout.home / "backout.yaml"
    config.write_text("policy: {approvals: 1, approval_timeout: 1}\nverify: {soak: 0}\n")
    words = ("run", f"helm/{release}", "--to", "4", "-n", release, "--yes", "--approve", "not-proven-good")
    late = backout(*words, "--wait-approval", "-o", "json")
    (run,) = late.document["items"]
    assert (late.code, run["state"], run["failure"]["code"]) == (5, "aborted", "not-approved"), late.err
    assert backout.error("approve", run["id"], "--reason", "x")["code"] == "not-approved"
    assert backout("audit", "verify").code == 0
    config.write_text("policy: {limits: {namespaces: ['shop-*']}}\n")
    assert backout.error(*words)["code"] == "over-limit"
    config.write_text("policy: {freeze: [{days: [fri], zone: Nowhere}]}\n")
    assert backout.error("runs")["code"] == "config"
