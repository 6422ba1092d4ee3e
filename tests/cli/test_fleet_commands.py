# SPDX-License-Identifier: Apache-2.0
"""One operation over two embedded clusters by the command line: plan, run, show, undo of one and of the rest, and what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from backout_shell import Shell

from kubetwin.process import Twin

CHART = Path(__file__).parent / "tiny"
BOTH = ("cluster-01", "cluster-02")
_COUNT = itertools.count(1)


@pytest.fixture
def everywhere(helm: Any) -> str:
    """A release of the test's own on both clusters, with another number of revisions on each."""
    name = f"wide-{next(_COUNT)}"
    for words, cluster in zip((("one", "two"), ("one", "two", "three")), BOTH, strict=True):
        for word in words:
            where = ("--kube-context", cluster, "-n", name)
            helm("upgrade", "--install", name, str(CHART), *where, "--create-namespace", "--set", f"word={word}")
    return name


@pytest.fixture
def fleet(backout: Shell, everywhere: str) -> Iterator[Shell]:
    """With a configuration that knows both clusters, and one that is not there any more."""
    clusters = {name: {"context": name, "labels": {"role": "edge"}} for name in BOTH}
    stacks = {"own": {"namespace": everywhere, "clusters": list(BOTH)}}
    settings = {"clusters": clusters, "stacks": stacks, "verify": {"soak": 0.2}, "fleet": {"gate": {"soak": 0.3}}}
    (backout.home / "backout.yaml").write_text(yaml.safe_dump(settings))
    yield backout


def run_of(release: str, *more: str) -> tuple[str, ...]:
    return ("run", f"helm/{release}", "--to", "1", "--yes", "--approve", "not-proven-good", *more, "-o", "json")


def word(helm: Any, release: str, cluster: str) -> str:
    found = helm("get", "values", release, "-n", release, "--kube-context", cluster, "-o", "json")
    return str(yaml.safe_load(found)["word"])


def test_from_the_plan_to_the_undo_of_one_cluster_and_of_the_rest(fleet: Shell, everywhere: str, helm: Any) -> None:
    plan = fleet("plan", f"helm/{everywhere}", "--to", "1", "--stack", "own", "--wave", "1,rest", "-o", "json")
    assert plan.code == 0, plan.err
    (operation,) = plan.document["items"]
    assert [part["current"]["number"] for part in operation["parts"]] == [2, 3], "each has its own"
    assert [wave["parts"] for wave in operation["fleet"]["waves"]] == [[f"{name}/helm/{everywhere}"] for name in BOTH]

    done = fleet(*run_of(everywhere, "--stack", "own", "--wave", "1,rest"))
    assert done.code == 0, done.err
    (run,) = done.document["items"]
    assert [(part["cluster"], part["state"], part["wave"]) for part in run["parts"]] == [
        ("cluster-01", "recovered", 1),
        ("cluster-02", "recovered", 2),
    ]
    assert [word(helm, everywhere, name) for name in BOTH] == ["one", "one"]
    shown = fleet("show", run["id"]).out
    assert "2 recovered" in shown and "Wave 2 of 2: cluster-02" in shown and "Roll the release back" not in shown
    assert "Roll the release back" in fleet("show", run["id"], "-v").out or "back to revision" in shown

    one = fleet("undo", run["id"], "--cluster", "cluster-02", "--yes", "-o", "json")
    assert one.code == 0, one.err
    assert [(part["cluster"], part["state"]) for part in one.document["parts"]] == [("cluster-02", "taken-back")]
    assert [word(helm, everywhere, name) for name in BOTH] == ["one", "three"]
    assert fleet.error("undo", run["id"], "--cluster", "cluster-09", "--yes")["exitCode"] == 4
    rest = fleet("undo", run["id"], "--yes", "-o", "json")
    assert [(part["cluster"], part["state"]) for part in rest.document["parts"]] == [("cluster-01", "taken-back")]
    assert [word(helm, everywhere, name) for name in BOTH] == ["two", "three"]
    assert fleet("show", run["id"], "-o", "json").document["undoneBy"] == rest.document["id"]


def test_a_plan_of_which_one_part_was_edited_is_not_run(fleet: Shell, everywhere: str, helm: Any) -> None:
    path = fleet.home / "plan.yaml"
    assert fleet("plan", f"helm/{everywhere}", "--to", "1", "--stack", "own", "--out", str(path)).code == 0
    path.write_text(path.read_text().replace("parallel: 10", "parallel: 400", 1))
    assert fleet.error("run", str(path), "--yes")["code"] == "plan-changed"
    assert [word(helm, everywhere, name) for name in BOTH] == ["two", "three"]


