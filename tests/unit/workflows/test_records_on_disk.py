# SPDX-License-Identifier: Apache-2.0
"""What a run's records wait for the disk for: an intent before its effect, and nothing else of a step."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import NAMES, SmallCluster, healthy, prepared, services

from backout.engine.inline import InlineEngine, Memory
from backout.mechanisms.port import StepContext, StepOutcome
from backout.model.message import msg
from backout.model.part import Step
from backout.workflows.runner import begin, workflows


def test_each_effect_waits_for_the_disk_once_and_for_its_own_intent(tmp_path: Path) -> None:
    prepared(tmp_path)
    outside, files = services(tmp_path, SmallCluster(*healthy()))
    waited: list[str] = []
    mode = "FULL"

    def traced(statement: str) -> None:
        nonlocal mode
        if statement.startswith("PRAGMA synchronous="):
            mode = statement.partition("=")[2]
        elif statement == "COMMIT":
            waited.append(mode)

    seen: list[list[str]] = []

    def effect_of(action: str) -> Any:
        async def effect(context: StepContext, step: Step) -> StepOutcome:
            context.progress(msg("Under way."))
            seen.append(waited.copy())
            waited.clear()
            return await files.effect(action)(context, step)

        return effect

    outside.effect_of = effect_of
    outside.store._state.database.set_trace_callback(traced)

    async def life() -> str:
        engine = InlineEngine(workflows(outside), Memory())
        try:
            return (await begin(engine, outside.store, "r1")).state
        finally:
            await engine.close()

    assert asyncio.run(life()) == "recovered"
    assert len(seen) == len(NAMES)
    for before in seen[1:]:
        # What the step before told and came to, then this one's intent, then the line that it tells.
        assert before.count("FULL") == 1
        assert before[-2:] == ["FULL", "NORMAL"]
