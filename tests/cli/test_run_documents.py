# SPDX-License-Identifier: Apache-2.0
"""`run` with several plans, and what it prints: one document whatever happens, and nothing else on stdout."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from kubetwin.process import Twin

CHART = Path(__file__).parent / "tiny"


@pytest.fixture
def release(helm: Any, tools: dict[str, Path], twin: Twin, request: pytest.FixtureRequest) -> str:
    """A release of the test's own with two revisions, of which Helm says that the first one failed."""
    name = f"own-{abs(hash(request.node.name)) % 10**8}"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    helm("upgrade", name, str(CHART), "-n", name, "--set", "word=two")
    record = f"sh.helm.release.v1.{name}.v1"
    subprocess.run(
        [
            str(tools["kubectl"]),
            "--kubeconfig",
            str(twin.kubeconfig),
            "-n",
            name,
            "label",
            "--overwrite",
            "secret",
            record,
            "status=failed",
        ],
        check=True,
        timeout=600,
        capture_output=True,
    )
    return name


@pytest.fixture
def quick(backout: Shell, tmp_path: Path) -> Shell:
    """Without a soak: there is no pod to watch."""
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 0}\n")
    return backout


def head(helm: Any, release: str) -> int:
    return int(json.loads(helm("history", release, "-n", release, "-o", "json"))[-1]["revision"])


def arguments(release: str, *more: str) -> tuple[str, ...]:
    return ("run", f"helm/{release}", "--to", "1", "-n", release, *more)


KEY = "A key for your snapshots was made: "
APPROVED = ("--yes", "--approve", "not-proven-good")


def test_a_run_is_one_document(quick: Shell, release: str) -> None:
    answer = quick(*arguments(release, *APPROVED, "-o", "json"))
    # The first use of a key is explained, whatever the format.
    assert answer.code == 0 and KEY in answer.err
    (run,) = answer.document["items"]
    assert (answer.document["kind"], answer.document["exitCode"]) == ("RunOutcomeList", 0)
    assert (run["kind"], run["state"], run["exitCode"]) == ("Run", "recovered", 0)
    # What has ended is not called recovered once more: whoever resumes may mean a run that never began.
    error = quick.error("resume")
    assert (error["code"], run["id"] in error["message"]) == ("refused", True)
    undone = quick("undo", "--yes", "-o", "json")
    assert (undone.code, undone.document["kind"]) == (0, "Run")
    document = undone.document
    assert (document["state"], document["verdict"]["outcome"]) == ("taken-back", "taken-back")
    ends = [event["data"] for event in document["events"] if event["type"] in ("verdict", "run-ended")]
    assert [end.get("outcome") or end["state"] for end in ends] == ["taken-back", "taken-back"]
    states = [line["state"] for line in quick("runs", "-o", "json").document["items"]]
    assert states == ["taken-back", "recovered"], "an undo never recovers anything"
    assert "is reserved for this run" in undone.err, "how it goes is told beside the document"


def test_the_namespace_is_kept_before_each_run_and_the_run_says_where(quick: Shell, release: str) -> None:
    assert quick(*arguments(release, "--dry-run", "-o", "json")).code == 0
    assert not (quick.home / "data" / "snapshots").exists()
    (run,) = quick(*arguments(release, *APPROVED, "-o", "json")).document["items"]
    event = next(event for event in run["events"] if event["type"] == "snapshot")
    undone = quick("undo", "--yes", "-o", "json").document
    kept = quick("snapshot", "list", "-n", release, "-o", "json").document["items"]
    assert [(item["type"], item["run"]) for item in kept] == [("run", undone["id"]), ("run", run["id"])]
    assert kept[1]["id"] == event["data"]["snapshot"]
    assert not any(item["good"] for item in kept)
    short = kept[1]["id"][:8]
    assert short in quick("show", run["id"]).out and kept[1]["id"] in quick("report", run["id"]).out
    assert f"taken before the first write of run {run['id']}" in quick("snapshot", "show", short).out
    # What the run did is what differs from then: its record, and what it wrote.
    assert quick("snapshot", "diff", short, "live", "-n", release).code == 10
    # The id of a snapshot is a place to go back to.
    back = quick("plan", f"helm/{release}", "--to", short, "-n", release, "-o", "json")
    assert back.document["items"][0]["parts"][0]["revision"]["number"] == 2


def test_a_repository_that_can_not_be_used_stops_a_run_only_where_that_is_wanted(
    quick: Shell, release: str, helm: Any
) -> None:
    (quick.home / "data").mkdir()
    (quick.home / "data" / "snapshots").write_text("a file where a folder should be")
    must = "apiVersion: backout.dev/v1\nverify: {soak: 0}\nsnapshots: {before_run: always}\n"
    (quick.home / "must.yaml").write_text(must)
    refused = quick(*arguments(release, *APPROVED, "-o", "json", "--config", str(quick.home / "must.yaml")))
    assert refused.code == 5 and refused.document["items"][0]["failure"]["code"] == "capture"
    assert head(helm, release) == 2
    done = quick(*arguments(release, *APPROVED))
    assert done.code == 0 and "No snapshot of the namespace was taken" in done.err
    assert "No snapshot of the namespace was taken" in quick("report", "latest").out


