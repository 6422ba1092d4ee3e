# SPDX-License-Identifier: Apache-2.0
"""`backout demo`: the main job, start to report, on embedded clusters or on yours."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from backout.cli.options import Command
from backout.cli.session import with_session
from backout.lab.embedded import require_kubetwin

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.lab.fleet import FleetScenario
    from backout.lab.places import Place
    from backout.model.settings import Settings

FAILED = 1
CLUSTERS = 4
DEMO_NAMESPACE = "backout-demo"


@click.command("demo", cls=Command)
@click.argument("scenario", default="A2")
@click.option("--list", "list_them", is_flag=True, help="List the scenarios.")
@click.option("--clusters", type=click.IntRange(1, 60), help="Embedded clusters to start (else 4; for F7 50, for G 1).")
@click.option("--keep", is_flag=True, help="Leave the clusters up afterwards.")
@click.option("--undo", is_flag=True, help="In the end, put the broken state back, and check that it is.")
@with_session
async def command(
    session: Session, scenario: str, list_them: bool, clusters: int | None, keep: bool, undo: bool
) -> int:
    """Builds a healthy stack, breaks one thing, and takes it back: diagnose, plan, run, verify, report.

    Without --context it starts embedded clusters and ends them again. With --context it works on that cluster (F1 and F2: on those
    clusters, at least three), in the namespace of -n (else "backout-demo"), which it creates and removes: no other is touched.
    """
    require_kubetwin()
    from backout.errors import ScenarioNotFound
    from backout.lab.fleet import FLEETS, find_fleet
    from kubetwin.lab.scenarios import SCENARIOS

    if list_them:
        _list(session, [*SCENARIOS.values(), *FLEETS.values()])
        return 0
    if (fleet := find_fleet(scenario)) is not None:
        return await _fleet(session, fleet, clusters=clusters, keep=keep, undo=undo)
    chosen = SCENARIOS.get(scenario.upper())
    if chosen is None:
        raise ScenarioNotFound(
            "There is no scenario {id}.",
            id=scenario,
            expected="one of {ids}",
            ids=", ".join([*SCENARIOS, *FLEETS]),
            hint="`backout demo --list` describes each.",
        )
    from backout.app.programs import program
    from backout.app.running import preload
    from backout.cli.stage import TerminalStage
    from backout.documents.machine import rehearsal
    from backout.lab.player import Props, rehearse

    preload()
    async with _place(session, clusters=clusters or CLUSTERS, keep=keep) as (place, settings):
        stage = TerminalStage(session, quiet=place.quiet)
        helm = await program("helm", say=session.note)
        outcome = await rehearse(stage, chosen, place, Props(helm, settings), undo=undo)
    if not session.text:
        session.document(rehearsal(outcome))
    return 0 if outcome.good else FAILED


async def _fleet(session: Session, scenario: FleetScenario, *, clusters: int | None, keep: bool, undo: bool) -> int:
    from msgspec.structs import replace

    from backout.app.programs import program
    from backout.app.running import preload
    from backout.cli.stage import TerminalStage
    from backout.documents.machine import rehearsal
    from backout.errors import UsageError
    from backout.lab.fleet import rehearse_fleet, require_enough
    from backout.lab.places import embedded_places
    from backout.lab.player import Props
    from backout.model.settings import SnapshotSettings

    own = bool(session.workspace.where.contexts)
    if own and not scenario.anywhere:
        # What goes wrong here must go wrong for nobody.
        raise UsageError(
            "{scenario} is played on embedded clusters.", scenario=scenario.id, hint="Leave --context out."
        )
    if not own:
        require_enough(scenario, clusters or scenario.clusters)
    preload()
    settings = session.workspace.settings
    if not keep and not own:
        settings = replace(settings, snapshots=SnapshotSettings())
    with ExitStack() as open_:
        if own:
            places = await _own_places(session)
        else:
            stage = TerminalStage(session)
            places = open_.enter_context(embedded_places(stage, clusters=clusters or scenario.clusters, keep=keep))
        stage = TerminalStage(session, quiet=not keep and not own)
        helm = await program("helm", say=session.note)
        outcome = await rehearse_fleet(stage, scenario, places, Props(helm, settings), undo=undo)
    if not session.text:
        session.document(rehearsal(outcome))
    return 0 if outcome.good else FAILED


async def _own_places(session: Session) -> list[Place]:
    """The clusters that were named, which one kubeconfig has to lead to.

    Raises:
        UsageError: several do.
    """
    from backout.errors import UsageError
    from backout.lab.places import Place

    found = []
    for name in session.workspace.contexts:
        async with session.workspace.cluster(name) as cluster:
            kubeconfig, context = str(getattr(cluster, "kubeconfig", "")), str(getattr(cluster, "context", ""))
        found.append(Place(kubeconfig, context, session.options.namespace or DEMO_NAMESPACE, own=True))
    if len({place.kubeconfig for place in found}) > 1:
        raise UsageError(
            "These clusters are reached by several kubeconfigs.",
            expected="one for all of them",
            hint="Name the files together: KUBECONFIG={files}",
            files=os.pathsep.join(dict.fromkeys(place.kubeconfig for place in found)),
        )
    return found


@asynccontextmanager
async def _place(session: Session, *, clusters: int, keep: bool) -> AsyncIterator[tuple[Place, Settings]]:
    """The cluster that was named, else embedded ones; and the settings there."""
    from msgspec.structs import replace

    from backout.cli.stage import TerminalStage
    from backout.lab.places import Place, embedded_place
    from backout.model.settings import SnapshotSettings

    settings = session.workspace.settings
    if session.options.contexts:
        kubeconfig, context = await session.workspace.reached()
        yield Place(kubeconfig, context, session.options.namespace or DEMO_NAMESPACE, own=True), settings
        return
    if not keep:
        # The repository of the user's configuration is not for rehearsals.
        settings = replace(settings, snapshots=SnapshotSettings())
    with embedded_place(TerminalStage(session), clusters=clusters, keep=keep) as place:
        yield place, settings


def _list(session: Session, scenarios: Any) -> None:
    from backout.documents.machine import Listed, ScenarioList

    if not session.text:
        session.document(ScenarioList(items=tuple(Listed(scenario=s.id, title=s.title) for s in scenarios)))
        return
    screen = session.screen()
    screen.table(("scenario", "broken by"), [(scenario.id, screen.say(scenario.title)) for scenario in scenarios])
    screen.show()
