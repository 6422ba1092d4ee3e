# SPDX-License-Identifier: Apache-2.0
"""Hooks that a rollback runs: which of them failed, and what it wrote last."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from backout.cluster.port import JOBS, PODS, ClusterReader
from backout.errors import Argument, BackoutError, ObjectNotFound, TimedOut, ToolFailed
from backout.helm.text import first_line
from backout.mechanisms.helm.effects import records_of
from backout.mechanisms.helm.failures import HOOK_FAILED
from backout.mechanisms.helm.params import RollbackParams
from backout.mechanisms.helm.preview import hooks_of
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import Message, msg

LINES = 20

Rollback = Callable[[StepContext, StepOf[RollbackParams]], Awaitable[StepOutcome]]


def telling_of_hooks(effect: Rollback) -> Rollback:
    """``effect``, whose error says which hook failed, with the last words of its log, where that is why helm gave up."""

    async def told(context: StepContext, step: StepOf[RollbackParams]) -> StepOutcome:
        try:
            return await effect(context, step)
        except (ToolFailed, TimedOut) as error:
            failed = (
                None if step.params.no_hooks else await _failed(context.cluster, step, error.arguments.get("state"))
            )
            if failed is None:
                raise
            raise failed from error

    return told


async def _failed(cluster: ClusterReader, step: StepOf[RollbackParams], state: Argument) -> BackoutError | None:
    records, name = records_of(cluster, step.target, step.params.driver), step.params.release
    try:
        history = await records.history(name)
        record = next(found for found in history if found.revision == step.params.revision)
        wanted, head = await records.load(record), history[-1]
        for event, hook in hooks_of(wanted):
            if hook.kind == "Job" and await _job_failed(cluster, hook.name, records.namespace):
                return ToolFailed(
                    "Helm could not roll {release} back: its {event} hook {hook} failed{words}",
                    release=f"helm/{name}",
                    event=event,
                    hook=f"job/{hook.name}",
                    words=await _last_words(cluster, hook.name, records.namespace),
                    state=state or f"revision {head.revision}, {head.status}",
                    found="the release at {state}",
                    hint=HOOK_FAILED,
                )
    except (BackoutError, StopIteration):
        return None
    return None


async def _job_failed(cluster: ClusterReader, name: str, namespace: str) -> bool:
    try:
        job = await cluster.get(JOBS, name, namespace)
    except ObjectNotFound:
        return False
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Failed" and one.get("status") == "True" for one in conditions)


async def _last_words(cluster: ClusterReader, job: str, namespace: str) -> Message | str:
    """``: `` and the last line of the newest pod's log; a full stop where there is none, or it may not be read."""
    with contextlib.suppress(BackoutError):
        pods = await cluster.list_all(PODS, namespace, labels=f"batch.kubernetes.io/job-name={job}")
        newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
        if newest is not None:
            text = await cluster.logs(newest["metadata"]["name"], namespace, tail=LINES)
            lines = [line for line in text.splitlines() if line.strip()]
            if lines:
                return msg(": {line}", line=first_line(lines[-1]))
    return "."
