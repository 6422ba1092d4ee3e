# SPDX-License-Identifier: Apache-2.0
"""`abort` and `show --follow`: what is said of a run is true, whether a process is at work on it or not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from backout.engine.store.sqlite.runs import SqliteRunStore

CHART = Path(__file__).parent / "tiny"
PATIENCE = 120.0


@pytest.fixture
def release(helm: Any, request: pytest.FixtureRequest) -> str:
    """A release of the test's own with two revisions."""
    name = f"own-{abs(hash(request.node.name)) % 10**8}"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    helm("upgrade", name, str(CHART), "-n", name, "--set", "word=two")
    return name


def begun(shell: Shell, release: str, *, soak: int) -> subprocess.Popen[str]:
    """A run of its own process."""
    (shell.home / "backout.yaml").write_text(f"apiVersion: backout.dev/v1\nverify: {{soak: {soak}}}\n")
    words = ["run", f"helm/{release}", "--to", "1", "-n", release, "--yes", "--approve", "not-proven-good"]
    return subprocess.Popen(
        [sys.executable, "-m", "backout.cli.main", *words],
        env=shell.environment,
        cwd=shell.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(shell: Shell, type: str) -> str:
    """The id of the run, once an event of that type is recorded."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if (shell.home / "state.db").exists():
            with SqliteRunStore(shell.home / "state.db") as store:
                for run in store.summaries(1):
                    if any(event.type == type for event in store.events(run.id)):
                        return run.id
        time.sleep(0.05)
    raise AssertionError(f"no event {type}")


def leases(helm: Any, shell: Shell, tools: dict[str, Path], release: str) -> list[dict[str, Any]]:
    words = [str(tools["kubectl"]), "--kubeconfig", str(shell.kubeconfig), "get", "leases", "-n", release, "-o", "json"]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)
    return [item for item in found["items"] if (item["spec"].get("holderIdentity") or "")]


@pytest.mark.parametrize("moment", ["run-started", "lease-acquired", "step-done"])
def test_a_run_that_nobody_is_at_work_on_ends_at_once_and_lets_go(
    backout: Shell, helm: Any, tools: dict[str, Path], release: str, moment: str
) -> None:
    process = begun(backout, release, soak=600)
    run = until(backout, moment)
    process.kill()
    process.communicate(timeout=60)
    with SqliteRunStore(backout.home / "state.db") as store:
        before = [event.type for event in store.events(run)]
    answer = backout("abort", run, "-o", "json")
    assert answer.code == 0, answer.err
    after = [event["type"] for event in backout("show", run, "-o", "json").document["events"]]
    if "step-started" not in before:
        assert answer.document["state"] == "aborted"
        # Nothing more is prepared for what will not be done.
        for type in ("lease-acquired", "snapshot", "captured", "step-started"):
            assert after.count(type) == before.count(type), (before, after)
    else:
        assert answer.document["state"] == "aborted"
    assert not leases(helm, backout, tools, release)
    assert backout.error("resume", run)["code"] == "refused"
    if "step-done" in before:
        assert backout("undo", run, "--yes", "-o", "json").code == 0


def test_a_run_under_way_is_followed_to_its_end(backout: Shell, release: str) -> None:
    process = begun(backout, release, soak=3)
    run = until(backout, "run-started")
    followed = backout("show", run, "--follow")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "recovered" in followed.out, "it waits for the end"
    assert "Helm" in followed.err, "events come as in the process that carries it out"
    document = backout("show", run, "--follow", "-o", "json").document
    assert document["state"] == "recovered", "a run that has ended is shown at once"
    refused = backout.error("abort", run)
    assert (refused["code"], refused["exitCode"]) == ("refused", 5)


def test_a_run_that_only_watches_stops_too(backout: Shell, release: str) -> None:
    process = begun(backout, release, soak=600)
    run = until(backout, "soak")
    answer = backout("abort", run)
    assert "stops at its next step" in answer.err
    process.communicate(timeout=PATIENCE)
    document = backout("show", run, "-o", "json").document
    assert document["state"] == "aborted"
    assert backout("undo", run, "--yes").code == 0, "what it changed stays, and can be taken back"


def test_a_run_whose_process_died_is_not_waited_for(backout: Shell, release: str) -> None:
    process = begun(backout, release, soak=600)
    run = until(backout, "lease-acquired")
    process.kill()
    process.communicate(timeout=60)
    assert backout("show", run, "-f", "-o", "json").document["state"] == "interrupted"
