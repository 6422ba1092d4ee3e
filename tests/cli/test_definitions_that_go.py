# SPDX-License-Identifier: Apache-2.0
"""A definition that a rollback deletes takes its custom resources of every namespace with it: they are captured, and come back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from kubetwin.process import Twin

Kubectl = Callable[..., str]

TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: {{ .Values.mode | default "old" | quote }}}
{{- if .Values.mode }}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: GROUP}
spec:
  group: {{ .Values.group }}
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}
{{- end }}
"""


@pytest.fixture
def kubectl(backout: Shell, tools: dict[str, Path]) -> Kubectl:
    def call(*words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [str(tools["kubectl"]), "--kubeconfig", str(backout.kubeconfig), *words],
            capture_output=True,
            input=stdin,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout + done.stderr

    return call


def widget(group: str, name: str, ns: str, **spec: Any) -> str:
    meta = {"name": name, "namespace": ns, "labels": {"kept": "yes"}, "finalizers": []}
    return json.dumps({"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": meta, "spec": spec})


def deploy(helm: Any, tmp_path: Path, kubectl: Kubectl, ns: str) -> str:
    """A release whose second revision has a definition, with two widgets in two namespaces. The definition's name."""
    group = f"{ns}.example.org"
    name = f"widgets.{group}"
    folder = tmp_path / "widgets"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: widgets\nversion: 1.0.0\n")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE.replace("GROUP", name))
    helm("install", "shop", str(folder), "-n", ns, "--create-namespace")
    helm("upgrade", "shop", str(folder), "-n", ns, "--set", f"mode=new,group={group}")
    kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    kubectl("create", "namespace", f"{ns}-other")
    for place, size in ((ns, 1), (f"{ns}-other", 2)):
        assert "created" in kubectl("create", "-f", "-", stdin=widget(group, "w", place, size=size, word="hidden-word"))
    return name


def sizes(kubectl: Kubectl, name: str) -> list[Any]:
    found = kubectl("get", name, "-A", "-o", "json")
    return sorted(one["spec"]["size"] for one in json.loads(found)["items"]) if found.startswith("{") else []


def test_they_are_captured_and_come_back_with_it(backout: Shell, helm: Any, tmp_path: Path, kubectl: Kubectl) -> None:
    ns = "crd-back"
    name = deploy(helm, tmp_path, kubectl, ns)
    asked = ("helm/shop", "-n", ns, "--to", "1")
    (plan,) = backout("plan", *asked, "-o", "json").document["items"]
    (part,) = plan["parts"]
    gone = [one["ref"] for one in part["changes"]["objects"] if one["ref"]["kind"] == "Widget"]
    assert [ref["namespace"] for ref in gone] == [ns, f"{ns}-other"]
    assert any(
        risk.get("needsApproval") and "2 custom resources in 2 namespaces" in str(risk) for risk in part["risks"]
    )
    assert backout("run", *asked, "--yes").code == 5 and sizes(kubectl, name) == [1, 2]

    run = backout("run", *asked, "--yes", "--approve", "deletes", "--soak", "0")
    assert run.code == 0, run.out + run.err
    assert sizes(kubectl, name) == []
    captures = list((tmp_path / "data" / "captures").iterdir())
    assert captures and not any(b"hidden-word" in file.read_bytes() for file in captures)

    undo = backout("undo", "-n", ns, "--yes")
    assert undo.code == 0, undo.out + undo.err
    assert sizes(kubectl, name) == [1, 2]
    back = json.loads(kubectl("get", f"{name}/w", "-n", f"{ns}-other", "-o", "json"))
    assert back["metadata"]["labels"] == {"kept": "yes"} and back["spec"]["word"] == "hidden-word"


def test_what_was_made_since_the_plan_is_not_taken_along(
    backout: Shell, helm: Any, tmp_path: Path, kubectl: Kubectl
) -> None:
    ns = "crd-since"
    name = deploy(helm, tmp_path, kubectl, ns)
    assert backout("plan", "helm/shop", "-n", ns, "--to", "1", "--out", "plan.yaml").code == 0
    kubectl("create", "-f", "-", stdin=widget(name.partition(".")[2], "late", ns, size=3))
    run = backout("run", "plan.yaml", "--yes", "--approve", "deletes")
    assert run.code == 5 and f"{ns}/late" in run.out + run.err, run.out + run.err
    assert len(sizes(kubectl, name)) == 3
    assert json.loads(helm("history", "shop", "-n", ns, "-o", "json"))[-1]["revision"] == 2


def test_without_the_right_to_list_them_it_is_refused_and_the_definition_can_be_kept(
    backout: Shell, helm: Any, tmp_path: Path, kubectl: Kubectl, twin: Twin
) -> None:
    ns = "crd-blind"
    name = deploy(helm, tmp_path, kubectl, ns)
    rules = [
        {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["apps", "coordination.k8s.io", "apiextensions.k8s.io"], "resources": ["*"], "verbs": ["*"]},
    ]
    for kind, more in (("ClusterRole", {"rules": rules}), ("ServiceAccount", {})):
        api = "v1" if kind == "ServiceAccount" else "rbac.authorization.k8s.io/v1"
        meta = {"name": "blind", "namespace": ns} if kind == "ServiceAccount" else {"name": ns}
        kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": api, "kind": kind, "metadata": meta, **more}))
    kubectl("create", "clusterrolebinding", ns, f"--clusterrole={ns}", f"--serviceaccount={ns}:blind")
    token = kubectl("create", "token", "blind", "-n", ns).strip()
    config = tmp_path / "blind.kubeconfig"
    config.write_text(twin.kubeconfig.read_text())
    kubectl("--kubeconfig", str(config), "config", "set-credentials", "blind", f"--token={token}")
    kubectl("--kubeconfig", str(config), "config", "set-context", "--current", "--user=blind")
    blind = Shell(backout.home, config, {**backout.environment, "KUBECONFIG": str(config)})
    asked = ("helm/shop", "-n", ns, "--to", "1")
    error = blind.error("plan", *asked)
    assert error["exitCode"] == 5 and "may not be read" in error["message"]
    assert f"--skip customresourcedefinition/{name}" in error["hint"]
    kept = blind("run", *asked, "--skip", f"crd/{name}", "--yes", "--soak", "0")
    assert kept.code in (0, 7), kept.out + kept.err
    assert sizes(kubectl, name) == [1, 2]
    assert "mode: old" in kubectl("get", "cm/settings", "-n", ns, "-o", "yaml")
