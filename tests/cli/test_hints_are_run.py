# SPDX-License-Identifier: Apache-2.0
"""Each command that a command prints is run as it is printed: it is accepted, and finds what it names."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import Any

from backout_shell import Answer, Shell

QUOTED = re.compile(r"`backout ([^`]+)`")
BARE = re.compile(r"(?<![`\w])backout ((?:[a-z]+)(?: (?!backout\b)[^\s`]+)*)")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|\{|…")
NOT_ACCEPTED = (1, 2, 3, 4)
TEMPLATE = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.local/web:{{ .Values.tag }}"}]}
"""


def commands(answer: Answer) -> list[str]:
    """What an answer proposes. Lines that name two commands have them apart by several spaces."""
    found = []
    for line in (answer.out + "\n" + answer.err).splitlines():
        quoted = QUOTED.findall(line)
        rest = QUOTED.sub("", line)
        found += quoted or [part[1].rstrip(".,;:)") for bit in re.split(r"\s{3,}", rest) for part in BARE.finditer(bit)]
    return [one for one in dict.fromkeys(found) if not PLACEHOLDER.search(one)]


class Follower:
    """Runs what is proposed, once each, and what that proposes in turn."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.done: dict[str, int] = {}

    def __call__(self, *words: str) -> Answer:
        answer = self.shell(*words)
        assert answer.code not in (1, 2, 3), f"{words}\n{answer.out}{answer.err}"
        for text in commands(answer):
            self.follow(text)
        return answer

    def follow(self, text: str) -> None:
        if text in self.done:
            return
        self.done[text] = -1
        # Whatever would write asks first, and nobody answers.
        answer = self.shell(*shlex.split(text))
        self.done[text] = answer.code
        assert answer.code not in NOT_ACCEPTED, f"backout {text}\n{answer.out}{answer.err}"


def test_each_command_that_is_printed_is_accepted(backout: Shell, helm: Any, tmp_path: Path) -> None:
    ns = "hints-run"
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "templates" / "all.yaml").write_text(TEMPLATE)
    helm("install", "shop", str(chart), "-n", ns, "--create-namespace", "--set", "tag=1.0", "--wait=legacy")
    follow = Follower(backout)
    calm = follow("plan", "-n", ns)
    assert (
        calm.code == 5 and "helm/NAME" not in calm.err and f"backout plan -n {ns} helm/shop --to REVISION" in calm.err
    )
    assert follow("snapshot", "create", "-n", ns).code == 0
    helm("upgrade", "shop", str(chart), "-n", ns, "--set", "tag=1.1-crash-exit2")
    end = time.monotonic() + 120
    while backout("diagnose", "-n", ns).code != 10:
        assert time.monotonic() < end, "the upgrade never failed"
        time.sleep(0.5)
    for words in (
        ("status", "-n", ns),
        ("diagnose", "-n", ns),
        ("history", "helm/shop", "-n", ns),
        ("history", "helm/nowhere", "-n", ns),
        ("plan", "helm/shop", "-n", ns, "--soak", "1", "--out", "plan.yaml"),
        ("plan", "helm/shop", "-n", ns, "--to", "9"),
        ("plan", "helm/shop", "-n", ns, "--skip", "cm/none"),
        ("run", "helm/shop", "-n", ns, "--dry-run"),
        ("doctor", "-n", ns),
        ("run", "plan.yaml", "--yes"),
        ("show", "latest"),
        ("report", "latest"),
        ("runs",),
        ("resume", "latest"),
        ("abort", "latest"),
        ("undo", "latest", "--yes"),
        ("undo", "latest", "--yes"),
        ("show", "latest"),
        ("snapshot", "list"),
        ("snapshot", "show", "latest"),
        ("snapshot", "show", "ffffffff"),
        ("snapshot", "diff", "latest", "live", "-n", ns),
        ("snapshot", "verify"),
        ("changes", "-n", ns),
        ("verify", "-n", ns, "--soak", "0"),
    ):
        follow(*words)
    assert len(follow.done) >= 8, follow.done


def test_a_run_that_changed_nothing_offers_no_way_back(backout: Shell, helm: Any, tmp_path: Path) -> None:
    ns = "hints-nothing"
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "templates" / "all.yaml").write_text(TEMPLATE)
    helm("install", "shop", str(chart), "-n", ns, "--create-namespace", "--set", "tag=1.0")
    helm("upgrade", "shop", str(chart), "-n", ns, "--set", "tag=1.1")
    assert backout("plan", "helm/shop", "-n", ns, "--to", "1", "--out", "plan.yaml").code == 0
    helm("upgrade", "shop", str(chart), "-n", ns, "--set", "tag=1.2")
    run = backout("run", "plan.yaml", "--yes")
    assert run.code == 5 and "backout report" in run.out and "backout undo" not in run.out, run.out + run.err
    # The file says where it was made for; what is proposed says it, too.
    follow = Follower(backout)
    for text in commands(run):
        follow.follow(text)
    assert f"history -n {ns} helm/shop" in follow.done
