# SPDX-License-Identifier: Apache-2.0
"""kill -9 of our own process, and of helm under it, in the middle of a rollback: run again, it ends the same."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from helm_world import World, wait

from backout.model.part import Step

CHILD = Path(__file__).with_name("helm_child.py")


def slow_helm(world: World, folder: Path) -> tuple[Path, Path, Path]:
    """A helm that says where it is, waits for a word, and then is the real one."""
    program, started, go = folder / "slow-helm", folder / "started", folder / "go"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib, sys, time\n"
        "if 'rollback' in sys.argv:\n"
        f"    pathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        f"    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
        f"os.execv({world.helm_path!r}, [{world.helm_path!r}, *sys.argv[1:]])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program, started, go


def begin(world: World, step: Step, folder: Path, helm: Path) -> subprocess.Popen[bytes]:
    file = folder / "step.json"
    file.write_bytes(msgspec.json.encode(step))
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(world.harness.kubeconfig), world.harness.context or "", str(file), "0"],
        env={**os.environ, "BACKOUT_HELM": str(helm)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("helm_dies_too", [False, True], ids=["helm-lives", "helm-dies"])
def test_killed_in_the_middle_of_a_rollback(world: World, tmp_path: Path, helm_dies_too: bool) -> None:
    world.install(tag="1.0")
    world.upgrade(tag="1.1")
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    program, started, go = slow_helm(world, tmp_path)
    running = begin(world, step, tmp_path, program)
    try:
        wait(lambda: started.exists() and started.read_text() != "", 60, "helm to start")
    finally:
        running.kill()
        running.wait()
    helm = int(started.read_text())
    if helm_dies_too:
        os.kill(helm, signal.SIGKILL)
    go.touch()
    wait(
        lambda: not Path(f"/proc/{helm}").exists() or "State:\tZ" in Path(f"/proc/{helm}/status").read_text(),
        60,
        "its end",
    )
    assert world.statuses() == ["superseded", "deployed"], "a helm without us writes nothing"
    outcome, context = world.execute(step)
    assert world.statuses() == ["superseded", "superseded", "deployed"]
    assert outcome.data["revision"] == 3 and outcome.changed and context.guards


def test_helm_killed_after_it_began_to_write(world: World, tmp_path: Path) -> None:
    """What the dead helm left is pending-rollback with the target's content: ours, so it is finished."""
    world.install(tag="1.0")
    world.until_healthy()
    world.upgrade(tag="1.1-crash-exit2")
    world.until_crashing()
    step = next(step for step in world.steps(1) if step.action == "helm.rollback")
    world.killed(lambda: world.statuses()[-1] == "pending-rollback", "rollback", "shop", "1", world.waiting)
    assert world.statuses()[-1] == "pending-rollback"
    outcome, _ = world.execute(step)
    assert outcome.changed and outcome.data["revision"] == 4
    assert world.statuses()[-1] == "deployed"
