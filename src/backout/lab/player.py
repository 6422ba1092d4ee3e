# SPDX-License-Identifier: Apache-2.0
"""One scenario from a healthy stack to the report, wherever it is played: the same code for every place."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from backout.errors import BackoutError, NotVerifiedError
from backout.lab.embedded import twin_errors
from backout.locales import N_

if TYPE_CHECKING:
    from backout import Backout, Diagnosis, Front, Operation, Run, Settings, Taken, Target
    from backout.lab.places import Place
    from kubetwin.lab.builder import Lab
    from kubetwin.lab.scenarios import Scenario

Ending = Literal["recovered", "stopped", "failed"]
GOOD: tuple[Ending, ...] = ("recovered", "stopped")
CALLED: dict[Ending, str] = {"recovered": N_("recovered"), "stopped": N_("stopped as it must"), "failed": N_("failed")}


class Stage(Protocol):
    """Shows a rehearsal, step by step; ``note`` takes a sentence and what stands in it."""

    @property
    def front(self) -> Front:
        """Is told what Backout does meanwhile."""

    @property
    def lang(self) -> str:
        """The reader's language."""

    def note(self, text: str, /, **args: object) -> None:
        """A sentence of progress."""

    def says(self, text: str) -> str:
        """A sentence in the reader's language."""

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """What was found."""

    def planned(self, plan: Operation) -> None:
        """What is going to be done."""

    def ended(self, run: Run) -> None:
        """How a run ended."""

    def taken(self, taken: Taken) -> None:
        """A snapshot that was taken."""

    def failed(self, error: BackoutError) -> None:
        """What went wrong."""

    def reported(self, text: str) -> None:
        """The write-up of the last run."""


