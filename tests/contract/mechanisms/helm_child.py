# SPDX-License-Identifier: Apache-2.0
"""One step in a process of its own, that can be killed: ``helm_child.py KUBECONFIG CONTEXT STEP-FILE``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from backout.cluster.client import connect
from backout.mechanisms.helm.mechanism import HelmMechanism
from backout.mechanisms.port import StepContext
from backout.model.message import Message
from backout.model.part import Step


async def main(kubeconfig: str, context: str, file: str) -> None:
    step = msgspec.json.decode(Path(file).read_bytes(), type=Step)

    class Context:
        run = "child"

        async def guard(self) -> None:
            return

        def progress(self, message: Message, **data: object) -> None:
            print(message, flush=True)

    async with connect(kubeconfig, context, name="under-test") as cluster:
        run = Context()
        run.cluster = cluster  # type: ignore[attr-defined]
        found: StepContext = run  # type: ignore[assignment]
        print(await HelmMechanism().step_kinds()[step.action].effect(found, step), flush=True)


asyncio.run(main(*sys.argv[1:]))
