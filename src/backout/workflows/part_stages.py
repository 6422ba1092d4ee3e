# SPDX-License-Identifier: Apache-2.0
"""The bodies of the steps of one part. Each can be killed at any instant and run again; `part_v1` orders them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from backout.cluster.port import AccessAnswer
from backout.engine.port import PARKING, Json, StepBody
from backout.engine.wire import decode_error, encode_error, of_house
from backout.errors import AccessDenied, BackoutError, FrozenError, Interrupted, TimedOut, UnexpectedError
from backout.mechanisms import registry
from backout.model.message import msg, of_error
from backout.model.operation import Operation
from backout.model.part import Access, Part, Step
from backout.model.run import capture_name, locks_left
from backout.model.target import ObjectRef
from backout.model.verdict import CheckResult, Verdict, judge
from backout.planning.reach import Reach, written
from backout.scopes.port import ClusterHandle
from backout.snapshots.capture import capture
from backout.verify.verify import verify
from backout.workflows.before import Kept
from backout.workflows.measures import MEASURES
from backout.workflows.services import EffectContext, LockHolder, Services
from backout.workflows.telling import Story, verdict_sentence

GRACE = 60.0
"""Seconds beyond a step's own timeout before it is cut off: its own answer, after reading again, is the better one."""
KEPT = frozenset({"snapshot", "snapshot-skipped"})
"""The events that say what became of the snapshot before the first write."""
SKEW = 5.0
"""Seconds between our clock and the cluster's that are worth a word, since the timeline has times of both."""
LISTENING = 1.0
"""Seconds between two looks at whether the run is still wanted, while it only measures."""
AUDITED = 50
"""So many objects of one step are named in its event."""
GIVEN_UP = {"given-up": True}
"""What a step answers that was not tried again, since somebody asked to stop the parked run."""


