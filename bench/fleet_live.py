# SPDX-License-Identifier: Apache-2.0
"""Many embedded clusters with the same bad rollout, taken back in waves, and then by a serial script."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from shutil import which

from bench import peers
from bench.measure import Failed, Program
from bench.places import QUICK
from bench.report import Tell
from kubetwin import process
from kubetwin.client import Api
from kubetwin.lab import workload_scenarios
from kubetwin.lab.behaviour import Behaviour
from kubetwin.lab.builder import Lab
from kubetwin.transport import HttpTransport

NAMESPACE = "bench-fleet"
TARGET = f"deployment/{workload_scenarios.NAMES['deployment']}"
DELAY, SOAK, GATE = 5.0, 5.0, 2.0
COMMAND = f"backout run {TARGET} --context all --wave 1,25%,rest --yes"
AT_ONCE = 8
SCRIPT = """set -e
for cluster in {clusters}; do
  {kubectl} --context "$cluster" -n {namespace} rollout undo {target}
  {kubectl} --context "$cluster" -n {namespace} rollout status {target} --timeout=300s
done
"""


@dataclass(slots=True)
class Waves:
    """What came out; seconds and bytes."""

    clusters: int
    waves: int
    whole: float
    least: float
    sum: float
    cpu: float
    rss: int
    script: float
    script_cpu: float
    delay: float = DELAY
    soak: float = SOAK
    gate: float = GATE


@dataclass(slots=True)
class Many:
    """The clusters, and what programs need to reach them away from the user's own files."""

    scratch: Path
    kubeconfig: Path
    names: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> str:
        """A configuration file with the times of this benchmark."""
        path = self.scratch / "backout.yaml"
        path.write_text(
            f"apiVersion: backout.dev/v1\nverify: {{soak: {SOAK}}}\n"
            f"fleet: {{parallel: {max(len(self.names), 1)}, gate: {{soak: {GATE}}}}}\n"
        )
        return str(path)

    def play(self, act: Callable[[Lab], Awaitable[None]]) -> None:
        """Lets the lab do something on each, a few at a time."""
        asyncio.run(self._play(act))

    async def _play(self, act: Callable[[Lab], Awaitable[None]]) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                api = Api(HttpTransport.from_kubeconfig(self.kubeconfig, name), user_agent="helm-lab")
                try:
                    where = str(self.kubeconfig)
                    await act(Lab(api, helm="helm", kubeconfig=where, context=name, namespace=NAMESPACE))
                finally:
                    await api.close()

        await asyncio.gather(*(one(name) for name in self.names))


@contextmanager
def clusters(count: int, delay: float = DELAY) -> Iterator[Many]:
    """So many, in one process; each new pod takes ``delay`` seconds to start."""
    with tempfile.TemporaryDirectory(prefix="bench-") as found:
        scratch = Path(found)
        twin = process.up(scratch / "twin", process.cluster_names(count), kubelet={**QUICK, "start_delay": delay})
        env = {
            "KUBECONFIG": str(twin.kubeconfig),
            "HOME": str(scratch),
            "BACKOUT_STATE": str(scratch / "state.db"),
            "BACKOUT_DATA": str(scratch / "data"),
        }
        try:
            yield Many(scratch, twin.kubeconfig, twin.clusters, env)
        finally:
            process.down(scratch / "twin")


async def build(lab: Lab) -> None:
    """Two good rollouts, each of which replaces all pods at once: so does the bad one, and so does the way back."""
    await lab.make_namespace()
    made = workload_scenarios.manifest(lab, "deployment", "1.4.0")
    made["spec"]["strategy"] = {"type": "Recreate"}
    await lab.create("deployment", made)
    await lab.until_healthy()
    await workload_scenarios.set_image(lab, "deployment", "1.4.1", Behaviour.GOOD)
    await lab.until_healthy()


def breaking(version: str) -> Callable[[Lab], Awaitable[None]]:
    """A rollout that crashes."""

    async def broken(lab: Lab) -> None:
        await workload_scenarios.set_image(lab, "deployment", version, Behaviour.CRASH)
        await lab.until_broken(workload_scenarios.NAMES["deployment"], {"CrashLoopBackOff"}, restarts=1)

    return broken


def against_a_script(count: int, tell: Tell) -> Waves:
    """One pair: Backout, then the script.

    Raises:
        Failed: one of them did not end well, or kubectl is not there.
    """
    if which(peers.kubectl()) is None:
        raise Failed("kubectl is not installed (`python -m backout.tools` brings it)")
    with clusters(count) as many:
        tell(f"building {count} clusters")
        many.play(build)
        many.play(breaking("2.0.0"))
        words = ("run", TARGET, "-n", NAMESPACE, "--context", "all", "--wave", "1,25%,rest", "--yes", "-o", "json")
        ours = Program(
            "backout run", [peers.backout(), "--config", many.config, *words], env=many.env, keep=True, timeout=1800
        )
        ended = ours.run()
        (run,) = json.loads(ended.out)["items"]
        if run["state"] != "recovered" or len(run["parts"]) != count:
            raise Failed(f"the run ended {run['state']}")
        tell(f"backout: {ended.sample.wall:.0f} s")
        many.play(breaking("2.0.1"))
        script = many.scratch / "runbook.sh"
        words_of = {"clusters": " ".join(many.names), "namespace": NAMESPACE, "target": TARGET}
        script.write_text(SCRIPT.format(kubectl=which(peers.kubectl()), **words_of))
        theirs = Program("serial script", ["bash", str(script)], env=many.env, timeout=7200).run()
        tell(f"serial script: {theirs.sample.wall:.0f} s")
        many.play(Lab.until_healthy)
    took = [(one["wave"], _between(one["began"], one["ended"])) for one in run["parts"]]
    slowest = [
        max(spent for number, spent in took if number == wave) for wave in sorted({number for number, _ in took})
    ]
    return Waves(
        clusters=count,
        waves=len(slowest),
        whole=_between(run["started"], run["ended"]),
        least=sum(slowest) + GATE * (len(slowest) - 1),
        sum=sum(spent for _, spent in took),
        cpu=ended.sample.cpu,
        rss=ended.sample.rss,
        script=theirs.sample.wall,
        script_cpu=theirs.sample.cpu,
    )


def _between(began: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
