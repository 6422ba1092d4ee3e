# SPDX-License-Identifier: Apache-2.0
"""One scenario from a healthy stack to the report, on embedded clusters or on a given one: the same code for both."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backout.cli.embedded import twin_errors
from backout.errors import BackoutError, NotVerifiedError, RefusedError

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.model.evidence import Diagnosis
    from backout.model.plan import Plan
    from backout.model.run import Run
    from kubetwin.lab.builder import Lab
    from kubetwin.lab.scenarios import Scenario

DEMO_NAMESPACE = "backout-demo"
STACK_NAMESPACE = "monitoring"
QUICK_KUBELET = {
    "start_delay": 0.3,
    "backoff_initial": 1.0,
    "backoff_max": 5.0,
    "volume_sync": 1.0,
    "traffic_interval": 1.0,
    "object_storage_interval": 1.0,
    "initial_sync_timeout": 3.0,
}
"""Seconds. A real kubelet waits 10 s to 5 min between restarts; a rehearsal need not."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scenario is played. ``own``: the cluster is the user's, so everything made there is removed again."""

    kubeconfig: str
    context: str
    namespace: str
    own: bool


@asynccontextmanager
async def rehearsal_place(session: Session, *, clusters: int, keep: bool) -> AsyncIterator[Place]:
    """The cluster that the session names, else embedded ones, which end with the rehearsal unless they are kept."""
    if session.options.contexts:
        async with session.workspace.cluster() as cluster:
            kubeconfig, context = str(getattr(cluster, "kubeconfig", "")), str(getattr(cluster, "context", ""))
        yield Place(kubeconfig, context, str(session.options.namespace or DEMO_NAMESPACE), own=True)
        return
    from msgspec.structs import replace

    from backout.model.settings import SnapshotSettings
    from kubetwin import process

    directory = Path(tempfile.mkdtemp(prefix="backout-demo-"))
    began = time.monotonic()
    with twin_errors():
        twin = process.up(directory, process.cluster_names(clusters), kubelet=QUICK_KUBELET)
    session.note(
        "{count} embedded clusters are up after {seconds} s: {names}",
        count=clusters,
        seconds=f"{time.monotonic() - began:.1f}",
        names=", ".join(twin.clusters),
    )
    # The second of them breaks: one cluster of several, as it happens.
    context = twin.clusters[min(1, len(twin.clusters) - 1)]
    try:
        with _own_state(directory, keep=keep):
            if not keep:
                # The repository of the user's configuration is not for rehearsals.
                workspace = session.workspace
                workspace.use(replace(workspace.settings, snapshots=SnapshotSettings()))
                await _own_repository(session)
            yield Place(str(twin.kubeconfig), context, STACK_NAMESPACE, own=False)
    finally:
        if keep:
            session.note("Left up: export KUBECONFIG={file}", file=str(twin.kubeconfig))
            session.note("End them with: backout twin down --directory {directory}", directory=str(directory))
        else:
            process.down(directory)
            shutil.rmtree(directory, ignore_errors=True)


async def _own_repository(session: Session) -> None:
    """Made beforehand: what is said of a new key is for keys that stay."""
    from backout.snapshots.repository.opening import open_repository

    found = await open_repository(session.workspace.settings.snapshots, create=True)
    await found.repository.close()
    session.note("Snapshots go into a repository of this rehearsal, which is removed with it.")


class _own_state:
    """A demo on embedded clusters leaves nothing in the user's own state and captures; kept ones keep theirs."""

    def __init__(self, directory: Path, *, keep: bool) -> None:
        self._places = (
            {}
            if keep
            else {
                "BACKOUT_STATE": directory / "state.db",
                "BACKOUT_DATA": directory / "data",
                "KUBECACHEDIR": directory / "cache",
                "XDG_STATE_HOME": directory / "state",
            }
        )
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        for name, path in self._places.items():
            self._before[name] = os.environ.get(name)
            os.environ[name] = str(path)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _lab_work() -> Iterator[None]:
    """Around what the lab does: its errors become ours."""
    from kubetwin.lab.builder import lab_errors

    with twin_errors(), lab_errors():
        yield


