# SPDX-License-Identifier: Apache-2.0
"""The effect that waits for operators: until one has taken up what a custom resource says, and what it makes of that is ready.

By watches of the resource and of the workloads that it makes, which are looked for anew: an operator may make others. Writes
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError, NotVerifiedError, ObjectNotFound, TimedOut
from backout.helm.customs import CustomResource
from backout.kube.custom_status import CustomHealth, CustomState, custom_health
from backout.mechanisms.common.made import Child, children_of
from backout.mechanisms.common.params import OperatorParams, ReadyParams
from backout.mechanisms.common.pods import wait_ready
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg

MOMENT = 5.0
"""Seconds for an operator that never says what it has seen: they act on a watch, so within moments."""


class _Resource:
    """One custom resource, kept up to date by a watch."""

    def __init__(self, params: OperatorParams) -> None:
        self.params = params
        self.obj: Object | None = None
        self.event = asyncio.Event()
        self.error: BackoutError | None = None

    @property
    def health(self) -> CustomHealth:
        if self.error is not None:
            raise self.error
        if self.obj is None:
            raise ObjectNotFound("{resource} does not exist.", resource=self.params.label)
        return custom_health(self.obj)

    async def follow(self, cluster: ClusterReader, synced: asyncio.Event) -> None:
        params = self.params
        try:
            fields = f"metadata.name={params.name}"
            async for event in cluster.watch(params.resource, params.place, fields=fields):
                if event.type == "SYNCED":
                    synced.set()
                else:
                    self.obj = event.object if event.type != "DELETED" else None
                self.event.set()
        except BackoutError as error:
            self.error = error
            synced.set()
            self.event.set()

    async def changed(self, timeout: float) -> bool:
        """Waits for the next change; False when none came in time."""
        try:
            async with asyncio.timeout(max(0.01, timeout)):
                await self.event.wait()
        except TimeoutError:
            return False
        self.event.clear()
        return True


@asynccontextmanager
async def _followed(cluster: ClusterReader, params: OperatorParams) -> AsyncIterator[_Resource]:
    resource, synced = _Resource(params), asyncio.Event()
    task = asyncio.create_task(resource.follow(cluster, synced))
    try:
        await synced.wait()
        yield resource
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_operator(context: StepContext, step: StepOf[OperatorParams]) -> StepOutcome:
    """Waits; see the module.

    Raises:
        NotVerifiedError: its operator says that it can't be done, or what it made fails for good.
        ObjectNotFound: the resource is gone.
        TimedOut: not in time; says for what it waited.
    """
    params = step.params
    async with _followed(context.cluster, params) as resource:
        await _taken_up(step, resource)
        if params.until == "taken-up":
            return StepOutcome(False, msg("The operator of {resource} has taken it up.", resource=params.label))
        children = await _children(context, params)
        for child in children:
            ready = ReadyParams(
                api_version=child.api_version,
                kind=child.kind,
                name=child.name,
                namespace=child.namespace,
                patience=params.patience,
            )
            await wait_ready(context, StepOf(step.step, ready))
        await _settled(step, resource)
    names = ", ".join(f"{child.kind.lower()}/{child.name}" for child in children)
    if not names:
        return StepOutcome(False, msg("{resource} is as its operator says.", resource=params.label))
    return StepOutcome(False, msg("{resource}: {names} is ready.", resource=params.label, names=names))


async def _taken_up(step: StepOf[OperatorParams], resource: _Resource) -> None:
    """Until the status speaks of the newest spec; where it never says that, for a moment."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not (health := resource.health).observed:
        silent = health.reason != "NotObserved"
        limit = began + (MOMENT if silent else step.timeout)
        if loop.time() >= limit:
            if silent:
                return
            raise _late(step, "its operator has not taken up its newest generation; does it run?")
        await resource.changed(limit - loop.time())


async def _settled(step: StepOf[OperatorParams], resource: _Resource) -> None:
    """Until its operator says that it is ready, or does not say.

    Raises:
        NotVerifiedError: its operator says for too long that it fails.
    """
    loop = asyncio.get_running_loop()
    until, limit = loop.time() + step.params.patience, loop.time() + step.timeout
    while True:
        health = resource.health
        if health.state in (CustomState.READY, CustomState.UNKNOWN, CustomState.PAUSED):
            return
        failing = health.state is CustomState.FAILED
        end = until if failing else limit
        if loop.time() >= end and failing:
            raise NotVerifiedError(
                "{resource} is not what the revision that was put back says: {why}.",
                resource=step.params.label,
                why=health.message or health.reason,
                expected="a custom resource that its operator carries out",
                found="one of which it has said that for {seconds} s",
                seconds=round(step.params.patience),
                hint="`kubectl describe {kind} {name} -n {namespace}` shows what its operator says; another revision may be the good one.",
                kind=step.params.kind.lower(),
                name=step.params.name,
                namespace=step.params.namespace,
            )
        if loop.time() >= end:
            raise _late(step, health.message or health.reason)
        await resource.changed(end - loop.time())


async def _children(context: StepContext, params: OperatorParams) -> tuple[Child, ...]:
    wanted = CustomResource(
        api_version=params.api_version, kind=params.kind, name=params.name, namespace=params.namespace, key=""
    )
    return (await children_of(context.cluster, [wanted])).get(wanted.id, ())


def _late(step: StepOf[OperatorParams], waiting: str) -> TimedOut:
    return TimedOut(
        "{resource} was not ready within {seconds} s: {waiting}.",
        resource=step.params.label,
        seconds=round(step.timeout),
        waiting=waiting,
        hint="`backout diagnose -n {namespace}` says what is wrong with it.",
        namespace=step.params.namespace,
    )
