# SPDX-License-Identifier: Apache-2.0
"""A rollout that goes on while earlier pods serve is named by every command as what it is: neither broken nor healthy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

NAME = "going-on"
CHART = """apiVersion: apps/v1
kind: Deployment
metadata: {name: teller}
spec:
  replicas: 2
  progressDeadlineSeconds: 3600
  selector: {matchLabels: {app: teller}}
  template:
    metadata: {labels: {app: teller}}
    spec:
      containers:
      - name: teller
        image: registry.local/teller:{{ .Values.tag }}
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
"""


@pytest.fixture(scope="module")
def going(helm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A release whose second revision has pods that need an hour until they are ready."""
    chart = tmp_path_factory.mktemp("chart")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: teller\nversion: 1.0.0\n")
    (chart / "templates" / "teller.yaml").write_text(CHART)
    helm("install", "till", str(chart), "-n", NAME, "--create-namespace", "--set", "tag=1", "--wait", "--timeout", "5m")
    helm("upgrade", "till", str(chart), "-n", NAME, "--set", "tag=2-slow60m")
    yield chart
    helm("uninstall", "till", "-n", NAME)


@pytest.mark.usefixtures("going")
def test_every_command_says_that_it_is_under_way(backout: Shell) -> None:
    # From the moment of the change on, whether or not its pods have shown anything yet.
    found = backout("diagnose", "-n", NAME, "-o", "json")
    (item,) = found.document["items"]
    assert (found.code, found.document["problems"], item["healthy"]) == (0, [], True)
    (going,) = item["underWay"]
    assert (going["ref"]["kind"], going["ref"]["name"]) == ("Deployment", "teller")
    assert [(owner["kind"], owner["name"]) for owner in going["owners"]] == [("helm", "till")]
    assert "deployment/teller is being rolled out" in going["message"]["text"] and not going.get("short")
    text = backout("diagnose", "-n", NAME)
    assert "deployment/teller is being rolled out" in text.out and "Nothing is broken so far." in text.out

    rows = backout("status", "-n", NAME, "-o", "json").document["items"][0]["targets"]
    assert [(row["target"]["name"], row["healthy"], row["underWay"]) for row in rows] == [("till", None, True)]
    shown = backout("status", "-n", NAME).out
    assert "under way" in shown and "healthy" not in shown

    ran = backout("run", "-n", NAME, "--yes")
    assert ran.code == 5 and "not everything has ended" in ran.err, json.dumps([ran.out, ran.err])
    assert backout("verify", "-n", NAME, "--soak", "0").code == 7
