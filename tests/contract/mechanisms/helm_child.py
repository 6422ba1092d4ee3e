# SPDX-License-Identifier: Apache-2.0
"""One step in a process of its own, under a lock as a run holds it: ``helm_child.py KUBECONFIG CONTEXT STEP-FILE STOP``.

With STOP > 0 everything stops right after the lock was confirmed for the STOPth time, as when a laptop falls asleep, and
goes on when it is told to. Its last words are how the step ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from backout.cluster.client import connect
from backout.cluster.port import HeldLease
from backout.errors import BackoutError
from backout.mechanisms.helm import fenced
from backout.mechanisms.helm.mechanism import HelmMechanism
from backout.model.message import Message
from backout.model.part import Step
from backout.model.target import ObjectRef


class Context:
    """What an effect gets from a run."""

    run = "child"
    again = False

    def __init__(self, cluster: object, lease: HeldLease, stop: int) -> None:
        self.cluster = cluster
        self._lease, self._stop, self._confirmed = lease, stop, 0

    def within(self, refs: Iterable[ObjectRef]) -> None:
        """Everything is in reach."""

    async def guard(self) -> None:
        await self._lease.confirm()
        self._confirmed += 1
        if self._confirmed == self._stop:
            print("stopped", flush=True)
            os.killpg(os.getpid(), signal.SIGSTOP)

    def progress(self, message: Message, **data: object) -> None:
        print(message, flush=True)


async def main(kubeconfig: str, context: str, file: str, stop: str) -> None:
    step = msgspec.json.decode(Path(file).read_bytes(), type=Step)
    if int(stop):
        # Looked at before each write, so that each can be stopped at; and for shorter than a test likes to wait.
        fenced.FRESH, fenced.LATE = 0.0, 0.2
    async with connect(kubeconfig, context, name="under-test") as cluster:
        lock = cluster.lease(str(step.target), step.target.namespace, holder="child", about={})
        async with lock as lease:
            effect = HelmMechanism().step_kinds()[step.action].effect
            try:
                outcome = await effect(Context(cluster, lease, int(stop)), step)  # type: ignore[arg-type]
                print(f"done {outcome.changed}", flush=True)
            except BackoutError as error:
                print(f"{type(error).__name__} {error.exit_code}: {error.message}", flush=True)


asyncio.run(main(*sys.argv[1:]))