async def rehearse(session: Session, scenario: Scenario, place: Place, *, undo: bool = False) -> dict[str, Any]:
    """Plays one scenario; the answer is the document of `demo -o json`. Only ``recovered`` and ``refused`` are good."""
    from backout.engine.dbos_engine import preload

    preload()

    with _lab_work():
        lab = await _lab(session, place)
    try:
        answer = await _play(session, scenario, place, lab, undo=undo)
    finally:
        try:
            if place.own:
                with _lab_work():
                    await lab.remove_namespace()
        finally:
            await lab.api.close()
    return answer


async def _lab(session: Session, place: Place) -> Lab:
    from backout.tools import ensure
    from kubetwin.client import Api
    from kubetwin.lab.behaviour import Images
    from kubetwin.lab.builder import Lab
    from kubetwin.transport import HttpTransport

    helm = await ensure("helm", say=lambda text: session.note(text))
    api = Api(HttpTransport.from_kubeconfig(place.kubeconfig, place.context), user_agent="helm-lab")
    simulated = await _simulated(api)
    return Lab(
        api,
        helm=helm.path,
        kubeconfig=place.kubeconfig,
        context=place.context,
        namespace=place.namespace,
        images=Images(real=not simulated),
    )


async def _simulated(api: Any) -> bool:
    """True when the nodes are simulated, which their kubelet says."""
    from kubetwin.kinds import NODES

    nodes = (await api.list(NODES))["items"]
    return any("Simulated" in node["status"].get("nodeInfo", {}).get("osImage", "") for node in nodes)


async def _play(session: Session, scenario: Scenario, place: Place, lab: Lab, *, undo: bool) -> dict[str, Any]:

    session.note("")
    session.note("{id}: {title}", id=scenario.id, title=session.page().say(scenario.title))
    began = time.monotonic()
    answer: dict[str, Any] = {"scenario": scenario.id, "outcome": "failed", "cause": "", "mechanism": "", "target": ""}
    try:
        with _lab_work():
            await _break(session, scenario, place, lab)
        began = time.monotonic()
        async with _cluster(session, place) as cluster:
            runs = await _take_back(session, scenario, place, cluster, answer)
            if scenario.holds is not None:
                with _lab_work():
                    await scenario.holds(lab)
            await _nothing_left(cluster, place)
            if undo:
                await _undo(session, cluster, runs)
    except RefusedError as error:
        _told(session, error)
        answer |= {"outcome": "refused", "why": error.message, "code": error.code}
    except BackoutError as error:
        _told(session, error)
        answer |= {"why": error.message, "code": error.code}
    else:
        answer["outcome"] = "recovered"
    answer["seconds"] = round(time.monotonic() - began, 1)
    if session.text:
        _report(session, answer)
    return answer


async def _break(session: Session, scenario: Scenario, place: Place, lab: Lab) -> None:
    from backout.cli.rehearsed_snapshot import take_good_snapshot

    async def snapshot() -> None:
        async with _cluster(session, place) as cluster:
            await take_good_snapshot(session, cluster, place.namespace)

    session.note(
        "Building a healthy stack on {cluster}, namespace {namespace} …",
        cluster=place.context,
        namespace=place.namespace,
    )
    lab.snapshot = snapshot
    await scenario.prepare(lab)
    session.note("Breaking it …")
    await scenario.break_it(lab)


@asynccontextmanager
async def _cluster(session: Session, place: Place) -> AsyncIterator[Cluster]:
    from backout.cluster.client import connect

    cluster = connect(place.kubeconfig, place.context)
    try:
        yield cluster
    finally:
        await cluster.close()


async def _take_back(
    session: Session, scenario: Scenario, place: Place, cluster: Cluster, answer: dict[str, Any]
) -> list[Run]:
    diagnosis = await _diagnose(session, scenario, place, cluster)
    problems = {str(problem.target): problem for problem in diagnosis.problems}
    wanted = [problems[name] for name in scenario.targets if name in problems]
    answer |= {
        "cause": "; ".join(problem.cause.text for problem in wanted),
        "mechanism": wanted[0].mechanism,
        "target": ", ".join(scenario.targets),
        "confidence": wanted[0].confidence,
        "runs": [],
    }
    runs = []
    for problem in wanted:
        run = await _run(session, scenario, cluster, diagnosis, problem.target)
        answer["runs"].append(run.id)
        runs.append(run)
    return runs


