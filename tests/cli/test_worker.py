# SPDX-License-Identifier: Apache-2.0
"""`run --detach` and `worker`: what was submitted is carried out, whoever dies; a worker that is told to stop leaves nothing half
done."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from backout_shell import Shell
from tests.clocks import skewed
from tests.postgres import PASSWORD, Server, server

from backout.engine.store.naming import describe
from backout.engine.store.opening import open_store
from backout.model.run import ENDED

CHART = Path(__file__).parent / "tiny"
PATIENCE = 300.0


@pytest.fixture
def release(helm: Any, request: pytest.FixtureRequest) -> str:
    """A release of the test's own with two revisions."""
    name = f"work-{abs(hash(request.node.name)) % 10**8}"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    helm("upgrade", name, str(CHART), "-n", name, "--set", "word=two")
    return name


@pytest.fixture
def shared(backout: Shell) -> Shell:
    """The command with a PostgreSQL of the test's own."""
    url = server().url(server().database())
    return dataclasses.replace(backout, environment={**backout.environment, "BACKOUT_STATE": url})


@pytest.fixture
def workers(shared: Shell) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        one.kill()
        one.communicate()


def submitted(shell: Shell, release: str, *, soak: int = 0, more: tuple[str, ...] = ()) -> str:
    (shell.home / "backout.yaml").write_text(f"apiVersion: backout.dev/v1\nverify: {{soak: {soak}}}\n")
    words = ["run", f"helm/{release}", "--to", "1", "-n", release, "--yes", "--approve", "not-proven-good"]
    answer = shell(*words, "--soak", str(soak), "--detach", "-o", "json", *more)
    assert answer.code == 0, answer.err
    (run,) = answer.document["runs"]
    return str(run)


def worker(shell: Shell, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "backout.cli.main", "worker", *arguments],
        env=shell.environment, cwd=shell.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def events(shell: Shell, run: str) -> list[str]:
    with open_store(shell.environment["BACKOUT_STATE"]) as store:
        return [event.type for event in store.events(run)]


def until(shell: Shell, run: str, type: str) -> None:
    end = time.monotonic() + PATIENCE
    while type not in events(shell, run):
        assert time.monotonic() < end, f"no event {type}"
        time.sleep(0.05)


def state(shell: Shell, run: str) -> dict[str, Any]:
    return shell("show", run, "-o", "json").document


def revisions(helm: Any, release: str) -> list[str]:
    return [entry["description"] for entry in json.loads(helm("history", release, "-n", release, "-o", "json"))]


def test_a_worker_whose_clock_is_an_hour_ahead_carries_a_run_out(shared: Shell, release: str, helm: Any) -> None:
    run = submitted(shared, release)
    ahead = worker(dataclasses.replace(shared, environment={**shared.environment, **skewed(1)}), "--until-idle")
    _, log = ahead.communicate(timeout=600)
    assert ahead.returncode == 0, log
    assert state(shared, run)["state"] == "recovered", log


def test_what_policy_wants_approved_waits_for_it_and_what_overlaps_is_refused(
    shared: Shell, release: str, helm: Any
) -> None:
    config = shared.home / "backout.yaml"
    policy = "policy: {approvals: 1, self_approval: true}\nverify: {soak: 0}\n"
    config.write_text(policy)
    words = ["run", f"helm/{release}", "--to", "1", "-n", release, "--yes", "--approve", "not-proven-good"]
    refused = shared.error(*words)
    assert refused["code"] == "not-approved" and "--wait-approval" in refused["hint"]
    plan = shared.home / "plan.yaml"
    assert shared("plan", f"helm/{release}", "--to", "1", "-n", release, "--out", str(plan)).code == 0
    assert "By policy, other people have to approve it first: 1." in plan.read_text()
    (run,) = shared("run", str(plan), *words[6:], "--detach", "-o", "json").document["runs"]
    assert "waits for approval" in shared("runs").out
    assert worker(shared, "--until-idle").wait(timeout=600) == 0
    assert state(shared, run)["state"] == "pending", "nobody begins it"
    overlap = shared.error(*words, "--detach")
    assert (overlap["code"], overlap["exitCode"]) == ("locked", 6) and run in overlap["message"]
    config.write_text(policy.replace(", self_approval: true", ""))
    assert shared.error("approve", run, "--reason", "x")["code"] == "not-approved", "one's own"
    config.write_text(policy)
    given = shared("approve", str(plan), "--reason", "the shop is down", "-o", "json")
    assert (given.code, given.document["run"], given.document["missing"]) == (0, run, 0)
    assert shared.error("approve", run, "--reason", "again")["code"] == "not-approved"
    done = worker(shared, "--until-idle")
    _, log = done.communicate(timeout=600)
    assert state(shared, run)["state"] == "recovered", log
    assert revisions(helm, release)[-1] == "Rollback to 1"
    for command in (("show", run), ("report", run), ("runs",)):
        assert "the shop is down" in shared(*command).out, command
    assert shared("audit", "verify").code == 0


