# SPDX-License-Identifier: Apache-2.0
"""The bodies of the steps of a run. Each can be killed at any instant and run again; `rollback_v1` orders them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from backout.engine.port import PARKING, Json, StepBody
from backout.engine.store.port import RunStore
from backout.engine.wire import decode_error, encode_error, failure_of, of_house
from backout.errors import (
    AccessDenied,
    BackoutError,
    Interrupted,
    NotVerifiedError,
    PartlyDoneError,
    PlanChanged,
    TimedOut,
    UnexpectedError,
    WrongCluster,
)
from backout.model.message import Message, msg
from backout.model.plan import Access, Plan, Step
from backout.model.run import RunEvent, RunState, changed_steps
from backout.model.verdict import CheckResult, Verdict
from backout.planning import document
from backout.snapshots.capture import capture
from backout.verify.verify import verify
from backout.workflows.before import Kept
from backout.workflows.services import EffectContext, LeaseHolder, Services

GRACE = 60.0
"""Seconds beyond a step's own timeout before it is cut off: its own answer, after reading again, is the better one."""
KEPT = frozenset({"snapshot", "snapshot-skipped"})
"""The events that say what became of the snapshot before the first write."""
SKEW = 5.0
"""Seconds between our clock and the cluster's that are worth a word, since the timeline has times of both."""


GIVEN_UP = {"given-up": True}
"""What a step answers that was not tried again, since somebody asked to stop the parked run."""