async def _diagnose(session: Session, scenario: Scenario, place: Place, cluster: Cluster) -> Diagnosis:
    """Diagnoses, and holds the answer to what the scenario broke.

    Raises:
        NotVerifiedError: something was missed or named wrong.
    """
    from backout.cli.render.diagnosis import show_diagnosis
    from backout.diagnosis.diagnose import diagnose

    session.note("")
    session.note("$ backout diagnose -n {namespace}", namespace=place.namespace)
    diagnosis = await diagnose(cluster, place.namespace)
    if session.text:
        page = session.page()
        show_diagnosis(page, diagnosis)
        page.show()
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


async def _run(session: Session, scenario: Scenario, cluster: Cluster, diagnosis: Diagnosis, target: Any) -> Run:
    from backout.app.approval import require_approval
    from backout.app.running import carry_out
    from backout.cli.endings import conclude
    from backout.cli.render.plan import show_plan
    from backout.workflows.prepare import make_plan

    session.note("")
    session.note("$ backout run {target} -n {namespace} --yes", target=str(target), namespace=target.namespace)
    plan: Plan = await make_plan(
        cluster, target, made_at=diagnosis.at, problems=diagnosis.problems, settings=session.workspace.settings
    )
    if session.text:
        page = session.page()
        show_plan(page, plan)
        page.line()
        page.show()
    if scenario.revision is not None and plan.revision.number != scenario.revision:
        raise NotVerifiedError(
            "The plan goes to the wrong revision.",
            expected="revision {wanted}",
            found="revision {chosen}",
            wanted=scenario.revision,
            chosen=plan.revision.number,
        )
    require_approval(plan, scenario.approve)
    run = await carry_out(session.workspace, cluster, plan)
    if session.text:
        conclude(session, run)
    if run.state != "recovered":
        raise NotVerifiedError("Run {run} ended {state}.", run=run.id, state=run.state)
    return run


async def _nothing_left(cluster: Cluster, place: Place) -> None:
    """
    Raises:
        NotVerifiedError: a lease of a run is still there.
    """
    from backout.cluster.port import LEASES

    left = [lease["metadata"]["name"] for lease in await cluster.list_all(LEASES, place.namespace)]
    if left:
        raise NotVerifiedError("The run left something behind: {leases}.", leases=", ".join(left))


async def _undo(session: Session, cluster: Cluster, runs: list[Run]) -> None:
    """Takes the runs back, the last one first.

    Raises:
        NotVerifiedError: the broken state is not there again.
    """
    from backout.app.running import carry_out
    from backout.app.store import open_store
    from backout.cli.endings import conclude
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.undo import undo_plan

    for run in reversed(runs):
        session.note("")
        session.note("$ backout undo {run} --yes", run=run.id)
        with open_store(session.workspace) as store:
            plan = undo_plan(
                store.get(run.id),
                store.events(run.id),
                await cluster.server_time(),
                CaptureStore(),
                store.capture_digest(run.id),
            )
        undone = await carry_out(session.workspace, cluster, plan)
        if session.text:
            conclude(session, undone)
        if undone.state != "recovered":
            raise NotVerifiedError("The undo of run {run} ended {state}.", run=run.id, state=undone.state)


def _told(session: Session, error: BackoutError) -> None:
    if session.text:
        from backout.cli.failures import show_failure

        show_failure(error, session.options)


def _report(session: Session, answer: dict[str, Any]) -> None:
    """The write-up of the last run, then one line of outcome."""
    import click

    from backout.app.store import open_store
    from backout.report import render

    if answer.get("runs"):
        run = answer["runs"][-1]
        session.note("")
        session.note("$ backout report {run}", run=run)
        with open_store(session.workspace) as store:
            click.echo(render(store.get(run), store.events(run), session.lang))
    session.note(
        "{id}: {outcome} after {seconds} s",
        id=answer["scenario"],
        outcome=session.page().say(answer["outcome"]),
        seconds=answer["seconds"],
    )