@dataclass(slots=True)
class Outcome:
    """How a rehearsal ended. ``why`` and ``code`` are of the error that ended it."""

    scenario: str
    outcome: Ending = "failed"
    cause: str = ""
    mechanism: str = ""
    target: str = ""
    confidence: str = ""
    runs: list[str] = field(default_factory=list)
    why: str = ""
    code: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether it ended as it may."""
        return self.outcome in GOOD


@dataclass(frozen=True, slots=True)
class Props:
    """What a rehearsal works with: the helm binary that deploys its stacks, and the settings of Backout."""

    helm: Path
    settings: Settings


@contextmanager
def lab_work() -> Iterator[None]:
    """Around what the lab does: its errors become ours."""
    with twin_errors():
        from kubetwin.lab.builder import lab_errors

        with lab_errors():
            yield


async def rehearse(stage: Stage, scenario: Scenario, place: Place, props: Props, *, undo: bool = False) -> Outcome:
    """Plays one scenario.

    Raises:
        BackoutError: the stage could not be set; what Backout does wrong is in the outcome.
    """
    with lab_work():
        lab = await lab_of(place, props, scenario.release, scenario.chart)
    try:
        return await _play(stage, scenario, place, props, lab, undo=undo)
    finally:
        try:
            if place.own:
                with lab_work():
                    await lab.remove_namespace()
        finally:
            await lab.api.close()


async def lab_of(place: Place, props: Props, release: str, chart: str) -> Lab:
    """The hands that build and break there."""
    from kubetwin.client import Api
    from kubetwin.lab.behaviour import Images
    from kubetwin.lab.builder import Lab
    from kubetwin.transport import HttpTransport

    api = Api(HttpTransport.from_kubeconfig(place.kubeconfig, place.context), user_agent="helm-lab")
    simulated = await _simulated(api)
    return Lab(
        api,
        helm=str(props.helm),
        kubeconfig=place.kubeconfig,
        context=place.context,
        namespace=place.namespace,
        images=Images(real=not simulated),
        release=release,
        chart=chart,
    )


async def _simulated(api: Any) -> bool:
    """True when the nodes are simulated, which their kubelet says."""
    from kubetwin.kinds import NODES

    nodes = (await api.list(NODES))["items"]
    return any("Simulated" in node["status"].get("nodeInfo", {}).get("osImage", "") for node in nodes)


@asynccontextmanager
async def _backout(stage: Stage, place: Place, props: Props) -> AsyncIterator[Backout]:
    from backout import Backout

    async with Backout(
        kubeconfig=place.kubeconfig,
        context=place.context,
        namespace=place.namespace,
        config=props.settings,
        front=stage.front,
    ) as backout:
        yield backout


async def _play(stage: Stage, scenario: Scenario, place: Place, props: Props, lab: Lab, *, undo: bool) -> Outcome:
    stage.note("")
    stage.note("{id}: {title}", id=scenario.id, title=stage.says(scenario.title))
    began = time.monotonic()
    outcome = Outcome(scenario.id)
    try:
        with lab_work():
            await _break(stage, scenario, place, props, lab)
        began = time.monotonic()
        async with _backout(stage, place, props) as backout:
            runs = await _take_back(stage, scenario, place, backout, outcome)
            if scenario.holds is not None:
                with lab_work():
                    await scenario.holds(lab)
            with lab_work():
                await _nothing_left(lab, place)
            if undo:
                await _undo(stage, backout, runs)
        outcome.outcome = "recovered"
    except BackoutError as error:
        stage.failed(error)
        outcome.outcome = "failed"
        outcome.why, outcome.code = error.message, error.code
    outcome.seconds = round(time.monotonic() - began, 1)
    if outcome.runs:
        stage.note("")
        stage.note("$ backout report {run}", run=outcome.runs[-1])
        stage.reported(_report(stage, props, outcome.runs[-1]))
    stage.note(
        "{id}: {outcome} after {seconds} s",
        id=scenario.id,
        outcome=stage.says(CALLED[outcome.outcome]),
        seconds=outcome.seconds,
    )
    return outcome


def _report(stage: Stage, props: Props, run: str) -> str:
    from backout import Backout

    return Backout(config=props.settings).report(run, stage.lang)


async def _break(stage: Stage, scenario: Scenario, place: Place, props: Props, lab: Lab) -> None:
    async def snapshot() -> None:
        async with _backout(stage, place, props) as backout:
            await _good_snapshot(stage, place, backout)

    stage.note(
        "Building a healthy stack on {cluster}, namespace {namespace} …",
        cluster=place.context,
        namespace=place.namespace,
    )
    lab.snapshot = snapshot
    await scenario.prepare(lab)
    stage.note("Breaking it …")
    await scenario.break_it(lab)


async def _good_snapshot(stage: Stage, place: Place, backout: Backout) -> None:
    """The snapshot that people take before they deploy.

    Raises:
        NotVerifiedError: it does not count as a good one, so nothing could be taken from it.
    """
    stage.note("")
    stage.note("$ backout snapshot create -n {namespace}", namespace=place.namespace)
    taken = await backout.snapshots.create()
    stage.taken(taken)
    if not taken.snapshot.healthy:
        raise NotVerifiedError(
            "The stack of the rehearsal was not healthy when its snapshot was taken.",
            expected="a good snapshot",
            found="snapshot {id}, which is none",
            id=taken.snapshot.short,
        )


async def _take_back(stage: Stage, scenario: Scenario, place: Place, backout: Backout, outcome: Outcome) -> list[Run]:
    diagnosis = await _diagnose(stage, scenario, place, backout)
    problems = {str(problem.target): problem for problem in diagnosis.problems}
    wanted = [problems[name] for name in scenario.targets if name in problems]
    outcome.cause = "; ".join(problem.cause.text for problem in wanted)
    outcome.mechanism, outcome.confidence = wanted[0].mechanism, wanted[0].confidence
    outcome.target = ", ".join(scenario.targets)
    runs = []
    for problem in wanted:
        run = await _run(stage, scenario, backout, diagnosis, problem.target, outcome)
        runs.append(run)
    return runs


async def _diagnose(stage: Stage, scenario: Scenario, place: Place, backout: Backout) -> Diagnosis:
    """Diagnoses, and holds the answer to what the scenario broke.

    Raises:
        NotVerifiedError: something was missed or named wrong.
    """
    stage.note("")
    stage.note("$ backout diagnose -n {namespace}", namespace=place.namespace)
    diagnosis = await backout.diagnose()
    stage.diagnosed(diagnosis)
    found = {str(problem.target): {symptom.code for symptom in problem.symptoms} for problem in diagnosis.problems}
    for target in scenario.targets:
        if not scenario.find & found.get(target, set()):
            raise NotVerifiedError(
                "The diagnosis missed what was broken on {target}.",
                target=target,
                expected="one of {codes}",
                codes=", ".join(sorted(scenario.find)),
                found="{seen}",
                seen=", ".join(sorted(found.get(target, set()))) or "nothing",
            )
    return diagnosis


async def _run(
    stage: Stage, scenario: Scenario, backout: Backout, diagnosis: Diagnosis, target: Target, outcome: Outcome
) -> Run:
    stage.note("")
    stage.note("$ backout run {target} -n {namespace} --yes", target=str(target), namespace=target.namespace)
    plan = await backout.plan(target, diagnosis=diagnosis)
    stage.planned(plan)
    chosen = plan.parts[0].revision.number
    if scenario.revision is not None and chosen != scenario.revision:
        raise NotVerifiedError(
            "The plan goes to the wrong revision.",
            expected="revision {wanted}",
            found="revision {chosen}",
            wanted=scenario.revision,
            chosen=chosen,
        )
    run = await backout.run(plan, approve=scenario.approve)
    outcome.runs.append(run.id)
    stage.ended(run)
    if run.state != "recovered":
        raise NotVerifiedError("Run {run} ended {state}.", run=run.id, state=run.state)
    return run


async def _nothing_left(lab: Lab, place: Place) -> None:
    """
    Raises:
        NotVerifiedError: a lease of a run is still there.
    """
    from kubetwin.kinds import LEASES

    left = [lease["metadata"]["name"] for lease in (await lab.api.list(LEASES, place.namespace))["items"]]
    if left:
        raise NotVerifiedError("The run left something behind: {leases}.", leases=", ".join(left))


async def _undo(stage: Stage, backout: Backout, runs: list[Run]) -> None:
    """Takes the runs back, the last one first.

    Raises:
        NotVerifiedError: the broken state is not there again.
    """
    for run in reversed(runs):
        stage.note("")
        stage.note("$ backout undo {run} --yes", run=run.id)
        undone = await backout.undo(run.id)
        stage.ended(undone)
        if undone.state != "recovered":
            raise NotVerifiedError("The undo of run {run} ended {state}.", run=run.id, state=undone.state)
