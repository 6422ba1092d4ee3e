# SPDX-License-Identifier: Apache-2.0
"""Carries plans out with the durable engine, and goes on with runs that stopped."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from backout.app.admission import PLAIN, Terms, require_free, require_policy
from backout.app.events import Failed, RunBegins, RunPauses, RunTells
from backout.app.fleet import Apart, Reaching, taking_back
from backout.app.snapshots.opening import told
from backout.app.store import open_store, run_meant
from backout.errors import BackoutError, Interrupted, LockedError, RefusedError, TimedOut
from backout.snapshots import source

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.dbos_engine import DbosEngine
    from backout.engine.port import Json, Workflow, WorkflowContext
    from backout.engine.store.port import RunStore
    from backout.model.operation import Operation
    from backout.model.run import Run
    from backout.scopes.port import Scopes
    from backout.workflows.services import Services

STOPPED = 130
CARRIED_OUT = ("recovered", "not-recovered", "unknown")
"""Ends of runs whose steps were all done."""
PARTLY = 8
NOT_SEEN = 7
"""What a command ends with that could not read all that its answer depends on."""
UNEXPECTED = 1
WORST = (PARTLY, 7, 9, UNEXPECTED, STOPPED)
"""Exit codes in the order of how much a person must do about them; of all others the highest counts."""


def worst(codes: Sequence[int]) -> int:
    """The exit code that stands for all; 0 only when all are."""
    return next((code for code in WORST if code in codes), max(codes, default=0))


def exit_code_of(run: Run) -> int:
    """What a command that carried this run out ends with."""
    return run.failure.exit_code if run.failure else 0 if run.state == "recovered" else STOPPED


def exit_code_of_all(runs: Sequence[Run], failures: Sequence[Failed]) -> int:
    """What a command ends with that carried ``runs`` out and left the ``failures`` out."""
    code = worst([*(exit_code_of(run) for run in runs), *(failed.error.exit_code for failed in failures)])
    # Something was written, and something was left out: that is neither a refusal nor a success.
    partly = code not in WORST or (code == UNEXPECTED and any(failed.error.exit_code == code for failed in failures))
    return PARTLY if code and partly and any(run.state in CARRIED_OUT for run in runs) else code


def preload() -> None:
    """Begins the import of the engine (about half a second) beside whatever is done next."""
    from backout.engine.dbos_records import preload as begin

    begin()


def actor() -> str:
    """Who does it: the user of this machine."""
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"


async def run_all(
    workspace: Workspace, plans: Sequence[Operation], terms: Terms = PLAIN
) -> tuple[list[Run], list[Failed]]:
    """Carries the plans out, one after the other; a stop ends with the one that is under way. What reads something that was not
    verified to be back is not begun.

    Raises:
        BackoutError: there is one plan, and its run could not begin or did not end.
    """
    from backout.planning.needs import before

    runs: list[Run] = []
    failures: list[Failed] = []
    command = secrets.token_hex(4) if len(plans) > 1 else ""
    verified: list[Operation] = []
    for number, plan in enumerate(plans):
        if late := [one for one in before(plan, plans) if one not in verified]:
            failures.append(Failed.of(plan, _too_early(plan, late)))
            continue
        try:
            require_policy(workspace, plan, terms)
            async with connected(workspace, plan) as scopes:
                runs.append(await carry_out(workspace, scopes, plan, command, terms))
                verified += [plan] if runs[-1].state == "recovered" else []
                runs += _taken_back(workspace, runs[-1])
        except BackoutError as error:
            if len(plans) == 1:
                raise
            failures.append(Failed.of(plan, error))
            if isinstance(error, Interrupted):
                failures += [Failed.of(other, _not_begun(other)) for other in plans[number + 1 :]]
                break
    return runs, failures


def _not_begun(plan: Operation) -> Interrupted:
    return Interrupted("{target} was not begun, since it was stopped before.", target=plan.targets)


def _too_early(plan: Operation, late: Sequence[Operation]) -> RefusedError:
    return RefusedError(
        "{target} was not begun: it goes after {earlier}, which is not verified.",
        target=plan.targets,
        earlier=", ".join(other.targets for other in late),
        hint="See to that first, then plan again.",
    )


async def run_one(workspace: Workspace, plan: Operation) -> Run:
    """Carries one plan out over a connection of its own; otherwise as `carry_out`.

    Raises:
        ToolMissing: a program that it calls is not installed.
        FrozenError, OverLimitError, NotApprovedError: policy forbids it.
    """
    from backout.app.approval import require_tools

    require_policy(workspace, plan, PLAIN)
    await require_tools(plan)
    async with connected(workspace, plan) as scopes:
        return await carry_out(workspace, scopes, plan)


@asynccontextmanager
async def connected(workspace: Workspace, plan: Operation) -> AsyncIterator[Scopes]:
    """The scopes of a plan, over one connection a cluster; of one that goes over many, nothing is connected before its part."""
    from backout.scopes.clusters import ClusterScopes

    if plan.fleet is not None:
        yield Apart()
        return
    async with AsyncExitStack() as open_:
        clusters = {
            name: await open_.enter_async_context(workspace.cluster(workspace.reached_by(plan, name)))
            for name in plan.clusters
        }
        await workspace.learned()
        yield ClusterScopes(lambda scope: clusters[scope.cluster])


async def carry_out(
    workspace: Workspace, scopes: Scopes, plan: Operation, command: str = "", terms: Terms = PLAIN
) -> Run:
    """Begins a run of ``plan`` and follows it to its end, whatever that is: a run that failed is returned too.

    ``command`` is what runs have in common that were begun together.

    Raises:
        StateError: the state database can't be used.
        LockedError, Interrupted: the run did not end; the front was told its id.
    """
    from backout.app.approving import prepare, wait
    from backout.app.audit.book import sign_end
    from backout.model.run import ENDED
    from backout.workflows.runner import begin, new_run

    with open_store(workspace, create=True) as store:
        require_free(store, plan)
        run = new_run(store, plan, actor())
        if prepare(workspace, store, run, terms):
            run = await wait(workspace, store, run)
            if run.state in ENDED:
                sign_end(workspace, store)
                return run
        ended = await _follow(workspace, scopes, store, run, lambda engine: begin(engine, store, run.id), command)
        return await _put_back(workspace, scopes, store, ended)


def _taken_back(workspace: Workspace, run: Run) -> list[Run]:
    """The run that took this one back by its own policy, as it ended; none where there is none."""
    if run.operation.fleet is None:
        return []
    with open_store(workspace) as store:
        return [other] if (other := taking_back(store, run)) else []


async def _put_back(workspace: Workspace, scopes: Scopes, store: RunStore, run: Run) -> Run:
    """Carries out the run that takes this one back by its own policy; returns this one as it is then."""
    from backout.workflows.runner import begin

    other = taking_back(store, run)
    if other is None or other.state != "pending":
        return run
    await _follow(workspace, scopes, store, other, lambda engine: begin(engine, store, other.id))
    return store.get(run.id)


async def resume(workspace: Workspace, name: str = "latest", override: str = "") -> Run:
    """Goes on with a run that was killed or interrupted; otherwise as `carry_out`. ``override``: why it may in a freeze window.

    Raises:
        RunNotFound: no such run.
        RefusedError: it has ended.
        NotApprovedError: it waits for other people's yes.
        LockedError: it is running.
    """
    from backout.planning.policy import Policy
    from backout.workflows.policing import override as note_override
    from backout.workflows.policing import require_approved
    from backout.workflows.runner import require_unended
    from backout.workflows.services import utc_now

    with open_store(workspace) as store:
        found = store.get(run_meant(workspace, store, name))
        require_unended(store, found)
        if found.state == "pending":
            require_approved(Policy(workspace.settings), found, store.events(found.id))
    if override:
        with open_store(workspace, create=True) as store:
            note_override(store, found, actor(), override, utc_now())
    preload()
    async with connected(workspace, found.operation) as scopes:
        return await _carry_on(workspace, scopes, found)


async def abort(workspace: Workspace, name: str) -> Run:
    """Stops a run for good at its next step. Where no process is at work on it, it ends here: nothing more is done of it,
    and what it holds on the cluster is let go. Of a run over many clusters, where some are named, the parts there stop, and the
    others go on.

    Returns the run as it is then: still under way where another process carries it out.

    Raises:
        RunNotFound: no such run.
        RefusedError: it has ended.
        BackoutError: it could not be ended here; the wish stays, and `resume` ends it.
    """
    import getpass

    from backout.model.run import ENDED

    with open_store(workspace, create=True) as store:
        found = store.get(run_meant(workspace, store, name))
        if found.state in ENDED:
            raise RefusedError(
                "Run {run} has ended already: {state}.",
                run=found.id,
                state=found.state,
                hint="To take back what it did: backout undo {run}",
            )
        if found.operation.fleet is not None and workspace.where.contexts:
            from backout.workflows.fleet_end import ask_to_stop
            from backout.workflows.services import utc_now

            ask_to_stop(store, found, workspace.where.contexts, getpass.getuser(), utc_now())
            return found
        store.owners.request_abort(found.id, getpass.getuser())
        if store.owners.alive(found.id):
            return found
    preload()
    async with connected(workspace, found.operation) as scopes:
        try:
            return await _carry_on(workspace, scopes, found)
        except LockedError:
            return found  # somebody went on with it at this very moment, and will see what was asked


async def _carry_on(workspace: Workspace, scopes: Scopes, run: Run) -> Run:
    from backout.workflows.runner import go_on

    with open_store(workspace, create=True) as store:
        ended = await _follow(workspace, scopes, store, run, lambda engine: go_on(engine, store, run.id))
        return await _put_back(workspace, scopes, store, ended)


def with_snapshots(workspace: Workspace, known: Mapping[str, Workflow]) -> dict[str, Workflow]:
    """The workflows, each with the snapshots of this workspace, whoever begins it: an engine has tasks of its own."""

    def within(workflow: Workflow) -> Workflow:
        async def begun(context: WorkflowContext, payload: Json) -> Json:
            with source.using(workspace.settings.snapshots):
                return await workflow(context, payload)

        return begun

    return {name: within(workflow) for name, workflow in known.items()}


def _kept(run: Run, error: BackoutError) -> bool:
    """Whether the run can be resumed and says itself what stopped it, so that it is told as one that ended is: where time ran
    out, or where parts on other clusters are done."""
    if run.failure is None or run.failure.message.text != error.message or isinstance(error, Interrupted):
        return False
    return isinstance(error, TimedOut) or run.operation.fleet is not None


def left_with(store: RunStore, run: str, error: BackoutError) -> BackoutError | None:
    """What is to be told of a run that was left with an error; None where it says itself how it stands."""
    from backout.model.run import ENDED
    from backout.workflows.telling import stopped

    # An ended run keeps its own failure, which says more; what did not end is the caller's to tell.
    found = store.get(run)
    if found.state in ENDED or _kept(found, error):
        return None
    return stopped(error, run, store.events(run))


def services_for(workspace: Workspace, scopes: Scopes, store: RunStore, run: Run, command: str = "") -> Services:
    """The outside of a run in this process."""
    from backout.planning.policy import Policy
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.before import RunSnapshots
    from backout.workflows.services import Services

    return Services(
        store=store,
        captures=CaptureStore(),
        scopes=scopes,
        command=command,
        actor=actor(),
        policy=Policy(workspace.settings),
        protected=workspace.settings.policy.protected,
        reach=Reaching(workspace, run.operation) if run.operation.fleet is not None else None,
        snapshots=RunSnapshots(workspace.settings.snapshots, lambda found: workspace.tell(told(found))),
    )


async def _follow(
    workspace: Workspace,
    scopes: Scopes,
    store: RunStore,
    run: Run,
    work: Callable[[DbosEngine], Awaitable[Run]],
    command: str = "",
) -> Run:
    from backout.app.audit.book import sign_end
    from backout.engine.dbos_engine import DbosEngine
    from backout.workflows.runner import workflows

    workspace.tell(RunBegins(run))
    stop_listening = store.listen(lambda event: workspace.tell(RunTells(event)))
    services = services_for(workspace, scopes, store, run, command)
    engine = DbosEngine(store, with_snapshots(workspace, workflows(services)))
    try:
        with workspace.front.stoppable(run.id, engine.interrupt):
            await work(engine)
    except BackoutError as error:
        if (left := left_with(store, run.id, error)) is not None:
            raise left from error
    finally:
        stop_listening()
        workspace.tell(RunPauses(run.id))
        # Its threads take a while to end: the engine of a next plan waits for them, the end of the process does not.
        await engine.close(wait=False)
        sign_end(workspace, store)
    return store.get(run.id)