class Stages:
    """One run in this process."""

    def __init__(self, services: Services, run: str, plan: Plan, actor: str) -> None:
        self._services = services
        self._run = run
        self._plan = plan
        self._lease = LeaseHolder(services, run, plan, actor)
        self._actor = actor
        self._snapshot: asyncio.Task[Kept] | None = None

    @property
    def store(self) -> RunStore:
        """Where the events go."""
        return self._services.store

    def tell(self, type: str, message: Message, *, key: str = "", step: str = "", **data: Any) -> None:
        """Records an event."""
        self.store.record(
            RunEvent(run=self._run, type=type, at=self._services.now(), message=message, key=key, step=step, data=data)
        )

    def _given_up(self) -> bool:
        """Whether somebody asked to stop a run that was parked: then it ends, and nothing is tried again."""
        return self.store.owners.abort_requested(self._run) and any(
            event.type == "run-ended" and event.data.get("state") == "interrupted"
            for event in self.store.events(self._run)
        )

    # before the first write

    def preflight(self) -> list[tuple[str, StepBody]]:
        """What must hold before anything is written, in order. Each answers ``{"failure": …}`` or what it found, or
        that the run was given up (`given_up`)."""
        return [
            (name, self._answered(body))
            for name, body in (
                ("check-plan", self._check_plan),
                ("identify-cluster", self._identify),
                ("check-access", self._access),
                ("take-lease", self._take_lease),
                ("capture", self._capture),
            )
        ]

    def _answered(self, body: Callable[[], Awaitable[Json]]) -> StepBody:
        """A step whose errors are its recorded answer: before the first write there is nothing to resume.

        But for those that nobody foresaw: they say nothing of what was asked, and park the run.
        """

        async def answered() -> Json:
            if self._given_up():
                return GIVEN_UP
            try:
                return await body()
            except (Interrupted, UnexpectedError):
                raise
            except BackoutError as error:
                return {"failure": encode_error(error)}

        return answered

    async def _check_plan(self) -> Json:
        """
        Raises:
            PlanChanged: not the plan that was approved.
        """
        document.check(self._plan)
        if self._plan.hash != self.store.get(self._run).plan.hash:
            raise PlanChanged("The plan of run {run} is not the one that was approved.", run=self._run)
        self._services.captures.check()
        return {}

    async def _identify(self) -> Json:
        cluster = self._services.cluster_of(self._plan)
        found, wanted = await cluster.identity(), self._plan.identity
        if found.uid != wanted.uid or (wanted.ca and found.ca != wanted.ca):
            raise WrongCluster(
                "{context} now leads to another cluster than the one that the plan was made for.",
                context=self._plan.cluster,
                expected="kube-system with uid {wanted}",
                found="uid {actual} at {server}" if found.uid != wanted.uid else "the same uid with another CA",
                wanted=wanted.uid,
                actual=found.uid,
                server=found.server,
                hint="choose the right context, or make a new plan",
            )
        skew = (self._services.now() - await cluster.server_time()).total_seconds()
        if abs(skew) > SKEW:
            self.tell(
                "step-progress",
                msg("This machine's clock is {seconds} s off the cluster's.", seconds=round(skew, 1)),
                key="clock",
            )
        self._begin_snapshot()
        return {"skew": round(skew, 3)}

    def _begin_snapshot(self) -> asyncio.Task[Kept] | None:
        """Begins to read the namespace, beside what else has to be looked at before the first write."""
        snapshots = self._services.snapshots
        if self._snapshot is None and snapshots is not None and snapshots.wanted:
            if any(event.type in KEPT for event in self.store.events(self._run)):
                return None
            cluster = self._services.cluster_of(self._plan)
            self._snapshot = asyncio.ensure_future(snapshots.take(cluster, self._plan, self._run, self._actor))
        return self._snapshot

    async def _access(self) -> Json:
        answers = await self._services.cluster_of(self._plan).may(self._plan.access)
        missing = [_right(answer.access) for answer in answers if not answer.allowed]
        if missing:
            raise AccessDenied(
                "You may not do everything that the plan needs: {missing}.",
                missing="; ".join(missing),
                hint="`backout doctor` prints a Role with the missing rights. Nothing was written.",
            )
        return {"rights": len(answers)}

    async def _take_lease(self) -> Json:
        held = await self._lease.ensure()
        self.tell(
            "lease-acquired",
            msg("{target} is reserved for this run.", target=str(self._plan.target)),
            key=f"lease:{held.token}",
            token=held.token,
        )
        return {"token": held.token}

    async def _capture(self) -> Json:
        await self._keep_namespace()
        taken = await capture(self._services.cluster_of(self._plan), self._plan, self._run)
        receipt = await asyncio.to_thread(self._services.captures.save, taken)
        self.store.update(self._run, capture=(receipt.path, receipt.digest))
        self.tell(
            "captured",
            msg("The state before the run is kept, encrypted: {count} objects.", count=receipt.objects),
            key=f"captured:{receipt.digest}",
            **msgspec.to_builtins(receipt),
        )
        return {"digest": receipt.digest, "objects": receipt.objects}

    async def _keep_namespace(self) -> None:
        """
        Raises:
            CaptureError: there is no snapshot, and the configuration wants none to be missing.
        """
        task = self._begin_snapshot()
        if task is None:
            return
        kept = await task
        if kept.snapshot is None:
            self.tell(
                "snapshot-skipped",
                msg(
                    "No snapshot of the namespace was taken; what the plan touches is kept all the same. Why: {why}",
                    why=kept.why,
                ),
                key="snapshot-skipped",
            )
            return
        snapshot = kept.snapshot
        self.tell(
            "snapshot",
            msg(
                "Namespace {namespace} is kept as snapshot {id}: {count} objects.",
                namespace=snapshot.namespace,
                id=snapshot.short,
                count=snapshot.objects,
            )
            if not kept.unread
            else msg(
                "Namespace {namespace} is kept as snapshot {id}: {count} objects. What could not be listed is "
                "not in it: {kinds}.",
                namespace=snapshot.namespace,
                id=snapshot.short,
                count=snapshot.objects,
                kinds=", ".join(kept.unread),
            ),
            key=f"snapshot:{snapshot.id}",
            snapshot=snapshot.id,
            objects=snapshot.objects,
            written=kept.written,
            incident=snapshot.incident,
            unread=list(kept.unread),
        )

    # effects

    def effect(self, step: Step) -> StepBody:
        """Intent on the disk, then the effect, then what came of it."""

        async def body() -> Json:
            if self._given_up():
                return GIVEN_UP
            again = bool(self.starts(step))
            self.tell(
                "step-started",
                step.title,
                key=f"{step.id}:started:{self._services.life}:{self.starts(step)}",
                step=step.id,
                action=step.action,
            )
            context = EffectContext(self._services, self._lease, self._run, self._plan, step)
            try:
                await self._lease.ensure()
                async with asyncio.timeout(step.timeout + GRACE):
                    outcome = await self._services.effect_of(step.action)(context, step)
            except Exception as error:
                failure = of_house(error)
                if isinstance(error, TimeoutError):
                    failure = TimedOut(
                        "{step} did not end within {seconds} s.", step=step.title.text, seconds=step.timeout + GRACE
                    )
                self.tell(
                    "step-failed",
                    Message(failure.message, failure.template, dict(failure.arguments)),
                    step=step.id,
                    code=failure.code,
                    wrote=context.wrote,
                    resumable=isinstance(failure, PARKING),
                )
                raise failure from failure.__cause__
            self.tell(
                "step-done",
                outcome.message,
                key=f"{step.id}:done",
                step=step.id,
                changed=outcome.changed,
                earlier_attempt=again and not outcome.changed,
                **outcome.data,
            )
            return {"changed": outcome.changed, "again": again}

        return body

    def starts(self, step: Step) -> int:
        """How often the step was begun, in this life and before."""
        return sum(1 for e in self.store.events(self._run) if e.type == "step-started" and e.step == step.id)

    def touched(self) -> bool:
        """Whether anything may have been written."""
        return bool(changed_steps(self.store.events(self._run)))

    # after

    async def verify(self) -> Json:
        """Measures; repeated as a whole after a crash, since a soak can't be continued."""
        if self._given_up():
            return GIVEN_UP
        attempt = f"{self._services.life}:{len(self.store.events(self._run))}"

        def on_soak(seconds: float) -> None:
            self.tell(
                "soak",
                msg("Everything holds; watching for {seconds} s that it stays so.", seconds=seconds),
                key=f"soak:{attempt}",
            )

        def on_result(result: CheckResult) -> None:
            self.tell(
                "check",
                result.title,
                code=result.code,
                status=result.status,
                measured=msgspec.to_builtins(result.measured),
                target=str(result.target),
            )

        verdict = await verify(
            self._services.cluster_of(self._plan),
            self._plan.checks,
            self._plan.soak,
            on_result,
            on_soak=on_soak,
            settle=self._services.settle,
        )
        self.store.update(self._run, verdict=verdict)
        self.tell(
            "verdict",
            _verdict_sentence(verdict, undo=bool(self._plan.undo_of)),
            key=f"verdict:{attempt}",
            outcome=verdict.outcome,
        )
        return msgspec.to_builtins(verdict)

    def end(self, state: RunState, error: BackoutError | None = None) -> StepBody:
        """The last step: the run's state, and its failure."""

        async def body() -> Json:
            self.tell("run-ended", end_sentence(state), key=f"run-ended:{state}", state=state)
            if state == "recovered" and self._plan.undo_of:
                self.store.update(self._plan.undo_of, undone_by=self._run)
            # Last: who sees this state sees the whole story.
            if self.store.get(self._run).state != state:
                self.store.update(
                    self._run, state=state, ended=self._services.now(), failure=failure_of(error) if error else None
                )
            return {"state": state}

        return body

    def parked(self, error: BackoutError) -> None:
        """The run stops here and can be resumed."""
        self.store.update(self._run, state="interrupted", failure=failure_of(error))
        sentence = (
            msg("Stopped. `backout resume {run}` goes on from here.", run=self._run)
            if isinstance(error, Interrupted)
            else msg(
                "Stopped: {why} `backout resume {run}` goes on from here.", why=_ended(error.message), run=self._run
            )
        )
        self.tell("run-ended", sentence, state="interrupted", code=error.code)

    async def take_over(self) -> None:
        """After an interruption: the lease that the former process held becomes ours, to go on with and to let go.

        Raises:
            LockedError: another run has it now.
        """
        if any(event.type == "lease-acquired" for event in self.store.events(self._run)):
            await self._lease.ensure()

    async def release(self) -> None:
        """Lets the lease go, and a snapshot that is not needed any more."""
        if self._snapshot is not None:
            self._snapshot.cancel()
            await asyncio.gather(self._snapshot, return_exceptions=True)
        await self._lease.release()


