# SPDX-License-Identifier: Apache-2.0
"""The events of a run as they are kept, while another process may still add to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from backout.app.store import open_store, run_meant

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore
    from backout.model.run import RunEvent

MOVING = ("pending", "running")
"""States in which a process is at work, or is about to be."""


async def follow(workspace: Workspace, name: str, *, live: bool, pause: float) -> AsyncIterator[RunEvent]:
    """What happened in a run, in order. ``live`` goes on until nothing more can come, looking every ``pause`` seconds.

    Raises:
        RunNotFound: no such run.
    """
    with open_store(workspace) as store:
        run = run_meant(workspace, store, name)
        last = 0
        while True:
            # The state first: what is recorded before it ends must not be missed.
            over = not live or (store.get(run).state not in MOVING and not _awaited(store, run))
            for event in store.events(run, after=last):
                last = event.seq
                yield event
            if over:
                return
            await asyncio.sleep(pause)


def _awaited(store: RunStore, run: str) -> bool:
    """Whether workers have yet to do something about it: one may have left it to another, or looks at what else was broken."""
    return store.shared and run in store.queue.waiting()