@pytest.fixture
def gone(fleet: Shell, twin: Twin) -> str:
    """A kubeconfig with a third context that leads to a port where nobody listens."""
    known = yaml.safe_load(twin.kubeconfig.read_text())
    cluster = {"name": "gone", "cluster": {**known["clusters"][0]["cluster"], "server": "https://127.0.0.1:9"}}
    context = {"name": "gone", "context": {**known["contexts"][0]["context"], "cluster": "gone"}}
    known["clusters"].append(cluster)
    known["contexts"].append(context)
    path = fleet.home / "kubeconfig"
    path.write_text(yaml.safe_dump(known))
    path.chmod(0o600)
    return str(path)


def test_a_cluster_without_an_answer_is_in_the_plan_as_not_planned(
    fleet: Shell, everywhere: str, gone: str, helm: Any
) -> None:
    where = ("--context", "cluster-01", "--context", "gone", "-n", everywhere, "--kubeconfig", gone)
    planned = fleet("plan", f"helm/{everywhere}", "--to", "1", *where, "-o", "json")
    (operation,) = planned.document["items"]
    (missing,) = operation["fleet"]["notPlanned"]
    assert (planned.code, missing["cluster"], missing["code"]) == (1, "gone", "cluster-unreachable")
    refused = fleet(*run_of(everywhere, *where, "--unplanned", "refuse"))
    assert (refused.code, refused.document["error"]["code"]) == (5, "refused")
    assert word(helm, everywhere, "cluster-01") == "two"
    unknown = fleet("plan", f"helm/{everywhere}", "--to", "1", *where, "--context", "nope", "-o", "json")
    assert (unknown.code, [one["error"]["code"] for one in unknown.document["failed"]]) == (
        1,
        ["cluster-unreachable", "unknown-context"],
    )
    without = fleet(*run_of(everywhere, *where))
    assert without.code == 8, "it is said that one was left out"
    assert [part["state"] for part in without.document["items"][0]["parts"]] == ["recovered"]
    assert word(helm, everywhere, "cluster-01") == "one"


def test_a_cluster_without_an_answer_hides_nothing_of_the_others_and_is_not_called_healthy(
    fleet: Shell, everywhere: str, gone: str
) -> None:
    where = ("--context", "gone", "--context", "cluster-01", "-n", everywhere, "--kubeconfig", gone)
    for command in ("diagnose", "status", "changes", "verify"):
        answer = fleet(command, *where, "-o", "json")
        away, there = answer.document["items"]
        assert (answer.code, away["cluster"], there["cluster"]) == (7, "gone", "cluster-01"), command
        assert ["can't be reached" in blind["text"] for blind in away["blind"]] == [True] and not there.get("blind")
        assert "can't be reached" in fleet(command, *where).out
    for command in ("status", "verify"):
        assert fleet.error(command, "--context", "gone", "-n", everywhere, "--kubeconfig", gone)["exitCode"] == 1
    verdicts = fleet("verify", *where, "--soak", "0", "-o", "json").document["items"]
    assert (verdicts[0]["outcome"], verdicts[0]["checks"], len(verdicts[1]["checks"]) > 0) == ("unknown", [], True)


def test_what_is_healthy_everywhere_is_counted_and_left_out_where_only_what_is_broken_is_asked_for(
    fleet: Shell, everywhere: str
) -> None:
    where = ("--stack", "own")
    assert "2 clusters, 2 targets: 2 healthy." in fleet("status", *where).out
    broken = fleet("status", *where, "--state", "broken")
    assert (broken.code, broken.out) == (0, "2 clusters, 2 targets: 2 healthy.\n")
    listed = fleet("status", *where, "--state", "broken", "--state", "unknown", "-o", "json").document["items"]
    assert [(one["cluster"], one["targets"]) for one in listed] == [(name, []) for name in BOTH]
    healthy = fleet("status", *where, "--state", "healthy", "-o", "json").document["items"]
    assert [len(one["targets"]) for one in healthy] == [1, 1]
    assert (
        fleet("status", "--cluster", "cluster-01", "-n", everywhere, "--state", "broken").out
        == "No target is in that state.\n"
    )


def test_a_target_that_one_cluster_does_not_have_is_unknown_there(fleet: Shell, everywhere: str, helm: Any) -> None:
    helm("uninstall", everywhere, "-n", everywhere, "--kube-context", "cluster-02")
    answer = fleet("verify", f"helm/{everywhere}", "--stack", "own", "--soak", "0", "-o", "json")
    here, there = answer.document["items"]
    assert (answer.code, here["outcome"], there["outcome"]) == (7, "recovered", "unknown")
    assert everywhere in there["blind"][0]["text"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--stack", "nope"), 3),
        (("-l", "role=west"), 2),
        (("--context", "all", "--wave", "role=west,rest"), 2),
        (("--context", "all", "--wave", "2,25%,rest"), 2),
        (("--context", "all", "--wave", "1"), 2),
    ],
)
def test_what_nobody_knows_and_waves_of_nothing_are_errors(
    fleet: Shell, everywhere: str, words: tuple[str, ...], code: int
) -> None:
    error = fleet.error("plan", f"helm/{everywhere}", "--to", "1", "-n", everywhere, *words)
    assert error["exitCode"] == code, error
