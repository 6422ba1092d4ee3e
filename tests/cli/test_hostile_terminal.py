# SPDX-License-Identifier: Apache-2.0
"""A cluster whose texts attack: escape sequences, controls of one byte, bidi marks, invisible letters, line breaks. No command
lets one of them through to a terminal, and none of their lines begins one of ours.

Every command of the command line stands in `CALLS`; one that is added and does not fails here.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from backout_shell import Shell
from terminal import commands, obeyed, on_terminal

from kubetwin.process import Twin

NS = "hostile"
CHART = Path(__file__).parent / "hostile"
MARK = "Evl"
FORGED = "FORGED"
ATTACK = (
    "\x1b[2J\x1b[35mcleared\x1b]0;title\x07\x1b]8;;http://evil\x1b\\\x9b5m\x90q\x9c\x08\x7f\u202egnp\u2066\u200b\ufeff\u061c"
    f"\U000e0041\u2028\r\n{FORGED} recovered: all is well\n{FORGED} again\r{FORGED} over it\x85{FORGED}\x0b\x0c\x0egforged\x0f"
)


def evil(where: str) -> str:
    """An attack that says where it came in."""
    return f"{MARK}{where} {ATTACK} {MARK}{where}"


CALLS: dict[str, list[tuple[str, ...]]] = {
    "status": [(), ("-A",)],
    "history": [("deployment/web",), ("helm/evil",), ("deployment/web", "-v")],
    "changes": [()],
    "diagnose": [(), ("-v",), ("--lang", "ko")],
    "plan": [(), ("deployment/web",), ("deployment/web", "--lang", "ko"), ("helm/evil", "--to", "1"), ("nope/x",)],
    "verify": [("--soak", "0")],
    "doctor": [()],
    "snapshot create": [("--tag", "t1", "-m", evil("message"))],
    "snapshot list": [()],
    "snapshot show": [("t1", "--objects")],
    "snapshot diff": [("t0", "live"), ("t0", "t1")],
    "snapshot restore": [("t0", "--dry-run")],
    "snapshot verify": [("--read-data",)],
    "snapshot prune": [("--keep-last", "9", "--dry-run")],
    "snapshot export": [("all.bk", "--all")],
    "snapshot import": [("all.bk",)],
    "snapshot key show": [()],
    "snapshot key add": [("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "--name", evil("key"))],
    "snapshot key remove": [("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",)],
    "snapshot key rotate": [()],
    "run": [
        ("deployment/web", "--dry-run"),
        ("deployment/web",),
        ("helm/evil", "--to", "1", "--yes", "--approve", "not-proven-good"),
    ],
    "runs": [()],
    "show": [()],
    "report": [(), ("--lang", "ko")],
    "undo": [("--yes",)],
    "resume": [()],
    "abort": [()],
    "approve": [("latest", "--reason", evil("reason"))],
    "audit verify": [(), ("--run", evil("run"))],
    "audit checkpoint": [()],
    "audit export": [()],
    "audit key": [()],
    "runs prune": [("--keep-last", "9", "--dry-run")],
    "version": [()],
    "schema": [(), ("Run",)],
    "demo": [("--list",)],
    "worker": [("--until-idle",)],
    "twin status": [()],
    "twin down": [()],
    "twin break": [("crash", "deployment/nope", "-n", NS)],
    "twin up": [("--clusters", "0")],
}
IN_A_DOCUMENT = (
    "status",
    "history",
    "changes",
    "diagnose",
    "plan",
    "snapshot list",
    "snapshot diff",
    "runs",
    "show",
    "report",
)
SEEN = ("cause", "env", "arg", "log", "event", "description", "configmap", "message", "notes")
"""Where an attack came in that must have reached a screen, cleaned: else this test would prove nothing."""


def web(image: str, mark: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": NS,
            "annotations": {"kubernetes.io/change-cause": evil("cause") + mark},
        },
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "progressDeadlineSeconds": 5,
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"note": evil("annotation") + mark}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": "web",
                            "image": image,
                            "args": [evil("arg") + mark],
                            "env": [{"name": "MODE", "value": evil("env") + mark}],
                            "envFrom": [{"configMapRef": {"name": "settings"}}],
                        }
                    ],
                },
            },
        },
    }


@pytest.fixture
def attacked(backout: Shell, twin: Twin, helm: Any, tools: dict[str, Path], tmp_path: Path) -> Shell:
    """A namespace with a broken Deployment and a release, full of attacks."""
    backout.environment["BACKOUT_TWIN_DIR"] = str(tmp_path / "twins")

    def apply(*objects: dict[str, Any]) -> None:
        kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def kubectl(*arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            [
                str(tools["kubectl"]),
                "--kubeconfig",
                str(twin.kubeconfig),
                "--cache-dir",
                str(tmp_path / "kc"),
                *arguments,
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout

    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": NS}}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    rule = {"fault": "crash", "namespace": NS, "log": evil("log"), "image": "web:2-crash"}
    apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "hostile-logs",
                "namespace": "kube-system",
                "labels": {"twin.backout.dev/fault-rule": "true"},
            },
            "data": rule,
        },
        {**settings, "data": {"MODE": evil("configmap")}},
        web("web:1", ""),
    )
    kubectl("wait", "-n", NS, "deployment/web", "--for=condition=Available", "--timeout=240s")
    for turn in ("1", "2"):
        verb = ("install", "--create-namespace") if turn == "1" else ("upgrade",)
        said = ("--description", evil("description"), "--set-string", f"word={turn}")
        notes = ("--set-string", f"note={MARK}notes \x1b[35m\u202e{turn}")
        helm(verb[0], "evil", str(CHART), "-n", NS, *verb[1:], *said, *notes)
    code, said = on_terminal(backout, "snapshot", "create", "-n", NS, "--context", "cluster-01", "--tag", "t0")
    assert code == 0, said
    apply({**settings, "data": {"MODE": evil("configmap") + " 2"}}, web("web:2-crash", " 2"))
    pod = ""
    while not pod:
        found = json.loads(kubectl("get", "pods", "-n", NS, "-l", "app=web", "-o", "json"))["items"]
        crashed = [p for p in found if any(s.get("restartCount") for s in p["status"].get("containerStatuses", ()))]
        pod = crashed[0]["metadata"]["name"] if crashed else ""
    now = json.loads(kubectl("get", "pod", "-n", NS, pod, "-o", "json"))["metadata"]
    kubectl(
        "create",
        "-f",
        "-",
        stdin=json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "evil.1", "namespace": NS},
                "message": evil("event"),
                "reason": "FailedMount",
                "type": "Warning",
                "source": {"component": evil("component")},
                "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": NS, "name": pod, "uid": now["uid"]},
                "firstTimestamp": now["creationTimestamp"],
                "lastTimestamp": now["creationTimestamp"],
            }
        ),
    )
    return backout


def test_every_command_is_attacked() -> None:
    assert set(commands()) == set(CALLS), "a command that is not called here can't be trusted"


@pytest.mark.timeout(900)
def test_nothing_of_the_clusters_steers_a_terminal(attacked: Shell) -> None:
    here = ("-n", NS, "--context", "cluster-01")
    found: list[str] = []
    seen = ""
    for name, calls in CALLS.items():
        for more in calls:
            where = () if "-n" in more else here
            _, said = on_terminal(attacked, *name.split(), *more, *where, answers="yes\ny\n")
            shown = f"backout {name} {' '.join(map(ascii, more))}"
            found += [f"{shown}: {part}" for part in obeyed(said)]
            found += [f"{shown}: forged {line!r}" for line in re.split(r"[\r\n]+", said) if begins(line)]
            assert "Traceback" not in said, said
            seen += said
    for name in IN_A_DOCUMENT:
        for form in ("json", "yaml"):
            _, said = on_terminal(attacked, *name.split(), *CALLS[name][0], *here, "-o", form)
            found += [f"backout {name} -o {form}: {part}" for part in obeyed(said)]
            text = said[said.index("{" if form == "json" else "apiVersion") :]
            document = json.loads(text) if form == "json" else yaml.safe_load(text)
            assert document["apiVersion"] == "backout.dev/v1"
    assert found == [], "\n".join(found)
    assert [where for where in SEEN if MARK + where not in seen] == []


def begins(line: str) -> bool:
    """Whether a line on the screen is one that an attack wrote. Lines of logs and files stand behind a mark."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).lstrip(" ·|>-").startswith(FORGED)
