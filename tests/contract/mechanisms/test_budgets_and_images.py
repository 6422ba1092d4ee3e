# SPDX-License-Identifier: Apache-2.0
"""A budget that lets no pod go (fault 42), and an image that is gone from its registry (fault 46)."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from cluster_harness import Cluster as Harness
from mechanism_helpers import CRASH, GOOD, MISSING, WORKLOADS, Bench, Context, image_of, run

from backout.errors import NotVerifiedError
from backout.model.part import Step


async def ready(bench: Bench) -> int:
    """Pods that serve and are to stay."""
    return sum(
        any(one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ()))
        for pod in await bench.pods()
        if not pod["metadata"].get("deletionTimestamp")
    )


@pytest.mark.parametrize(("kind", "serving"), [("Deployment", 3), ("StatefulSet", 2)])
def test_a_budget_that_lets_nobody_go_is_kept_and_holds_nothing_up(
    running: Harness, ns: str, kind: str, serving: int
) -> None:
    """Nothing is evicted: controllers replace pods by the workload's own strategy, and what is deleted does not serve."""

    async def work(bench: Bench) -> None:
        await bench.create()
        await bench.ready()
        spec = {"minAvailable": 3, "selector": {"matchLabels": {"app": bench.name}}}
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "all", "namespace": ns},
        }
        await bench.port.create({**budget, "spec": spec})
        await bench.set_image(CRASH)
        await bench.until_failing()
        assert await ready(bench) == serving
        least = serving

        async def watch() -> None:
            nonlocal least
            while True:
                least = min(least, await ready(bench))
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        try:
            await bench.carry_out(await bench.plan(GOOD))
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        assert least >= serving and await ready(bench) == 3

    run(running, kind, ns, work)


def test_an_image_that_is_gone_ends_the_wait_with_the_registrys_words_and_what_serves_goes_on(
    running: Harness, ns: str
) -> None:
    async def work(bench: Bench) -> None:
        await bench.create(MISSING)
        await bench.until_failing(MISSING)
        await bench.roll_out(GOOD)
        steps = await bench.plan(MISSING)
        with pytest.raises(NotVerifiedError, match="ImagePull") as caught:
            await bench.carry_out(steps)
        assert caught.value.exit_code == 7
        assert sum(image_of(pod) == GOOD for pod in await bench.pods()) >= 2 and await ready(bench) >= 2
        back = next(step for step in steps if step.compensation is not None)
        assert back.compensation is not None
        undo = Step(
            id="undo",
            action=back.compensation.action,
            target=back.target,
            title=back.title,
            params=back.compensation.params,
        )
        assert (await WORKLOADS.step_kinds()[undo.action].effect(Context(bench.port), undo)).changed
        await bench.ready()
        assert {image_of(pod) for pod in await bench.pods()} == {GOOD}

    run(running, "Deployment", ns, work)