def test_what_is_submitted_is_carried_out_by_a_worker(shared: Shell, release: str, helm: Any) -> None:
    run = submitted(shared, release)
    before = state(shared, run)
    assert before["state"] == "pending" and len(revisions(helm, release)) == 2, "nothing was begun"
    done = worker(shared, "--until-idle")
    _, log = done.communicate(timeout=600)
    assert done.returncode == 0, log
    after = state(shared, run)
    assert (after["state"], after["actor"]) == ("recovered", before["actor"])
    assert revisions(helm, release)[-1] == "Rollback to 1"
    assert f"{run} Taken: helm/{release}" in log and f"{run} Ended: recovered" in log
    assert PASSWORD not in log
    again = worker(shared, "--until-idle")
    _, log = again.communicate(timeout=600)
    assert (again.returncode, "Taken" in log) == (0, False)


@pytest.mark.parametrize("moment", ["step-started", "step-done"])
def test_a_run_whose_worker_dies_is_taken_over_and_each_step_is_done_once(
    shared: Shell, release: str, helm: Any, workers: list[subprocess.Popen[str]], moment: str
) -> None:
    run = submitted(shared, release, soak=2)
    workers.append(worker(shared))
    until(shared, run, moment)
    workers[0].kill()
    workers[0].communicate()
    other = worker(shared, "--until-idle")
    _, log = other.communicate(timeout=600)
    assert other.returncode == 0, log
    assert state(shared, run)["state"] == "recovered", log
    assert revisions(helm, release)[-1] == "Rollback to 1"
    assert len(revisions(helm, release)) in (3, 4), "at most a revision that the killed helm left pending"


def test_a_worker_that_is_told_to_stop_does_so_at_a_safe_point_and_another_goes_on(
    shared: Shell, release: str, helm: Any, workers: list[subprocess.Popen[str]]
) -> None:
    run = submitted(shared, release, soak=15)
    workers.append(worker(shared))
    until(shared, run, "soak")
    workers[0].send_signal(signal.SIGTERM)
    _, log = workers[0].communicate(timeout=600)
    assert workers[0].returncode == 0, log
    assert "Stopping at the next step" in log and "nothing is under way here" in log
    assert state(shared, run)["state"] == "interrupted"
    other = worker(shared, "--until-idle")
    _, log = other.communicate(timeout=600)
    assert state(shared, run)["state"] == "recovered", log
    assert revisions(helm, release) == ["Install complete", "Upgrade complete", "Rollback to 1"]


def test_an_operation_over_many_clusters_goes_on_in_its_waves_when_its_worker_dies(
    shared: Shell, helm: Any, workers: list[subprocess.Popen[str]]
) -> None:
    name, both = "wide-work", ("cluster-01", "cluster-02")
    for cluster in both:
        for word in ("one", "two"):
            where = ("--kube-context", cluster, "-n", name, "--create-namespace", "--set", f"word={word}")
            helm("upgrade", "--install", name, str(CHART), *where)
    settings = "clusters: {cluster-01: {}, cluster-02: {}}\nverify: {soak: 0.5}\nfleet: {gate: {soak: 1}}\n"
    (shared.home / "backout.yaml").write_text(f"apiVersion: backout.dev/v1\n{settings}")
    words = ("--to", "1", "-n", name, "--context", "all", "--wave", "1,rest", "--yes", "--approve", "not-proven-good")
    answer = shared("run", f"helm/{name}", *words, "--detach", "-o", "json")
    assert answer.code == 0, answer.err
    (run,) = answer.document["runs"]
    for wave in (1, 2):
        workers.append(worker(shared))
        with open_store(shared.environment["BACKOUT_STATE"]) as store:
            end = time.monotonic() + PATIENCE
            while not (told := [event for event in store.events(run) if event.type == "step-started"]) or (
                wave == 2 and len({event.part for event in told}) < 2
            ):
                assert time.monotonic() < end and workers[-1].poll() is None, told
                time.sleep(0.05)
        workers[-1].kill()
        workers[-1].communicate()
    last = worker(shared, "--until-idle")
    _, log = last.communicate(timeout=600)
    assert last.returncode == 0, log
    document = state(shared, run)
    assert document["state"] == "recovered", log
    assert [(part["cluster"], part["state"]) for part in document["parts"]] == [(one, "recovered") for one in both]
    acts = [
        (event["part"], event["step"])
        for event in document["events"]
        if event["type"] == "step-done" and event["data"].get("changed")
    ]
    assert len(acts) == len(set(acts)), "each step of each part was done once"
    for cluster in both:
        found = json.loads(helm("get", "values", name, "-n", name, "--kube-context", cluster, "-o", "json"))
        assert found == {"word": "one"}