class PartStages:
    """One part of a run in this process."""

    def __init__(
        self,
        services: Services,
        story: Story,
        operation: Operation,
        part: Part,
        actor: str,
        scope: ClusterHandle | None = None,
    ) -> None:
        self.part = part
        self._operation = operation
        self._services = services
        self._story = story
        self._scope = scope or services.scopes.open(part.scope)
        self._lock = LockHolder(services, story.run, part, self._scope, actor)
        self._actor = actor
        self._reach = Reach(part, services.protected)
        self._snapshot: asyncio.Task[Kept] | None = None
        self._rights: asyncio.Task[list[AccessAnswer]] | None = None

    # before the first write

    def preflight(self) -> list[tuple[str, StepBody]]:
        """What must hold before anything is written, in order. Each answers ``{"failure": …}`` or what it found, or
        that the run was given up (`given_up`)."""
        return [(name, answered(self._story, body)) for name, body in self.looks()]

    def looks(self) -> list[tuple[str, StepBody]]:
        """The same, each of which raises what is wrong."""
        return [
            ("identify-cluster", self._identify),
            ("check-access", self._access),
            ("take-lease", self._take_lock),
            ("capture", self._capture),
        ]

    async def identify_again(self) -> None:
        """In a later life, what was recorded of the cluster is of a former one.

        Raises:
            WrongCluster: the name leads somewhere else by now.
        """
        if any(event.type == "lease-acquired" for event in self._story.events()):
            await self._scope.identify()

    async def _identify(self) -> Json:
        # Dozens of questions: they are asked beside this one, and answered in the next step.
        self._rights = asyncio.ensure_future(self._scope.may(self.part.access))
        await self._scope.identify()
        skew = (self._services.now() - await self._scope.clock()).total_seconds()
        if abs(skew) > SKEW:
            self._story.tell(
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
            if any(event.type in KEPT for event in self._story.events()):
                return None
            taken = snapshots.take(self._scope.cluster, self.part, self._story.run, self._actor)
            self._snapshot = asyncio.ensure_future(taken)
        return self._snapshot

    async def _access(self) -> Json:
        answers = await (self._rights or self._scope.may(self.part.access))
        missing = [_right(answer.access) for answer in answers if not answer.allowed]
        if missing:
            raise AccessDenied(
                "You may not do everything that the plan needs: {missing}.",
                missing="; ".join(missing),
                hint="`backout doctor` prints a Role with the missing rights. Nothing was written.",
            )
        return {"rights": len(answers)}

    async def _take_lock(self) -> Json:
        held = await self._lock.ensure()
        self._story.tell(
            "lease-acquired",
            msg("{target} is reserved for this run.", target=str(self.part.target)),
            key=f"lease:{held.token}",
            token=held.token,
        )
        return {"token": held.token}

    async def _capture(self) -> Json:
        await self._keep_namespace()
        name = capture_name(self._story.run, self._operation, self.part)
        cluster, target = self._scope.cluster, self.part.target
        more = await registry.get(self.part.mechanism).keep(cluster, target)
        taken = await capture(cluster, self.part, name, more)
        receipt = await asyncio.to_thread(self._services.captures.save, taken)
        self._story.store.note_capture(self._story.run, self.part.id, receipt.path, receipt.digest)
        self._story.tell(
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
            self._story.tell(
                "snapshot-skipped",
                msg(
                    "No snapshot of the namespace was taken; what the plan touches is kept all the same. Why: {why}",
                    why=kept.why,
                ),
                key="snapshot-skipped",
            )
            return
        snapshot = kept.snapshot
        self._story.tell(
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
        """Intent on the disk, then the effect, then what came of it: that is on the disk with the next intent, or the verdict."""

        async def body() -> Json:
            if self._story.given_up():
                return GIVEN_UP
            before = self._starts(step)
            self._story.tell(
                "step-started",
                step.title,
                key=f"{step.id}:started:{self._services.life}:{before}",
                step=step.id,
                action=step.action,
                actor=self._services.actor or self._actor,
                process=self._services.life,
                plan=self._operation.hash,
                token=self._lock.token,
                cluster=self.part.scope.cluster,
                **_objects(self.part, step),
            )
            context = EffectContext(self._story, self._lock, self._scope.cluster, step, self._reach, again=before > 0)
            try:
                await self._lock.ensure()
                async with asyncio.timeout(step.timeout + GRACE):
                    outcome = await self._services.effect_of(step.action)(context, step)
            except Exception as error:
                failure = of_house(error)
                if isinstance(error, TimeoutError):
                    failure = TimedOut(
                        "{step} did not end within {seconds} s.", step=step.title, seconds=step.timeout + GRACE
                    )
                self._story.tell(
                    "step-failed",
                    of_error(failure),
                    step=step.id,
                    code=failure.code,
                    wrote=context.wrote,
                    token=self._lock.token,
                    resumable=isinstance(failure, PARKING),
                )
                raise failure from failure.__cause__
            self._story.tell(
                "step-done",
                outcome.message,
                key=f"{step.id}:done",
                step=step.id,
                settled=False,
                changed=outcome.changed,
                earlierAttempt=before > 0 and not outcome.changed,
                token=self._lock.token,
                **outcome.data,
            )
            return {"changed": outcome.changed, "again": before > 0}

        return body

    def done(self, step: Step) -> Json | None:
        """What the effect of a step answered, by what was told of it: its outcome is one record. None before that."""
        told = (event for event in self._story.events() if event.type == "step-done" and event.step == step.id)
        event = next(told, None)
        return {"changed": event.data["changed"], "again": event.data["earlierAttempt"]} if event is not None else None

    def _starts(self, step: Step) -> int:
        """How often the step was begun, in this life and before."""
        return sum(1 for e in self._story.events() if e.type == "step-started" and e.step == step.id)

    # after

    def verify(self, before: Sequence[CheckResult] | None, *, last: bool) -> StepBody:
        """Measures; repeated as a whole after a crash, since a soak can't be continued.

        ``before`` is what the parts before this one were measured at: the run's verdict is of all. It is never
        "recovered" while a part is left. None where the operation itself judges the whole.
        """

        async def body() -> Json:
            if self._story.unwanted():
                return GIVEN_UP
            attempt = f"{self._services.life}:{len(self._story.events())}"
            measuring = verify(
                self._scope.cluster,
                self.part.checks,
                self.part.soak,
                self._story.tell_checks,
                on_soak=lambda seconds: self._on_soak(seconds, attempt),
                settle=self._services.settle,
                also=MEASURES,
            )
            if (verdict := await self._while_wanted(measuring)) is None:
                return GIVEN_UP
            if len(self._operation.parts) > 1:
                mine = tuple(msgspec.structs.replace(check, part=self.part.id) for check in verdict.checks)
                verdict = msgspec.structs.replace(verdict, checks=mine)
            if before is not None:
                whole = judge((*before, *verdict.checks), verdict.at, verdict.soak) if before else verdict
                if not last and whole.outcome == "recovered":
                    whole = msgspec.structs.replace(whole, outcome="unknown")
                self._story.store.update(self._story.run, verdict=whole)
            self._story.tell(
                "verdict",
                verdict_sentence(verdict, undo=bool(self._operation.undo_of)),
                key=f"verdict:{attempt}",
                outcome=verdict.outcome,
            )
            return msgspec.to_builtins(verdict)

        return body

    async def _while_wanted(self, measuring: Coroutine[Any, Any, Verdict]) -> Verdict | None:
        """The verdict; None when somebody asked to stop the run before there was one: a soak may last for hours."""
        task = asyncio.ensure_future(measuring)
        try:
            while not (await asyncio.wait({task}, timeout=LISTENING))[0]:
                if self._story.unwanted():
                    return None
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _on_soak(self, seconds: float, attempt: str) -> None:
        self._story.tell(
            "soak",
            msg("Everything holds; watching for {seconds} s that it stays so.", seconds=seconds),
            key=f"soak:{attempt}",
        )

    async def take_over(self) -> None:
        """After an interruption: the lock that the former process held becomes ours, to go on with and to let go.

        Raises:
            LockedError: another run has it now.
        """
        self._lock.doubt()
        if any(event.type == "lease-acquired" for event in self._story.events()):
            await self._lock.ensure()

    def was_over(self) -> None:
        """It came to its end in a former life: whatever may be left of its lock is let go, and nothing else is done."""
        self._lock.doubt()

    async def release(self) -> None:
        """Lets the lock go, and a snapshot that is not needed any more."""
        for task in (self._snapshot, self._rights):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        left = await self._lock.release()
        was_left = self.part.id in locks_left(self._story.events())
        if left is not None:
            self._story.tell(
                "lease-left",
                msg(
                    "The lock on {target} could not be let go. It runs out by itself; `backout resume {run}` lets it go: {why}",
                    target=str(self.part.target),
                    run=self._story.run,
                    why=of_error(left),
                ),
                key=f"lease-left:{self._services.life}",
            )
        elif was_left:
            self._story.tell(
                "lease-returned",
                msg("The lock on {target} that was left is let go.", target=str(self.part.target)),
                key=f"lease-returned:{self._services.life}",
            )


def _objects(part: Part, step: Step) -> dict[str, Any]:
    """What a step is about to write, as the audit has it: its own objects, else (Helm writes a whole release) those that the plan
    changes; where there are many, so many, and how many there are."""
    named: list[ObjectRef] = []
    with suppress(BackoutError):  # a plan was held to its reach before; an intent is told whatever else
        named += written(step)
    named = named or [change.ref for change in part.changes.effective]
    refs = list(dict.fromkeys(f"{ref.namespace}/{ref}".lstrip("/") for ref in named))
    many = {"objectCount": len(refs)} if len(refs) > AUDITED else {}
    return {"target": str(step.target), "objects": refs[:AUDITED], **many}


def answered(story: Story, body: Callable[[], Awaitable[Json]]) -> StepBody:
    """A step before the first write: its errors are its recorded answer, since there is nothing to resume; and it is not
    done at all once somebody asked to stop the run.

    But for those that nobody foresaw: they say nothing of what was asked, and park the run.
    """

    async def answer() -> Json:
        if story.unwanted():
            return GIVEN_UP
        try:
            return await body()
        except (Interrupted, UnexpectedError, FrozenError):
            raise
        except BackoutError as error:
            return {"failure": encode_error(error)}

    return answer


def given_up(answer: Json) -> bool:
    """Whether the step was not tried again, since somebody asked to stop."""
    return bool(answer == GIVEN_UP)


def raised(answer: Json) -> BackoutError | None:
    """The error in the answer of a preflight step, or of a whole run."""
    return decode_error(answer["failure"]) if isinstance(answer, dict) and "failure" in answer else None


def _right(access: Access) -> str:
    resource = f"{access.resource}.{access.group}" if access.group else access.resource
    where = f" in {access.namespace}" if access.namespace else ""
    return f"{access.verb} {resource}{'/' + access.name if access.name else ''}{where}"
