# SPDX-License-Identifier: Apache-2.0
"""`backout diagnose`: what broke?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.model.evidence import Diagnosis

FOUND = 10


@click.command("diagnose")
@click.argument("targets", nargs=-1)
@common_options
@with_session
async def command(session: Session, targets: tuple[str, ...]) -> int:
    """Says what broke, since when, by which change, and how sure that is.

    Without TARGETS it looks at the whole namespace. Exit code 10 when something is broken.
    """
    from backout.cli.targets import read_targets
    from backout.cli.unfinished import tell_unfinished
    from backout.diagnosis.diagnose import diagnose

    async def look(cluster: Cluster) -> Diagnosis:
        named = read_targets(session, cluster, targets)
        return await diagnose(cluster, session.namespace_of(cluster), named)

    found: list[Diagnosis] = await session.each_cluster(look)
    if session.text:
        page = session.page()
        for number, diagnosis in enumerate(found):
            if number:
                page.line()
            from backout.cli.views.diagnosis import show_diagnosis

            show_diagnosis(page, diagnosis)
        page.show()
        tell_unfinished(session)
    else:
        session.document(documents(found))
    return FOUND if any(not diagnosis.healthy for diagnosis in found) else 0


def documents(found: list[Diagnosis]) -> dict[str, object]:
    """One document for one cluster, a list of them for several."""
    from backout.cli.output import versioned, with_kind

    each = [with_kind("Diagnosis", diagnosis, healthy=diagnosis.healthy) for diagnosis in found]
    return each[0] if len(each) == 1 else versioned("DiagnosisList", items=each)