def test_workers_that_are_killed_and_a_database_that_restarts(
    shared: Shell, helm: Any, workers: list[subprocess.Popen[str]], request: pytest.FixtureRequest
) -> None:
    """Two workers share four runs; each run loses its worker once, in a step, and the database restarts twice meanwhile."""
    own = Server()
    request.addfinalizer(own.remove)
    url = own.url(own.database())
    shell = dataclasses.replace(shared, environment={**shared.environment, "BACKOUT_STATE": url})
    runs: dict[str, str] = {}
    for number in range(4):
        name = f"many-{number}"
        helm("install", name, str(CHART), "-n", name, "--create-namespace")
        helm("upgrade", name, str(CHART), "-n", name, "--set", "word=two")
        runs[submitted(shell, name, soak=3)] = name
    killed: list[str] = []
    end = time.monotonic() + 2 * PATIENCE
    with open_store(url, create=True) as store:
        while any(store.get(run).state not in ENDED or store.owners.unfinished(run) for run in runs):
            assert time.monotonic() < end, {run: store.get(run).state for run in runs}
            workers[:] = [one for one in workers if one.poll() is None]
            while len(workers) < 2:
                workers.append(worker(shell, "--per-cluster", "0"))
            for run in runs:
                types = [event.type for event in store.events(run)]
                if run in killed or "step-started" not in types or "run-ended" in types:
                    continue
                with psycopg.connect(url) as connection:
                    row = connection.execute("SELECT process FROM backout.owners WHERE run=%s", (run,)).fetchone()
                pid = int(describe(row[0])["pid"]) if row else 0
                for one in workers:
                    if one.pid == pid:
                        one.kill()
                        one.communicate()
                        killed.append(run)
                        if len(killed) in (1, 3):
                            own.restart()
            time.sleep(0.05)
        for run, name in runs.items():
            assert store.get(run).state == "recovered"
            acts = [e.step for e in store.events(run) if e.type == "step-done" and e.data.get("changed")]
            assert len(acts) == len(set(acts)), "each step was done once"
            assert revisions(helm, name)[-1] == "Rollback to 1"
    assert killed, "a worker died"


def test_an_idle_worker_stops_at_once(shared: Shell, workers: list[subprocess.Popen[str]]) -> None:
    workers.append(worker(shared))
    assert workers[0].stderr is not None
    assert "Waiting for runs on" in workers[0].stderr.readline()
    workers[0].send_signal(signal.SIGINT)
    workers[0].communicate(timeout=600)
    assert workers[0].returncode == 0


def test_workers_need_a_shared_database(backout: Shell, release: str) -> None:
    error = backout.error("worker")
    assert (error["code"], error["exitCode"]) == ("config", 3) and "share" in error["message"]
    words = ["run", f"helm/{release}", "--to", "1", "-n", release, "--yes", "--approve", "not-proven-good", "--detach"]
    assert backout.error(*words)["code"] == "config"
    assert backout("runs", "-o", "json").document["items"] == [], "nothing is left half submitted"


def test_a_priority_is_for_workers_alone(backout: Shell) -> None:
    assert backout.error("run", "helm/x", "--priority", "1")["exitCode"] == 2
    assert backout.error("run", "helm/x", "--detach", "--dry-run")["exitCode"] == 2
