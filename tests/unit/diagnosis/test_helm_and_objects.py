# SPDX-License-Identifier: Apache-2.0
"""What Helm installed: its own writes are its own business, what somebody did to them afterwards is not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest
from a_namespace import NS, Scene, codes, reading, writer
from a_release import MARKS, record, release

from backout.cluster.port import ClusterReader, ProxyAnswer
from backout.diagnosis.evidence.budgeted_reader import GIVES_UP, BudgetedReader

BY_HELM = writer("helm", 90, "data/a")
BY_HAND = writer("kubectl-edit", 90, "data/a")


def manifest(*values: str) -> str:
    """A release with a ConfigMap of that value (none: without it)."""
    return "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: {json.dumps(value)}\n"
        for value in values
    )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def installed(scene: Scene, *writers: Any, value: str, **workload: Any) -> None:
    scene.config(
        "settings", writer("helm", 7200, "data/a") if not writers else writers[0], data={"a": value}, meta=MARKS
    )
    scene.workload("web", reading("env", "settings"), ready=0, **workload)
    web = scene.objects["Deployment", "web"]
    scene.put(
        "Deployment", "web", *web["metadata"]["managedFields"], meta=MARKS, spec=web["spec"], status=web["status"]
    )


def test_what_helm_wrote_last_stays_with_the_release(scene: Scene) -> None:
    release(scene, manifest("1"), manifest("2"))
    installed(scene, BY_HELM, value="2")
    assert set(scene.problems()) == {"helm/stack"}


def test_an_edit_of_what_helm_installed_is_no_longer_the_releases_fault(scene: Scene) -> None:
    release(scene, manifest("1"))
    installed(scene, BY_HAND, value="2", restarted=80)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings" and problem.mechanism == "objects"
    assert problem.suspect is not None
    assert [(f.path, f.before, f.after) for f in problem.suspect.fields] == [("data.a", "1", "2")]
    assert problem.confidence == "likely"
    assert "revision 1 of helm/stack has it" in problem.notes[0].text


def test_an_edit_to_what_the_release_says_is_none(scene: Scene) -> None:
    release(scene, manifest("2"))
    installed(scene, BY_HAND, value="2")
    assert set(scene.problems()) == {"helm/stack"}


def waiting(scene: Scene) -> None:
    spec = reading("volume", "settings")
    scene.workload("web", spec, ready=0)
    web = scene.objects["Deployment", "web"]
    scene.put(
        "Deployment", "web", *web["metadata"]["managedFields"], meta=MARKS, spec=web["spec"], status=web["status"]
    )
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, waiting={"reason": "ContainerCreating"})
    scene.event("web-0", "FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found')


def test_a_deletion_behind_helms_back(scene: Scene) -> None:
    release(scene, manifest("1"))
    waiting(scene)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings" and codes(problem) == {"MissingReference"}


def test_what_the_newest_revision_took_away_is_the_releases_problem(scene: Scene) -> None:
    release(scene, manifest("1"), manifest())
    waiting(scene)
    assert set(scene.problems()) == {"helm/stack"}


def test_a_service_that_helm_broke_is_the_releases_problem(scene: Scene) -> None:
    web = {"containers": [{"name": "app", "image": "registry.example/app:1"}]}
    scene.workload("web", web)
    scene.service("web", pods=1)
    scene.snapshot()
    scene.drop("EndpointSlice", "web-x")
    release(scene, "", "")
    scene.service("web", selector={"app": "wbe"})
    service = scene.objects["Service", "web"]
    scene.put("Service", "web", writer("helm", 90, "spec/selector"), meta=MARKS, spec=service["spec"])
    (problem,) = scene.problems().values()
    assert str(problem.target) == "helm/stack" and codes(problem) == {"NoEndpoints"}
    assert problem.bad_revision == 2


# -- programs that never answer ----------------------------------------------------------------------------------------


class Silent:
    """Nobody answers in time, until somebody does."""

    name = context = kubeconfig = "none"

    def __init__(self, *answers: ProxyAnswer) -> None:
        self.asked: list[float] = []
        self.answers = list(answers)

    async def proxied(self, *_: Any, timeout: float, **__: Any) -> ProxyAnswer:
        self.asked.append(timeout)
        return self.answers.pop(0) if self.answers else ProxyAnswer(0, refusal="no whole answer within 3 s")


def ask(behind: Silent, times: int) -> list[ProxyAnswer]:
    async def main() -> list[ProxyAnswer]:
        asking = BudgetedReader(cast(ClusterReader, behind))
        return [await asking.proxied("pods", f"p-{n}", NS, 80, "/metrics", timeout=60.0) for n in range(times)]

    return asyncio.run(main())


def test_where_nobody_answers_in_time_the_others_are_not_asked() -> None:
    behind = Silent()
    found = ask(behind, GIVES_UP + 5)
    assert behind.asked == [3.0] * GIVES_UP
    assert all(answer.refusal for answer in found) and "not asked any more" in found[-1].refusal


def test_one_answer_is_reason_enough_to_go_on_asking() -> None:
    behind = Silent(ProxyAnswer(200, "text/plain", b"x"))
    ask(behind, GIVES_UP + 5)
    assert len(behind.asked) == GIVES_UP + 5


MISSING = "couldn't find key a in ConfigMap shop/settings"
KEYS = "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n"


def asks_in_vain(scene: Scene, data: dict[str, str], *writers: Any, said: str = MISSING) -> None:
    scene.config("settings", *(writers or (writer("helm", 7200, "data/a", "data/b"),)), data=data, meta=MARKS)
    spec = reading("env", "settings")
    scene.workload("web", spec, ready=0)
    web = scene.objects["Deployment", "web"]
    scene.put(
        "Deployment", "web", *web["metadata"]["managedFields"], meta=MARKS, spec=web["spec"], status=web["status"]
    )
    why = {"reason": "CreateContainerConfigError", "message": said}
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, waiting=why)


def test_a_key_that_somebody_removed_past_helm_leaves_no_writer(scene: Scene) -> None:
    release(scene, KEYS + "  a: '1'\n  b: '2'\n")
    asks_in_vain(scene, {"b": "2"})
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings" and problem.mechanism == "objects"
    assert problem.cause.text == "CreateContainerConfigError; a were changed, by whom is not recorded"
    assert problem.suspect is None and problem.confidence == "likely"


def test_a_key_that_a_release_took_away_itself_stays_with_the_release(scene: Scene) -> None:
    release(scene, KEYS + "  a: '1'\n  b: '2'\n", KEYS + "  b: '2'\n")
    asks_in_vain(scene, {"b": "2"}, writer("helm", 90, "data/b"))
    assert set(scene.problems()) == {"helm/stack"}


@pytest.mark.parametrize("status", ["failed", "pending-upgrade"])
def test_what_an_unfinished_upgrade_wrote_is_no_edit(scene: Scene, status: str) -> None:
    record(scene, 1, KEYS + "  a: '1'\n  b: '2'\n", status="deployed", seconds=7200)
    record(scene, 2, KEYS + "  b: '2'\n", status=status, seconds=92)
    asks_in_vain(scene, {"b": "2"}, writer("helm", 90, "data/b"))
    assert "configmap/settings" not in scene.problems()


@pytest.mark.parametrize("by_hand", [True, False])
def test_another_key_that_was_changed_is_a_decoy_where_the_one_asked_for_never_was(scene: Scene, by_hand: bool) -> None:
    release(scene, KEYS + "  b: '2'\n  c: '3'\n")
    writers = (writer("kubectl-edit", 90, "data/b"),) if by_hand else ()
    asks_in_vain(scene, {"b": "9"} if by_hand else {"b": "2"}, *writers)
    assert "configmap/settings" not in scene.problems()


@pytest.mark.parametrize("kept", [True, False])
def test_a_release_that_was_uninstalled_though_all_was_well_with_it(scene: Scene, kept: bool) -> None:
    scene.workload("web", reading("env", "settings"))
    manifest = json.dumps(scene.objects["Deployment", "web"])
    record(scene, 1, manifest, status="deployed", seconds=7200)
    if kept:
        scene.snapshot(kinds=("Deployment", "ConfigMap"))
    for kind, name in list(scene.objects):
        if kind in ("Deployment", "Pod", "ReplicaSet"):
            scene.drop(kind, name)
    record(scene, 1, manifest, status="uninstalled", seconds=7200)
    problems = scene.problems()
    assert ("helm/stack" in problems) is kept
    if kept:
        assert codes(problems["helm/stack"]) == {"ReleaseUninstalled"}
        assert problems["helm/stack"].cause.text.endswith("helm/stack was uninstalled")