def given_up(answer: Json) -> bool:
    """Whether the step was not tried again, since somebody asked to stop."""
    return bool(answer == GIVEN_UP)


def raised(answer: Json) -> BackoutError | None:
    """The error in the answer of a preflight step, or of a whole run."""
    return decode_error(answer["failure"]) if isinstance(answer, dict) and "failure" in answer else None


def not_verified(verdict: Verdict) -> BackoutError | None:
    """The error of a verdict that is not "recovered"."""
    if verdict.outcome == "recovered":
        return None
    bad = [c for c in verdict.checks if c.status == "fail"] or [c for c in verdict.checks if c.status == "unknown"]
    words = "; ".join(f"{check.title.text}: {check.measured.text}" for check in bad[:3])
    if verdict.outcome == "not-recovered":
        return NotVerifiedError(
            "Rolled back, but not healthy: {words}.", words=words, hint="`backout diagnose` says what is broken now"
        )
    return NotVerifiedError(
        "Rolled back, but it could not be proven: {words}.",
        words=words or "the plan has no checks",
        hint="`backout verify` measures again",
    )


def partly(error: BackoutError, plan: Plan, step: Step, done: list[Step]) -> BackoutError:
    """The error of a run whose step failed after something was, or may have been, written."""
    if isinstance(error, TimedOut):
        return error
    left = [other.title.text for other in plan.steps if other.id not in {d.id for d in done}]
    return PartlyDoneError(
        "{step} failed: {why}",
        step=step.title.text,
        why=_ended(error.message),
        found="done: {done}; not done: {left}",
        done="; ".join(d.title.text for d in done) or "nothing",
        left="; ".join(left),
        hint="`backout diagnose` says how it stands; `backout undo` takes back what was done",
    )


