# SPDX-License-Identifier: Apache-2.0
"""`backout verify`: the checks alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.model.verdict import Verdict

NOT_VERIFIED = 7


@click.command("verify")
@click.argument("targets", nargs=-1)
@click.option("--soak", type=click.FloatRange(0, 3600), help="Seconds to watch for restarts (else verify.soak).")
@common_options
@with_session
async def command(session: Session, targets: tuple[str, ...], soak: float | None) -> int:
    """Measures whether TARGETS (else the whole namespace) are healthy, and watches that they stay so.

    Exit code 7 when they are not, or when it could not be measured.
    """
    from backout.cli.output import versioned, with_kind
    from backout.cli.views.run import show_verdict

    seconds = session.settings.verify.soak if soak is None else soak

    async def look(cluster: Cluster) -> tuple[str, Verdict]:
        return cluster.name, await _measure(session, cluster, targets, seconds)

    found = await session.each_cluster(look)
    if session.text:
        page = session.page()
        for name, verdict in found:
            page.line(name)
            show_verdict(page, verdict, 2, rolled_back=False)
        page.show()
    else:
        items = [with_kind("Verdict", verdict, cluster=name) for name, verdict in found]
        session.document(items[0] if len(items) == 1 else versioned("VerdictList", items=items))
    return 0 if all(verdict.outcome == "recovered" for _, verdict in found) else NOT_VERIFIED


async def _measure(session: Session, cluster: Cluster, texts: tuple[str, ...], soak: float) -> Verdict:
    from backout.cli.targets import read_targets
    from backout.errors import UsageError
    from backout.mechanisms import registry
    from backout.planning.choice import current_of
    from backout.verify.defaults import namespace_checks
    from backout.verify.stacks import stack_checks
    from backout.verify.verify import verify

    targets = read_targets(session, cluster, texts)
    if not targets:
        namespace = session.namespace_of(cluster)
        if not namespace:
            raise UsageError("verify looks at one namespace at a time.", hint="Say which with -n NAMESPACE.")
        checks = [*await namespace_checks(cluster, namespace), *stack_checks(session.settings, cluster.name, namespace)]
    else:
        checks = []
        for target in targets:
            mechanism = registry.of_kind(target.kind)
            current = current_of(await mechanism.history(cluster, target))
            if current is not None:
                checks += await mechanism.checks(cluster, target, current)
        for namespace in dict.fromkeys(target.namespace for target in targets):
            checks += stack_checks(session.settings, cluster.name, namespace)
    session.note("Watching for {seconds} s …", seconds=f"{soak:g}")
    return await verify(cluster, checks, soak, settle=0.0)
