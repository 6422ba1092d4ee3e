# SPDX-License-Identifier: Apache-2.0
"""What is to be left as it is: done where the way back can do without, refused where not, and never passed over in silence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

Kubectl = Callable[..., str]

CHART = """apiVersion: v2
name: shop
version: 1.0.0
"""
TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: {{ .Values.mode | quote }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: colours}
data: {front: blue}
{{- if eq .Values.mode "new" }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {a: "1"}
{{- end }}
"""


@pytest.fixture
def kubectl(backout: Shell, tools: dict[str, Path]) -> Kubectl:
    def call(*words: str) -> str:
        done = subprocess.run(
            [str(tools["kubectl"]), "--kubeconfig", str(backout.kubeconfig), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout + done.stderr

    return call


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "values.yaml").write_text("mode: old\n")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE)
    return folder


def deploy(helm: Any, chart: Path, ns: str, name: str = "shop") -> None:
    """Two revisions: the second has a claim and a ConfigMap more."""
    helm("install", name, str(chart), "-n", ns, "--create-namespace")
    helm("upgrade", name, str(chart), "-n", ns, "--set", "mode=new")


def part_of(document: dict[str, Any]) -> dict[str, Any]:
    (plan,) = document["items"]
    (part,) = plan["parts"]
    return dict(part)


def test_what_helm_would_delete_stays_through_the_run_and_its_undo(
    backout: Shell, helm: Any, chart: Path, kubectl: Kubectl
) -> None:
    ns = "skip-claim"
    deploy(helm, chart, ns)
    uid = kubectl("get", "pvc/data", "-n", ns, "-o", "jsonpath={.metadata.uid}")
    before = part_of(backout("plan", "helm/shop", "-n", ns, "--to", "1", "-o", "json").document)
    assert any(risk["code"] == "deletes" and risk.get("needsApproval") for risk in before["risks"])

    asked = ("helm/shop", "-n", ns, "--to", "1", "--skip", "persistentvolumeclaims/data")
    part = part_of(backout("plan", *asked, "-o", "json").document)
    assert [one["what"] for one in part["skipped"]] == ["persistentvolumeclaim/data"]
    assert not any(risk.get("needsApproval") for risk in part["risks"])
    assert "Left out, as you asked" in backout("plan", *asked).out

    run = backout("run", *asked, "--yes", "--soak", "0")
    assert run.code == 0, run.out + run.err
    assert "NotFound" in kubectl("get", "cm/extra", "-n", ns)
    assert kubectl("get", "pvc/data", "-n", ns, "-o", "jsonpath={.metadata.uid}") == uid
    assert "resource-policy" in kubectl("get", "pvc/data", "-n", ns, "-o", "json")

    undo = backout("undo", "-n", ns, "--yes")
    assert undo.code == 0, undo.out + undo.err
    assert kubectl("get", "cm/extra", "-n", ns, "-o", "jsonpath={.data.a}") == "1"
    assert kubectl("get", "pvc/data", "-n", ns, "-o", "jsonpath={.metadata.uid}") == uid
    assert "resource-policy" not in kubectl("get", "pvc/data", "-n", ns, "-o", "json")


@pytest.mark.parametrize(
    ("skip", "code", "said"),
    [
        ("cm/settings", 5, "Helm writes every object"),
        ("cm/nowhere", 5, "configmaps/nowhere"),
        ("nonsense", 2, "nonsense"),
        ("cm/*", 2, "no pattern"),
        ("helm/shop", 5, "left out"),
    ],
)
def test_what_can_not_be_left_out_or_is_not_there_is_refused(
    backout: Shell, helm: Any, chart: Path, skip: str, code: int, said: str
) -> None:
    ns = "skip-refused"
    if "shop" not in helm("list", "-n", ns, "-q"):
        deploy(helm, chart, ns)
    skip = skip.replace("cm/nowhere", "configmaps/nowhere")
    for command in ("plan", "run"):
        answer = backout(command, "helm/shop", "-n", ns, "--to", "1", "--skip", skip)
        assert answer.code == code and said in answer.out + answer.err, answer.out + answer.err
    assert json.loads(helm("history", "shop", "-n", ns, "-o", "json"))[-1]["revision"] == 2


def test_a_plan_file_is_what_was_approved_so_nothing_more_is_left_out_of_it(
    backout: Shell, helm: Any, chart: Path
) -> None:
    ns = "skip-file"
    deploy(helm, chart, ns)
    assert backout("plan", "helm/shop", "-n", ns, "--to", "1", "--skip", "cm/extra", "--out", "plan.yaml").code == 0
    error = backout.error("run", "plan.yaml", "--skip", "pvc/data")
    assert error["code"] == "usage" and "--skip" in error["message"]
    assert "configmap/extra" in (backout.home / "plan.yaml").read_text().split("skipped:")[1]


def test_a_target_of_several(backout: Shell, helm: Any, chart: Path) -> None:
    ns = "skip-target"
    for name in ("one", "two"):
        folder = chart.parent / name
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text(CHART)
        (folder / "templates" / "all.yaml").write_text(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"
            'data: {word: {{ .Values.word | default "a" }}}\n'
        )
        helm("install", name, str(folder), "-n", ns, "--create-namespace")
        helm("upgrade", name, str(folder), "-n", ns, "--set", "word=b")
    asked = ("plan", "helm/one", "helm/two", "-n", ns, "--to", "1", "--skip", "release/two")
    (plan,) = backout(*asked, "-o", "json").document["items"]
    assert [part["id"] for part in plan["parts"]] == ["helm/one"]
    assert [one["what"] for one in plan["skipped"]] == ["helm/two"]
    assert "helm/two" in backout(*asked).out


def test_a_part_of_several(backout: Shell, helm: Any, chart: Path, kubectl: Kubectl) -> None:
    """Two objects of a good release were edited by hand: one goes back, the other stays."""
    ns = "skip-part"
    deploy(helm, chart, ns)
    for name, key in (("colours", "front"), ("extra", "a")):
        kubectl("patch", f"cm/{name}", "-n", ns, "--type=merge", "-p", json.dumps({"data": {key: "odd"}}))
    whole = backout("plan", "helm/shop", "-n", ns, "-o", "json").document["items"][0]
    assert sorted(part["id"] for part in whole["parts"]) == ["configmap/colours", "configmap/extra"]
    run = backout("run", "helm/shop", "-n", ns, "--skip", "cm/extra", "--yes", "--soak", "0", "-o", "json")
    assert run.code == 0, run.err
    operation = run.document["items"][0]["operation"]
    assert [part["id"] for part in operation["parts"]] == ["configmap/colours"]
    assert [one["what"] for one in operation["skipped"]] == ["configmap/extra"]
    assert kubectl("get", "cm/colours", "-n", ns, "-o", "jsonpath={.data.front}") == "blue"
    assert kubectl("get", "cm/extra", "-n", ns, "-o", "jsonpath={.data.a}") == "odd"
    error = backout.error("plan", "helm/shop", "-n", ns, "--skip", "cm/extra", "--skip", "cm/colours")
    assert error["exitCode"] == 5
