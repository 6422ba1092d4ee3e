# SPDX-License-Identifier: Apache-2.0
"""What is played on several clusters: each takes the stacks back, and holds what happens to what must."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from backout.lab.cutting import Cut
from backout.lab.fleet_stage import SOAK, Rehearsal, require
from backout.lab.kubeconfigs import redirected
from backout.lab.player import lab_work

if TYPE_CHECKING:
    from backout import RunEvent

WORKLOAD = "deployment/thanos-query"
SLOWER = 1.2
"""The whole may take so many times as long as the slowest cluster of each wave, added up."""


async def everywhere(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F1: each cluster is verified, the canary before the others."""
    clusters = await rehearsal.clusters(open_)
    run = await rehearsal.run(clusters, await rehearsal.plan(clusters))
    await rehearsal.all_recovered(clusters, run)
    await rehearsal.undo(clusters, run)


async def cut(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F2: the others go on; of the one nobody claims to know; `resume` does the rest only."""
    lost = rehearsal.names[1]
    way = await open_.enter_async_context(Cut.before(rehearsal.kubeconfig, lost))
    clusters = await rehearsal.clusters(open_, str(way.kubeconfig))

    async def happens(event: RunEvent) -> None:
        if event.type == "captured" and event.part.startswith(f"{lost}/"):
            rehearsal.stage.note("{cluster} does not answer any more.", cluster=lost)
            await way.cut()

    run = await rehearsal.run(clusters, await rehearsal.plan(clusters), happens)
    states = rehearsal.states(clusters, run)
    wanted = {name: "parked" if name == lost else "recovered" for name in rehearsal.names}
    require(run.state == "interrupted" and states == wanted, str(wanted), f"{run.state}: {states}")
    done = len([event async for event in clusters.events(run.id) if event.type == "step-started"])
    await way.mend()
    rehearsal.stage.note("")
    rehearsal.stage.note("{cluster} answers again.", cluster=lost)
    run = await rehearsal.resume(clusters, run)
    later = [event async for event in clusters.events(run.id) if event.type == "step-started"][done:]
    elsewhere = [event.part for event in later if not event.part.startswith(f"{lost}/")]
    require(not elsewhere, f"steps on {lost} alone after resume", ", ".join(elsewhere))
    await rehearsal.all_recovered(clusters, run)
    await rehearsal.undo(clusters, run)


async def sick(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F3: the canary is verified; the sick one is not; nothing more was begun, and the run says so."""
    clusters, names = await rehearsal.clusters(open_), rehearsal.names

    async def happens(event: RunEvent) -> None:
        if event.type == "soak" and event.part.startswith(f"{names[1]}/"):
            from kubetwin.breaking import break_workload

            rehearsal.stage.note("Its pods begin to crash on {cluster} …", cluster=names[1])
            with lab_work():
                await break_workload(rehearsal.labs[1].api, "crash-exit3", WORKLOAD, rehearsal.labs[1].namespace)

    run = await rehearsal.run(clusters, await rehearsal.plan(clusters), happens)
    states = rehearsal.states(clusters, run)
    wanted = dict.fromkeys(names, "not-started") | {names[0]: "recovered", names[1]: "not-recovered"}
    require(run.state == "failed" and states == wanted, str(wanted), f"{run.state}: {states}")
    rehearsal.outcome.outcome = "stopped"
    if run.failure is not None:
        rehearsal.outcome.why, rehearsal.outcome.code = run.failure.message.text, run.failure.code


async def each_its_own(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F4: each cluster goes to its own last good revision, and the healthy one is left alone."""
    clusters, healthy = await rehearsal.clusters(open_), rehearsal.names[-1]
    plan = await rehearsal.plan(clusters)
    left = {one.cluster: one.needed for one in plan.fleet.not_planned} if plan.fleet is not None else {}
    require(left == {healthy: False}, f"nothing to do on {healthy}", str(left))
    run = await rehearsal.run(clusters, plan)
    await rehearsal.all_recovered(clusters, run)
    await rehearsal.undo(clusters, run)


async def two_people(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F5: the first one's run goes through; the second, with a database of his own, is told who, since when, and what."""
    from backout.lab.processes import Second

    clusters = await rehearsal.clusters(open_)
    plan, second = await rehearsal.plan(clusters), open_.enter_context(Second.of(rehearsal))
    await second.plans()
    started = False

    async def happens(event: RunEvent) -> None:
        nonlocal started
        if event.type == "captured" and not started:
            started = True
            rehearsal.stage.note("A colleague starts the same rollback …")
            second.answer = await second.runs("run", str(second.file), "--yes", "-o", "json")

    run = await rehearsal.run(clusters, plan, happens)
    told, code = second.answer
    rehearsal.stage.note("The colleague was told: {words}", words=second.words(told))
    states = second.states(told)
    require(code != 0 and set(states.values()) <= {"refused", "not-started"}, "a refusal", f"{code}: {states}")
    require(run.id in told and run.actor in told, f"who ({run.actor}) and what ({run.id})", second.words(told))
    await rehearsal.all_recovered(clusters, run)
    await rehearsal.undo(clusters, run)


async def led_elsewhere(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F6: only the part whose context leads elsewhere is refused, nothing is written there, and a new plan does the rest."""
    moved, other = rehearsal.names[1], rehearsal.names[0]
    clusters = await rehearsal.clusters(open_)
    plan = await rehearsal.plan(clusters)
    rehearsal.stage.note("")
    rehearsal.stage.note("Now the context {moved} leads to {other}.", moved=moved, other=other)
    astray = await rehearsal.clusters(open_, open_.enter_context(redirected(rehearsal.kubeconfig, moved, other)))
    run = await rehearsal.run(astray, plan)
    states, rest = rehearsal.states(astray, run), rehearsal.names[2:]
    wanted = {other: "recovered", moved: "refused"} | dict.fromkeys(rest, "not-started")
    require(states == wanted, str(wanted), f"{run.state}: {states}")
    found = next(one.failure for one in astray.outcomes(run.id) if one.cluster == moved)
    require(found is not None and found.code == "wrong-cluster", "wrong-cluster", str(found and found.code))
    touched = [
        e.type async for e in astray.events(run.id) if e.part.startswith(f"{moved}/") and e.type == "step-started"
    ]
    require(not touched, f"no step on {moved}", ", ".join(touched))
    rehearsal.stage.note("")
    rehearsal.stage.note("The context is set right.")
    del rehearsal.wanted[other]
    second = await rehearsal.run(clusters, await rehearsal.plan(clusters))
    await rehearsal.all_recovered(clusters, second)
    await rehearsal.undo(clusters, second)


async def in_time(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """F7: as F1, and the whole takes little more than the slowest cluster of each wave."""
    clusters = await rehearsal.clusters(open_)
    run = await rehearsal.run(clusters, await rehearsal.plan(clusters))
    await rehearsal.all_recovered(clusters, run)
    ends = clusters.outcomes(run.id)
    took = {one.cluster: (one.ended - one.began).total_seconds() for one in ends if one.ended and one.began}
    waves = sorted({one.wave for one in ends})
    slowest = [max(took[one.cluster] for one in ends if one.wave == wave) for wave in waves]
    assert run.ended is not None
    whole, least = (run.ended - run.started).total_seconds(), sum(slowest) + SOAK * (len(waves) - 1)
    rehearsal.stage.note(
        "{count} clusters in {waves} waves: {whole} s; the slowest of each wave and the watching between them: {least} s; one after the "
        "other: {sum} s.",
        count=len(ends),
        waves=len(waves),
        whole=f"{whole:.0f}",
        least=f"{least:.0f}",
        sum=f"{sum(took.values()):.0f}",
    )
    require(whole <= least * SLOWER, f"at most {least * SLOWER:.0f} s", f"{whole:.0f} s")
    await rehearsal.undo(clusters, run)


async def killed(rehearsal: Rehearsal, open_: AsyncExitStack) -> None:
    """G: whenever it has come further the process is killed, and another goes on; in the end all is done, and once."""
    from backout.lab.processes import Second

    clusters = await rehearsal.clusters(open_)
    plan, second = await rehearsal.plan(clusters), open_.enter_context(Second.of(rehearsal, own=False))
    await second.plans()
    rehearsal.say("run --yes")
    kills = await second.killed_again_and_again(clusters, "run", str(second.file), "--yes", "-o", "json")
    run = rehearsal.ended(clusters.get())
    rehearsal.stage.note("Killed {kills} times, and resumed each time.", kills=kills)
    # With its capture, in its first step and with its verdict; steps that find all well follow one another faster than anybody looks.
    fewest = 3 * len(plan.parts)
    require(kills >= fewest, f"{fewest} kills or more", str(kills))
    await rehearsal.all_recovered(clusters, run)
    for name, lab in zip(rehearsal.names, rehearsal.labs, strict=True):
        with lab_work():
            revisions = (await lab.helm("history", lab.release, "-o", "json")).count('"revision"')
        require(revisions == rehearsal.wanted[name] + 2, "one rollback", f"{revisions} revisions on {name}")
    await rehearsal.undo(clusters, run)
