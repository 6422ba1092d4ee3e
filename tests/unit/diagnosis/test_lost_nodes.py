# SPDX-License-Identifier: Apache-2.0
"""DaemonSets that have no pod on nodes any more where the template before ran: nothing fails, and the change is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import Scene, ago

CONTAINERS = [{"name": "app", "image": "registry.example/agent:1"}]
GPU = {"tolerations": [{"key": "gpu", "operator": "Exists"}]}
ALL = {"tolerations": [{"operator": "Exists"}]}


def chosen(**labels: str) -> dict[str, Any]:
    return {"nodeSelector": labels}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.put("Node", "plain", meta={"labels": {"disk": "hdd"}}, spec={})
    taint = {"key": "gpu", "effect": "NoSchedule"}
    scene.put("Node", "gpu", meta={"labels": {"disk": "ssd"}}, spec={"taints": [taint]})
    return scene


def agent(
    scene: Scene, before: dict[str, Any] | None, now: dict[str, Any], *, changed: float = 60, name: str = "agent"
) -> None:
    scene.workload(name, {"containers": CONTAINERS, **now}, kind="DaemonSet", template=changed)
    scene.drop("ControllerRevision", f"{name}-r1")
    owner = scene.objects["DaemonSet", name]["metadata"]["uid"]
    for number, spec in enumerate([one for one in (before, now) if one is not None], start=1):
        controller = {"kind": "DaemonSet", "name": name, "uid": owner, "apiVersion": "apps/v1", "controller": True}
        scene.put(
            "ControllerRevision",
            f"{name}-{number}",
            meta={"ownerReferences": [controller], "creationTimestamp": ago(changed if spec is now else 7200)},
            revision=number,
            data={"spec": {"template": {"spec": {"containers": CONTAINERS, **spec}}}},
        )


@pytest.mark.parametrize(
    ("before", "now", "changed", "lost"),
    [
        pytest.param(GPU, {}, 60, "gpu", id="a toleration went"),
        pytest.param(ALL, GPU, 60, "", id="a toleration of all was made one of those that there are"),
        pytest.param(ALL, {"tolerations": [{"key": "gpu", "value": "x"}]}, 60, "gpu", id="it has another value"),
        pytest.param(GPU, {**GPU, **chosen(disk="ssd")}, 60, "plain", id="a selector came"),
        pytest.param({}, GPU, 60, "", id="it has more nodes now"),
        pytest.param({}, {}, 60, "", id="nothing changed; a node was tainted"),
        pytest.param(None, {}, 60, "", id="it was made so"),
        pytest.param(GPU, {}, 200_000, "", id="days ago: whoever did that lives with it"),
        pytest.param({**GPU, "hostNetwork": True}, GPU, 60, "", id="another change, and the same nodes"),
    ],
)
def test_which_nodes_it_lost(scene: Scene, before: Any, now: Any, changed: float, lost: str) -> None:
    agent(scene, before, now, changed=changed)
    found = scene.problems()
    assert bool(found) is bool(lost)
    for problem in found.values():
        (symptom,) = problem.symptoms
        assert symptom.code == "NodesLost" and symptom.evidence[0].data["nodes"] == [lost]
        assert str(problem.target) == "daemonset/agent" and problem.confidence in ("likely", "certain")
        assert problem.suspect is not None


def test_another_set_with_the_same_program_has_those_nodes(scene: Scene) -> None:
    agent(scene, GPU, {})
    agent(scene, None, {**GPU, **chosen(disk="ssd")}, name="agent-gpu")
    assert not scene.problems()


def test_a_good_snapshot_since_says_that_it_was_meant(scene: Scene) -> None:
    agent(scene, GPU, {}, changed=60)
    scene.snapshot(kinds=("DaemonSet",))
    assert not scene.problems()
