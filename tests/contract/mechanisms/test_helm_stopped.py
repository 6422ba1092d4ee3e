# SPDX-License-Identifier: Apache-2.0
"""Everything of ours is stopped in the middle of a rollback, others repair the release meanwhile, and we wake up.

Whatever was about to be written is not: what the others did stands, and the run says what happened.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helm_world import RELEASE, World, wait

from backout.cluster.lease import lease_name

CHILD = Path(__file__).with_name("helm_child.py")
IMAGES = ("/apis/apps/v1/namespaces/{ns}/statefulsets/db", "/apis/apps/v1/namespaces/{ns}/deployments/web")


class Sleeper:
    """Our process, with helm under it, which is stopped at its ``stop``th write."""

    def __init__(self, world: World, folder: Path, stop: int) -> None:
        step = next(step for step in world.steps(1) if step.action == "helm.rollback")
        file, self.said = folder / "step.json", folder / "said"
        file.write_bytes(msgspec.json.encode(step))
        where = [str(world.harness.kubeconfig), world.harness.context or "", str(file), str(stop)]
        with self.said.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(CHILD), *where],
                env={**os.environ, "BACKOUT_HELM": world.helm_path},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait(lambda: self.process.poll() is not None or self._stopped(), 60, "it to stop")

    def _stopped(self) -> bool:
        return "stopped" in self.said.read_text()

    @property
    def helm(self) -> int:
        """The process of helm, 0 when there is none."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(found[0]) if found else 0

    def stop_helm(self) -> int:
        if helm := self.helm:
            os.killpg(helm, signal.SIGSTOP)
        return helm

    def wake(self, helm: int) -> str:
        """Both go on, helm first; how it ended."""
        for group in (helm, self.process.pid):
            if group:
                os.killpg(group, signal.SIGCONT)
        self.process.wait(120)
        return self.said.read_text().splitlines()[-1]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def images(world: World) -> list[str]:
    return [
        world.live(path)["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2] for path in IMAGES
    ]


def taken_over(world: World) -> None:
    """The lock goes to another run, as it does when nobody renews it."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases/{lease_name(f'helm/{RELEASE}')}"
    lease: dict[str, Any] = world.harness.get(path).ok()
    spec = {**lease["spec"], "holderIdentity": "another", "leaseTransitions": 1}
    world.harness.put(path, {**lease, "spec": spec}).ok()


@pytest.mark.parametrize("lock", ["taken", "left"])
@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_what_others_did_meanwhile_stands(world: World, tmp_path: Path, stop: int, lock: str) -> None:
    world.install(tag="1.0", web="1.0", mode="one")
    world.upgrade(tag="2.0", web="2.0", mode="two")
    sleeper = Sleeper(world, tmp_path, stop)
    try:
        assert sleeper.process.poll() is None, sleeper.said.read_text()
        helm = sleeper.stop_helm()
        assert helm, "helm is at work"
        if lock == "taken":
            taken_over(world)
        if world.statuses()[-1] == "pending-rollback":
            world.helm("rollback", RELEASE, "1")  # what `helm upgrade` itself asks for
        world.upgrade(tag="3.0", web="3.0", mode="three")
        time.sleep(0.5)
        before = world.statuses(), images(world)
        assert before[1] == ["3.0", "3.0"] and before[0][-1] == "deployed"
        said = sleeper.wake(helm)
    finally:
        sleeper.end()
    assert (world.statuses(), images(world)) == before, said
    settings = world.live("/api/v1/namespaces/{ns}/configmaps/settings")
    assert settings["data"]["mode"] == "three"
    # Before the first write nothing was done by us; after it, a person has to know.
    expected = ("PreconditionFailed 5", "LeaseLost 6") if stop == 1 else ("PartlyDoneError 8",)
    assert said.startswith(expected), said
    assert not Path(f"/proc/{helm}").exists(), "no helm is left"


@pytest.mark.parametrize("stop", [1, 3])
def test_a_short_stop_in_which_nobody_did_anything_is_none(world: World, tmp_path: Path, stop: int) -> None:
    world.install(tag="1.0")
    world.upgrade(tag="2.0")
    sleeper = Sleeper(world, tmp_path, stop)
    try:
        said = sleeper.wake(sleeper.stop_helm())
    finally:
        sleeper.end()
    assert said == "done True"
    assert world.statuses() == ["superseded", "superseded", "deployed"] and images(world)[0] == "1.0"


def test_killed_while_helm_is_stopped_helm_writes_nothing_when_it_goes_on(world: World, tmp_path: Path) -> None:
    world.install(tag="1.0")
    world.upgrade(tag="2.0")
    sleeper = Sleeper(world, tmp_path, 3)
    helm = sleeper.stop_helm()
    sleeper.end()
    world.helm("rollback", RELEASE, "2")
    before = world.statuses(), images(world)
    os.killpg(helm, signal.SIGCONT)
    wait(
        lambda: not Path(f"/proc/{helm}").exists() or "State:\tZ" in Path(f"/proc/{helm}/status").read_text(),
        60,
        "its end",
    )
    assert (world.statuses(), images(world)) == before
