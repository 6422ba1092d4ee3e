# SPDX-License-Identifier: Apache-2.0
"""Bad input: each a clear error with its own code and a next step, and nothing written."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from kubetwin.process import Twin


def config(twin: Twin) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(twin.kubeconfig.read_text())
    return found


def edited(twin: Twin, path: Path, **changes: Any) -> str:
    """A kubeconfig with other fields of the first cluster or user."""
    document = config(twin)
    document["clusters"][0]["cluster"].update(changes.get("cluster", {}))
    document["users"][0]["user"].update(changes.get("user", {}))
    path.write_text(json.dumps(document))
    return str(path)


def test_unknown_context_lists_those_that_there_are(backout: Shell) -> None:
    error = backout.error("diagnose", "--context", "cluster-09")
    assert (error["code"], error["exitCode"]) == ("unknown-context", 3)
    assert "cluster-01" in json.dumps(error)


def test_no_kubeconfig(backout: Shell) -> None:
    assert backout.error("diagnose", KUBECONFIG="")["code"] == "config"
    assert backout.error("diagnose", "--kubeconfig", "/nowhere")["code"] == "config"


def test_unreachable_server(backout: Shell, twin: Twin, tmp_path: Path) -> None:
    with socket.socket() as taken:
        # Bound but not listening: nothing answers there, and nobody else can take it.
        taken.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{taken.getsockname()[1]}"
        error = backout.error("diagnose", "--kubeconfig", edited(twin, tmp_path / "kc", cluster={"server": server}))
    assert (error["code"], error["retryable"]) == ("cluster-unreachable", True)
    assert server.removeprefix("https://") in json.dumps(error)


def test_expired_token(backout: Shell, twin: Twin, tmp_path: Path) -> None:
    error = backout.error("status", "--kubeconfig", edited(twin, tmp_path / "kc", user={"token": "worn-out-token"}))
    assert error["code"] == "token-expired"
    assert error["hint"]
    assert "worn-out-token" not in json.dumps(error)


def test_a_server_that_the_authority_does_not_vouch_for(backout: Shell, twin: Twin, tmp_path: Path) -> None:
    other = config(twin)["clusters"][1]["cluster"]["certificate-authority-data"]
    path = edited(twin, tmp_path / "kc", cluster={"certificate-authority-data": other})
    assert backout.error("diagnose", "--kubeconfig", path)["code"] == "untrusted-server"


def test_a_cluster_without_an_authority_is_a_risk_in_the_plan(
    backout: Shell, release: str, twin: Twin, tmp_path: Path
) -> None:
    document = config(twin)
    cluster = document["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["insecure-skip-tls-verify"] = True
    (tmp_path / "kc").write_text(json.dumps(document))
    arguments = ("plan", f"helm/{release}", "--to", "4", "-n", release, "-o", "json")
    weak = backout(*arguments, "--kubeconfig", str(tmp_path / "kc"))
    assert "weak-identity" in {risk["code"] for risk in weak.document["items"][0]["parts"][0]["risks"]}
    assert "weak-identity" not in {
        risk["code"] for risk in backout(*arguments).document["items"][0]["parts"][0]["risks"]
    }


def test_missing_helm_is_found_before_the_first_write(backout: Shell, release: str, helm: Any) -> None:
    before = helm("history", release, "-n", release, "-o", "json")
    nowhere = dict.fromkeys(("BACKOUT_HELM", "BACKOUT_TOOLS_DIR", "PATH"), "/nowhere")
    error = backout.error("run", f"helm/{release}", "--to", "4", "-n", release, "--yes", **nowhere)
    assert error["code"] == "tool-missing"
    assert error["hint"]
    assert helm("history", release, "-n", release, "-o", "json") == before


def test_a_release_that_does_not_exist(backout: Shell) -> None:
    for command in ("history", "plan", "run"):
        assert backout.error(command, "helm/nothing", "-n", "default")["code"] == "release-not-found"


def test_a_pruned_revision(backout: Shell, release: str) -> None:
    error = backout.error("plan", f"helm/{release}", "--to", "1", "-n", release)
    assert (error["code"], error["exitCode"]) == ("revision-not-found", 4)
    assert "pruned" in error["message"]
    assert "3, 4, 5" in error["found"]


def test_a_target_without_history(backout: Shell, helm: Any) -> None:
    helm("install", "alone", str(Path(__file__).parent / "tiny"), "-n", "alone", "--create-namespace")
    error = backout.error("plan", "helm/alone", "-n", "alone")
    assert error["code"] == "no-good-revision"


@pytest.mark.parametrize("command", ["diagnose", "status", "changes", "plan", "run", "verify"])
def test_a_namespace_that_does_not_exist_is_not_a_healthy_one(backout: Shell, command: str) -> None:
    error = backout.error(command, "-n", "nowhere")
    assert (error["code"], error["exitCode"]) == ("object-not-found", 4)
    assert "nowhere" in error["message"]


@pytest.mark.parametrize("target", ["deployment/absent", "configmap/absent", "service/absent", "helm/absent"])
@pytest.mark.parametrize("command", ["diagnose", "status"])
def test_a_target_that_does_not_exist_is_not_a_healthy_one(
    backout: Shell, release: str, command: str, target: str
) -> None:
    error = backout.error(command, target, "-n", release)
    assert error["exitCode"] == 4
    assert "absent" in error["message"]


def test_a_cluster_without_the_namespace_hides_nothing_of_the_others(backout: Shell, release: str) -> None:
    both = ("--context", "cluster-02", "--context", "cluster-01", "-n", release, "-o", "json")
    answer = backout("diagnose", *both)
    absent, there = answer.document["items"]
    assert (answer.code, absent["healthy"], there["healthy"]) == (7, False, True)
    assert [release in blind["text"] for blind in absent["blind"]] == [True] and not there["blind"]
    listed = backout("status", *both)
    assert listed.code == 0 and f'"name": "{release}"' in listed.out


def test_nothing_is_broken(backout: Shell, release: str) -> None:
    assert backout("diagnose", "-n", release).code == 0
    assert backout.error("plan", "-n", release)["code"] == "nothing-to-do"


@pytest.fixture
def plan(backout: Shell, release: str) -> Path:
    path = backout.home / "plan.yaml"
    answer = backout("plan", f"helm/{release}", "--to", "4", "-n", release, "--out", str(path))
    assert answer.code == 0, answer.err
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def test_a_plan_that_was_edited_is_not_run(backout: Shell, plan: Path, release: str, helm: Any) -> None:
    before = helm("history", release, "-n", release, "-o", "json")
    plan.write_text(plan.read_text().replace("number: 4", "number: 3", 1))
    assert backout.error("run", str(plan), "--yes")["code"] == "plan-changed"
    assert helm("history", release, "-n", release, "-o", "json") == before


def test_a_plan_for_another_cluster_is_not_run(backout: Shell, plan: Path) -> None:
    answer = backout("run", str(plan), "--yes", "--context", "cluster-02", "-o", "json")
    assert answer.code == 5
    assert answer.document["items"][0]["failure"]["code"] == "wrong-cluster"


def test_a_plan_that_is_late_is_not_run(backout: Shell, plan: Path, release: str, helm: Any) -> None:
    helm(
        "upgrade",
        release,
        str(Path(__file__).parent / "tiny"),
        "-n",
        release,
        "--set",
        "word=late",
        "--history-max",
        "3",
    )
    answer = backout("run", str(plan), "--yes", "-o", "json")
    assert answer.code == 5
    assert answer.document["items"][0]["failure"]["code"] == "precondition-failed"


def test_a_malformed_configuration(backout: Shell) -> None:
    (backout.home / "backout.yaml").write_text("verify:\n  sook: 5\n")
    error = backout.error("diagnose")
    assert (error["code"], error["exitCode"]) == ("config", 3)
    assert "line 2" in error["message"]
    assert "sook" in error["message"]


def test_a_namespace_without_rights(backout: Shell, twin: Twin, tools: dict[str, Path], tmp_path: Path) -> None:
    kubectl = [str(tools["kubectl"]), "--kubeconfig", str(twin.kubeconfig)]
    subprocess.run(
        [*kubectl, "create", "serviceaccount", tmp_path.name[:30].replace("_", "-")], check=True, capture_output=True
    )
    token = subprocess.run(
        [*kubectl, "create", "token", tmp_path.name[:30].replace("_", "-")], check=True, capture_output=True, text=True
    ).stdout.strip()
    path = edited(twin, tmp_path / "kc", user={"token": token})
    seen = backout("diagnose", "-n", "default", "--kubeconfig", path, "-o", "json")
    assert seen.code == 7
    assert seen.document["healthy"] is False
    assert "no permission" in json.dumps(seen.document["items"][0]["blind"])
    examined = backout("doctor", "-n", "default", "--kubeconfig", path, "-o", "json")
    assert examined.code == 5
    assert examined.document["roles"][0]["kind"] == "Role"


@pytest.mark.parametrize(
    "arguments",
    [
        ("diagnose", "thanos"),
        ("diagnose", "replicationcontroller/x"),
        ("plan", "--to", "3"),
        ("changes", "--since", "yesterday"),
        ("run", "no-such-plan.yaml"),
        ("plan", "deployment/x", "-A"),
        ("twin", "break", "deployment/x", "gremlins"),
    ],
)
def test_usage(backout: Shell, twin: Twin, arguments: tuple[str, ...]) -> None:
    error = backout.error(*arguments, BACKOUT_TWIN_DIR=str(twin.directory))
    assert (error["code"], error["exitCode"]) == ("usage", 2)


def test_errors_are_text_for_people(backout: Shell) -> None:
    answer = backout("diagnose", "--context", "cluster-09")
    assert answer.out == ""
    assert answer.err.startswith("Error (unknown-context): ")
    assert "Traceback" not in answer.err


def test_nobody_to_ask_is_no_yes(backout: Shell, release: str) -> None:
    answer = backout("run", f"helm/{release}", "--to", "4", "-n", release)
    assert answer.code == 5
    assert "--yes" in answer.err
