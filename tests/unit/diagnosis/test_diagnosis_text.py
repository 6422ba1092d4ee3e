# SPDX-License-Identifier: Apache-2.0
"""How an object at fault is told to people."""

from __future__ import annotations

from pathlib import Path

import pytest
from a_namespace import NOW, Scene, reading, writer

from backout.cli.render.diagnosis import show_diagnosis
from backout.cli.render.screen import Screen

EDIT = writer("kubectl-edit", 90, "data/a")
SAME = "everything that stood before it was edited, and that nobody has to read again to see what changed: "


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def text(scene: Scene) -> list[str]:
    screen = Screen("en", NOW)
    show_diagnosis(screen, scene.diagnosis())
    return screen.lines


def test_an_edited_object(scene: Scene) -> None:
    scene.config("settings", data={"a": SAME + "one"})
    taken = scene.snapshot()
    scene.config("settings", EDIT, data={"a": SAME + "two"})
    scene.workload("web", reading("volume", "settings"), ready=0, restarted=80)
    lines = text(scene)
    assert "✗ configmap/settings   CrashLoopBackOff since kubectl-edit changed a" in lines
    assert "    Readers  deployment/web (files, app: /etc/app)" in lines
    assert "    → backout run configmap/settings -n shop" in lines
    assert f"             · It holds something else than in snapshot {taken.short}." in lines
    (field,) = [line.strip() for line in lines if line.strip().startswith("data.a:")]
    assert field == "data.a: …ad again to see what changed: one → …ad again to see what changed: two"
    assert (begin := [line for line in lines if line.strip().startswith("Changed")]) and "kubectl-edit" in begin[0]


def test_lines_that_differ_stand_with_the_evidence(scene: Scene) -> None:
    scene.config("settings", data={"a": "one\ntwo\nthree\n"})
    scene.snapshot()
    scene.config("settings", EDIT, data={"a": "one\n2\nthree\n"})
    scene.workload("web", reading("volume", "settings"), ready=0, restarted=80)
    lines = [line.strip() for line in text(scene)]
    assert "│ -two" in lines and "│ +2" in lines


def test_without_a_good_snapshot_no_way_back_is_promised(scene: Scene) -> None:
    scene.config("settings", EDIT, data={"a": "two"})
    scene.workload("web", reading("volume", "settings"), ready=0, restarted=80)
    lines = text(scene)
    assert "✗ configmap/settings   CrashLoopBackOff since kubectl-edit changed a" in lines
    assert not [line for line in lines if "backout run" in line]
    assert "    ! No good snapshot holds it, so there is nothing to go back to." in lines


def test_more_readers_than_a_person_wants_to_read(scene: Scene) -> None:
    scene.config("settings", data={"a": "one"})
    scene.snapshot()
    scene.drop("ConfigMap", "settings")
    for number in range(6):
        scene.workload(f"web-{number}", reading("volume", "settings"))
    lines = text(scene)
    assert sum("(files, app: /etc/app)" in line for line in lines) == 4
    assert "             … and 2 more" in lines