def test_one_cluster_that_fails_does_not_stop_the_other(quick: Shell, release: str, helm: Any) -> None:
    both = ("--context", "cluster-01", "--context", "cluster-02", "-o", "json")
    answer = quick(*arguments(release, *APPROVED, *both))
    assert answer.code == 8 and KEY in answer.err
    assert answer.document["kind"] == "RunOutcomeList" and answer.document["exitCode"] == 8
    ((run,), (error,)) = answer.document["items"], answer.document["failed"]
    assert (run["kind"], run["state"], run["operation"]["parts"][0]["scope"]["cluster"]) == (
        "Run",
        "recovered",
        "cluster-01",
    )
    assert (error["kind"], error["cluster"], error["error"]["code"]) == ("Error", "cluster-02", "release-not-found")
    assert error["target"] == f"helm/{release}" and head(helm, release) == 3


def test_people_are_told_of_both(quick: Shell, release: str) -> None:
    answer = quick(*arguments(release, *APPROVED, "--context", "cluster-02", "--context", "cluster-01"))
    assert answer.code == 8
    assert f"Left out: helm/{release}" in answer.err and "1 of 2 were carried out" in answer.err


def test_a_context_that_does_not_exist_leaves_the_other_to_be_tried(quick: Shell, release: str) -> None:
    answer = quick(*arguments(release, *APPROVED, "--context", "cluster-01", "--context", "cluster-09", "-o", "json"))
    ((run,), (error,)) = answer.document["items"], answer.document["failed"]
    assert (run["state"], error["error"]["code"], answer.code) == ("recovered", "unknown-context", 8)


@pytest.mark.parametrize(
    ("more", "kind", "code"),
    [
        (("--yes",), "Error", 5),
        (("--yes", "--to", "7"), "Error", 4),
        ((), "Error", 5),
        (("--dry-run",), "DryRunList", 0),
        (("--dry-run", "--context", "cluster-01", "--context", "cluster-02"), "DryRunList", 4),
        (("--yes", "--context", "cluster-01", "--context", "cluster-02"), "RunOutcomeList", 5),
    ],
)
def test_what_is_not_carried_out_is_one_document_too(
    quick: Shell, release: str, helm: Any, more: tuple[str, ...], kind: str, code: int
) -> None:
    answer = quick(*arguments(release, *more, "-o", "json"))
    assert (answer.document["kind"], answer.code, answer.err) == (kind, code, "")
    assert head(helm, release) == 2


@pytest.fixture
def two_stuck(helm: Any, tools: dict[str, Path], twin: Twin) -> Iterator[None]:
    """Two releases of the second cluster that failed, and of which nothing shows what was good."""
    kubectl = [str(tools["kubectl"]), "--kubeconfig", str(twin.kubeconfig), "--context", "cluster-02"]
    for name in ("stuck-a", "stuck-b"):
        helm("install", name, str(CHART), "-n", name, "--create-namespace", "--kube-context", "cluster-02")
        helm("upgrade", name, str(CHART), "-n", name, "--set", "word=two", "--kube-context", "cluster-02")
        label = ["label", "--overwrite", "secret", f"sh.helm.release.v1.{name}.v2", "status=failed", "-n", name]
        subprocess.run([*kubectl, *label], check=True, timeout=600, capture_output=True)
    yield
    for name in ("stuck-a", "stuck-b"):
        helm("uninstall", name, "-n", name, "--kube-context", "cluster-02")


def test_all_that_is_broken_is_reported_though_nothing_of_it_can_go_back(quick: Shell, two_stuck: None) -> None:
    answer = quick("run", "-A", "--yes", "-o", "json", "--context", "cluster-02")
    assert (answer.code, answer.err, answer.document["kind"]) == (5, "", "RunOutcomeList")
    assert [(item["target"], item["namespace"], item["error"]["code"]) for item in answer.document["failed"]] == [
        ("helm/stuck-a", "stuck-a", "no-good-revision"),
        ("helm/stuck-b", "stuck-b", "no-good-revision"),
    ]


def typed(shell: Shell, text: str, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a command with a terminal on which ``text`` is typed."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "backout.cli.main", *words],
            env=shell.environment,
            cwd=shell.home,
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(master, text.encode())
        _, err = process.communicate(timeout=600)
        return process.returncode, err
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(("answers", "code", "revision"), [("yes\ny\n", 0, 3), ("y\ny\n", 5, 2), ("yes\nn\n", 0, 2)])
def test_a_risk_is_accepted_by_a_typed_yes(
    quick: Shell, release: str, helm: Any, answers: str, code: int, revision: int
) -> None:
    found, err = typed(quick, answers, *arguments(release))
    assert (found, head(helm, release)) == (code, revision), err
    assert "Type yes to accept that (not-proven-good)" in err


def test_hooks_are_a_matter_of_the_plan(quick: Shell, release: str, tmp_path: Path) -> None:
    document = quick("plan", f"helm/{release}", "--to", "1", "-n", release, "--no-hooks", "-o", "json").document[
        "items"
    ][0]["parts"][0]
    rollback = next(step for step in document["steps"] if step["action"] == "helm.rollback")
    assert rollback["params"]["no_hooks"] is True
    quick("plan", f"helm/{release}", "--to", "1", "-n", release, "--out", str(tmp_path / "plan.yaml"))
    assert quick.error("run", str(tmp_path / "plan.yaml"), "--no-hooks", "--yes")["code"] == "usage"
