# SPDX-License-Identifier: Apache-2.0
"""A number of pods that somebody raised past Helm stays, where the workload has nothing to do with what is broken."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from helm_drafts import TARGET, analysis, item, planned
from helm_histories import NS

from backout.helm.manifest import digest
from backout.helm.staying import Kept, staying
from backout.mechanisms.helm.raised import Raised, raised, with_number
from backout.mechanisms.helm.risks import risks
from backout.mechanisms.registry import step_kind
from backout.model.target import ObjectRef

WEB = ("Deployment", NS, "web")


def live(replicas: int, *managers: str) -> dict[str, Any]:
    """As the subresource scale leaves it: without a time."""
    own = {"f:spec": {"f:replicas": {}}}
    entries = [{"manager": one, "operation": "Update", "subresource": "scale", "fieldsV1": own} for one in managers]
    entries.append({"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:selector": {}}}})
    return {"metadata": {"name": "web", "managedFields": entries}, "spec": {"replicas": replicas}}


def says(replicas: int | None) -> dict[str, Any]:
    return {"spec": {} if replicas is None else {"replicas": replicas}}


@pytest.mark.parametrize(
    ("now", "then", "before", "managers", "stays"),
    [
        pytest.param(5, 2, 2, ("kubectl",), True, id="raised by hand"),
        pytest.param(5, 2, 2, ("rush-bot",), True, id="raised by a program that nobody knows"),
        pytest.param(5, 2, 3, ("kubectl",), True, id="raised beyond either revision"),
        pytest.param(3, 2, 3, ("kubectl",), False, id="as the revision in force says"),
        pytest.param(1, 2, 2, ("kubectl",), False, id="lowered"),
        pytest.param(0, 2, 2, ("kubectl",), False, id="scaled to nothing"),
        pytest.param(5, None, None, ("kubectl",), False, id="the chart leaves it to others anyhow"),
        pytest.param(5, 2, 2, ("kube-controller-manager",), False, id="an autoscaler of the cluster holds it"),
        pytest.param(5, 2, 2, ("argocd-controller",), False, id="Argo CD does"),
        pytest.param(5, 2, 2, ("helm",), False, id="Helm wrote it"),
        pytest.param(5, 2, 2, (), False, id="who wrote it is not known"),
    ],
)
def test_whose_number_stays(now: int, then: int | None, before: int | None, managers: Any, stays: bool) -> None:
    for kind in ("Deployment", "StatefulSet"):
        ref = ObjectRef("apps/v1", kind, "web", NS)
        found = raised(ref, says(before), says(then), live(now, *managers), ())
        assert found == (Raised(now, then or 0, managers[0]) if stays else None)
        assert raised(ref, says(before), says(then), live(now, *managers), {(kind, NS, "web")}) is None, "it is broken"
    assert raised(ObjectRef("v1", "ReplicationController", "web", NS), says(2), says(2), live(5, "kubectl"), ()) is None


def test_the_plan_says_so_and_takes_nothing_over() -> None:
    target = with_number(says(2), 5)
    kept = item(
        "Deployment", live(5, "kubectl"), {**target, "metadata": {"name": "web"}}, raised=Raised(5, 2, "kubectl")
    )
    (rollback,) = [step for step in planned(kept) if step.action == "helm.rollback"]
    assert rollback.params["scaled"] == [
        {"api_version": "apps/v1", "kind": "Deployment", "name": "web", "namespace": NS, "replicas": 5}
    ]
    assert not rollback.params.get("force_conflicts")
    told = {risk.code: risk for risk in risks(analysis(kept), None, analysis(kept).head.created)}
    assert "kubectl" in told["raised"].message.text and not told["raised"].needs_approval
    back = rollback.compensation
    assert back is not None
    params = back.params.get("rollback") or back.params
    assert params["scaled"] == rollback.params["scaled"], "an undo takes no pods away either"
    kind = step_kind(back.action)
    assert kind.restores(kind.read(back.action, back.params)) == params["digest"]
    assert TARGET.namespace == NS


def test_only_the_number_is_another_in_what_helm_reads() -> None:
    document = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, paused: true}\n"
    manifest = f"---\n# Source: a\n{document}---\nkind: X\n"
    changed = staying(manifest, NS, [Kept("Deployment", NS, "web", replicas=5)])
    assert digest(changed) != digest(manifest) and changed.endswith("kind: X\n") and "# Source: a\n" in changed
    found = json.loads(changed.split("# Source: a\n")[1].split("---")[0])
    assert found["spec"] == {"replicas": 5, "paused": True}
    assert staying(manifest, NS, [Kept("Deployment", "elsewhere", "web", replicas=5)]) == manifest
    assert msgspec.json.encode(with_number(says(2), 5)) == b'{"spec":{"replicas":5}}'
