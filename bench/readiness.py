# SPDX-License-Identifier: Apache-2.0
"""How soon it is seen that a rollout is complete."""

from __future__ import annotations

import sys
import threading
from typing import Any

from bench import machine, peers
from bench.measure import Ended, Failed, Program
from bench.observer import Observer, complete, settled
from bench.places import Place, places
from bench.report import Raw, Report, Table, Target, Tell, prose, write_raw
from bench.servers import here
from bench.stats import spread
from bench.table import seconds, three
from kubetwin.lab import workload_scenarios
from kubetwin.lab.behaviour import Behaviour
from kubetwin.lab.builder import Lab

LIMIT = 0.1
NAMESPACE = "bench-readiness"
NAME = workload_scenarios.NAMES["deployment"]
SLOW = {"minReadySeconds": 5}
"""So that both programs have long been watching when the rollout is complete."""

METHOD = """
A Deployment of two pods with `minReadySeconds: {seconds}` gets a new image, {rounds} times. `kubectl rollout status`
and Backout's verification (`backout.verify` with the check `workload-ready`, with which every run ends) both watch
the same rollout at the same time, in processes that have been up for seconds when it is complete. The reference is a
raw watch of a third client: when the event arrived after which the status of the Deployment is complete (what kubectl
waits for), or after which also every pod is ready and no old one is left (what Backout waits for). kubectl's time is
the end of its process, Backout's the moment that its verdict was there. Times in objects have whole seconds, so
nothing nearer to the commit can be had from outside; where the third client got its event last, the difference is
negative.
"""


async def healthy(lab: Lab) -> None:
    """A Deployment that takes a while until it is available."""
    await lab.make_namespace()
    made = workload_scenarios.manifest(lab, "deployment", "1.4.0")
    made["spec"] |= {**SLOW, "replicas": 2, "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}
    await lab.create("deployment", made)
    await lab.until_healthy()


def measure(tell: Tell, *, rounds: int = 10) -> Report:
    """Both watch the same rollout at the same time."""
    kubectl = peers.kubectl()
    report = Report(
        "readiness",
        "Readiness seen",
        [prose(METHOD, seconds=SLOW["minReadySeconds"], rounds=rounds)],
        tools=[f"kubectl {machine.tool_version(kubectl)}"],
    )
    raw: Raw = []
    with places() as found:
        for place in found:
            latencies: dict[str, list[float]] = {"kubectl rollout status": [], "Backout": []}
            place.play(NAMESPACE, "helm", healthy)
            try:
                for number in range(-1, rounds):
                    theirs, ours = _one(place, kubectl, number)
                    tell(f"{number + 1}/{rounds}  {place.words}: kubectl {theirs * 1000:.0f} ms, {ours * 1000:.0f} ms")
                    if number >= 0:
                        latencies["kubectl rollout status"].append(theirs)
                        latencies["Backout"].append(ours)
                        raw.append([place.words, number + 1, theirs, ours])
            finally:
                place.clear(NAMESPACE)
            rows = [[name, three(spread(values)), str(len(values))] for name, values in latencies.items()]
            report.tables.append(
                Table(f"From the event to its notice, {place.words}:", ["", "min / median / max", "Rollouts"], rows)
            )
            middle = spread(latencies["Backout"]).mid
            report.targets.append(
                Target(f"Readiness seen, {place.words}", f"within {seconds(LIMIT)}", seconds(middle), middle <= LIMIT)
            )
    write_raw("readiness", ("cluster", "rollout", "kubectl_s", "backout_s"), raw)
    return report


def _one(place: Place, kubectl: str, number: int) -> tuple[float, float]:
    """Seconds from the event to kubectl's exit, and to Backout's verdict."""
    env = {**place.env(), "PYTHONPATH": here()}
    peer = Program(
        "kubectl rollout status",
        [
            kubectl,
            "--context",
            place.context,
            "-n",
            NAMESPACE,
            "rollout",
            "status",
            f"deployment/{NAME}",
            "--timeout=120s",
        ],
        env=env,
    )
    ours = Program(
        "backout.verify", [sys.executable, "-m", "bench.seeing", place.context, NAMESPACE, NAME], env=env, keep=True
    )
    with Observer(place.kubeconfig, place.context, NAMESPACE) as observer:

        async def change(lab: Lab) -> None:
            await workload_scenarios.set_image(lab, "deployment", f"1.5.{number + 1}", Behaviour.GOOD)

        place.play(NAMESPACE, "helm", change)
        ends = _together(peer, ours)
        place.play(NAMESPACE, "helm", Lab.until_healthy)
    at, outcome = ends[1].out.split()
    done, calm = observer.turned(_complete), observer.turned(settled)
    if outcome != "recovered" or done is None or calm is None:
        raise Failed(f"a rollout was not seen to its end: {outcome}")
    return ends[0].began + ends[0].sample.wall - done, float(at) - calm


def _complete(state: dict[tuple[str, str], dict[str, Any]]) -> bool:
    return all(complete(obj) for (kind, _), obj in state.items() if kind == "Deployment")


def _together(*programs: Program) -> list[Ended]:
    """Runs them at the same time."""
    found: list[Ended | Exception] = [Failed("it did not run")] * len(programs)

    def run(number: int) -> None:
        try:
            found[number] = programs[number].run()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(programs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found:
        if isinstance(result, Exception):
            raise result
    return [result for result in found if isinstance(result, Ended)]