def end_sentence(state: RunState) -> Message:
    """What the end of a run is called."""
    return {
        "recovered": msg("Done and verified."),
        "not-recovered": msg("Done, but not healthy."),
        "unknown": msg("Done, but it could not be proven."),
        "aborted": msg("Aborted before the next step."),
    }.get(state, msg("Failed."))


def _verdict_sentence(verdict: Verdict, *, undo: bool) -> Message:
    good = sum(1 for check in verdict.checks if check.status == "pass")
    if verdict.outcome == "recovered" and undo:
        return msg("The state before the run is back: {good} of {all} checks hold.", good=good, all=len(verdict.checks))
    if verdict.outcome == "recovered":
        return msg("Healthy: {good} of {all} checks hold.", good=good, all=len(verdict.checks))
    if verdict.outcome == "not-recovered":
        return msg("Not healthy: {good} of {all} checks hold.", good=good, all=len(verdict.checks))
    return msg("Not proven: {good} of {all} checks hold.", good=good, all=len(verdict.checks))


def _right(access: Access) -> str:
    resource = f"{access.resource}.{access.group}" if access.group else access.resource
    where = f" in {access.namespace}" if access.namespace else ""
    return f"{access.verb} {resource}{'/' + access.name if access.name else ''}{where}"


def _ended(sentence: str) -> str:
    """With a full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
