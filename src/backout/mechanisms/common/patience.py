# SPDX-License-Identifier: Apache-2.0
"""Waits for the pods of a workload, but not for ever: neither for the step's time, nor where the cluster has answered."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from backout.cluster.port import EVENTS, Object
from backout.errors import BackoutError, NotVerifiedError, TimedOut
from backout.kube import projections
from backout.kube.answered import Answer, answers, incomplete
from backout.kube.pod_health import PodState, health_of
from backout.kube.projections import Event
from backout.kube.rollout import Rollout
from backout.mechanisms.common.live import Live
from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.common.ready import assess, gave_up
from backout.mechanisms.port import StepContext, StepOf
from backout.model.message import Message, msg

AGAIN = 5.0
"""Seconds between two looks at Events, while pods are missing or wait for a node."""
_SKEW = timedelta(seconds=5)


class Patience:
    """Of one step. ``patience``: see `backout.mechanisms.common.params.ReadyParams`."""

    def __init__(self, context: StepContext, step: StepOf[ObjectParams], patience: float) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._context, self._step = loop, context, step
        self._began = loop.time()
        self._until = self._began + step.timeout
        self._patience = patience
        self._failing: dict[str, float] = {}
        self._answers: dict[str, float] = {}
        self._fresh = False
        self._events = _Events(context, step.params)

    async def next(self, live: Live, waiting: Message) -> None:
        """Waits for the next change, or until something has to be looked at again.

        Raises:
            NotVerifiedError: it will not come; says why.
            TimedOut: nor in time; says for what it waited.
        """
        now = self._loop.time()
        failing = await self._fails(live, now)
        if (stalled := gave_up(live.obj)) is not None and not failing and now - self._began > self._patience:
            raise self._in_vain(stalled)
        found = await self._answered(live, now)
        for answer in found:
            if now - self._answers[answer.key] >= answer.patience:
                raise self._in_vain(answer.why)
        if now >= self._until:
            if not self._fresh:
                # A watch may have brought nothing for a while; what is read now decides.
                self._fresh = True
                await live.refresh()
                return
            raise self._late(found[0].why if found else waiting)
        marks = [since + self._patience for since in self._failing.values() if since + self._patience > now]
        marks += [self._answers[answer.key] + answer.patience for answer in found]
        if self._events.wanted:
            marks.append(now + AGAIN)
        if any(pod["metadata"].get("deletionTimestamp") for pod in live.pods):
            marks.append(now + AGAIN)
        await live.changed(max(0.01, min([self._until, *marks]) - now))

    async def _fails(self, live: Live, now: float) -> bool:
        """Whether pods of the revision in force fail.

        Raises:
            NotVerifiedError: for too long.
        """
        failing = {}
        current = await live.current_pods()
        for pod in current:
            if (why := health_of(pod).failure) is not None:
                name = str(pod["metadata"]["name"])
                failing[str(pod["metadata"]["uid"])] = msg("{pod}: {reason}", pod=name, reason=why)
        # A crash loop looks well between its crashes, so only a ready pod clears itself.
        ready = {str(pod["metadata"]["uid"]) for pod in current if health_of(pod).ready}
        present = {str(pod["metadata"]["uid"]) for pod in live.pods}
        self._failing = {
            **{uid: since for uid, since in self._failing.items() if uid in present and uid not in ready},
            **{uid: self._failing.get(uid, now) for uid in failing},
        }
        for uid, since in self._failing.items():
            if uid in failing and now - since >= self._patience:
                raise self._in_vain(failing[uid], "pods that have failed for {seconds} s")
        return bool(failing)

    async def _answered(self, live: Live, now: float) -> list[Answer]:
        """What the cluster has said; what is new is told."""
        label = await live.current_label()
        state = assess(live.obj, live.pods, label)
        if state.complete:
            return []
        pods = [projections.pod(pod) for pod in live.pods]
        at = await self._events.look(live, state, now)
        found = answers(
            live.kind,
            projections.workload(live.obj),
            pods,
            label,
            state,
            at,
            refused=self._events.refused,
            growing=self._events.growing,
        )
        for answer in found:
            if answer.key not in self._answers:
                self._context.progress(msg("{ref}: {waiting}.", ref=self._step.params.label, waiting=answer.why))
        self._answers = {answer.key: self._answers.get(answer.key, now) for answer in found}
        return found

    def _late(self, waiting: Message) -> TimedOut:
        return TimedOut(
            "{ref} was not ready within {seconds} s: {waiting}.",
            ref=self._step.params.label,
            seconds=round(self._step.timeout),
            waiting=waiting,
            hint="`backout diagnose {ref} -n {namespace}` says what is wrong with it.",
            namespace=self._step.params.namespace,
        )

    def _in_vain(self, why: Message, found: str = "") -> NotVerifiedError:
        return NotVerifiedError(
            "{ref} does not get ready at the revision that was put back: {why}.",
            ref=self._step.params.label,
            why=why,
            expected="pods that become ready",
            found=found,
            seconds=round(self._patience),
            hint="`backout diagnose {ref} -n {namespace}` shows the evidence; another revision may be the good one.",
            namespace=self._step.params.namespace,
        )


class _Events:
    """The Events of a workload and of its pods that wait for a node; asked for only where they can tell something.

    ``refused``: the newest words on pods that could not be made, since the step began. ``growing``: an autoscaler has said that
    it adds a node. Both empty where Events may not be read. ``wanted``: they are worth another look soon.
    """

    def __init__(self, context: StepContext, params: ObjectParams) -> None:
        self._cluster, self._params = context.cluster, params
        self._ahead: timedelta | None = None
        self._since: datetime | None = None
        self._asked = float("-inf")
        self.refused = ""
        self.growing = False
        self.wanted = False

    async def look(self, live: Live, state: Rollout, now: float) -> datetime:
        """Looks, but not too often; the cluster's time."""
        if self._ahead is None:
            try:
                self._ahead = await self._cluster.server_time() - datetime.now(UTC)
            except BackoutError:
                self._ahead = timedelta()
            self._since = datetime.now(UTC) + self._ahead - _SKEW
        at = datetime.now(UTC) + self._ahead
        waiting = [pod for pod in live.pods if health_of(pod).state is PodState.UNSCHEDULABLE]
        self.wanted = bool(waiting) or incomplete(state, len(live.pods))
        if self.wanted and now - self._asked >= AGAIN:
            self._asked = now
            self.refused, self.growing = await self._said(live, waiting)
        elif not self.wanted:
            self.refused, self.growing = "", False
        return at

    async def _said(self, live: Live, waiting: list[Object]) -> tuple[str, bool]:
        about = {str(live.obj["metadata"]["uid"]), *(str(pod["metadata"]["uid"]) for pod in waiting)}
        try:
            refused, growing = await asyncio.gather(
                *(
                    self._cluster.list_as(Event, EVENTS, self._params.namespace, fields=f"reason={reason}")
                    for reason in ("FailedCreate", "TriggeredScaleUp")
                )
            )
        except BackoutError:
            return "", False
        since = self._since
        told = [
            event
            for event in refused
            if event.involved_object.uid in about and since is not None and event.last and event.last >= since
        ]
        newest = max(told, key=lambda event: event.last.timestamp() if event.last else 0.0, default=None)
        return (newest.message if newest else ""), any(event.involved_object.uid in about for event in growing)
