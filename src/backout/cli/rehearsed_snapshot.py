# SPDX-License-Identifier: Apache-2.0
"""The snapshot that a rehearsal takes while its stack is healthy: what people do before they deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster


async def take_good_snapshot(session: Session, cluster: Cluster, namespace: str) -> None:
    """`backout snapshot create`, with the key and the repository made at the first use.

    Raises:
        NotVerifiedError: the snapshot does not count as a good one, so nothing could be taken from it.
    """
    from backout.app.snapshots.opening import opened
    from backout.app.snapshots.taking import taken
    from backout.cli.render.snapshot_work import show_taken
    from backout.errors import NotVerifiedError

    session.note("")
    session.note("$ backout snapshot create -n {namespace}", namespace=namespace)
    async with opened(session.workspace, create=True) as repository:
        found = await taken(session.workspace, cluster, repository, namespace)
    if session.text:
        page = session.page()
        show_taken(page, found)
        page.show()
    if not found.snapshot.healthy:
        raise NotVerifiedError(
            "The stack of the rehearsal was not healthy when its snapshot was taken.",
            expected="a good snapshot",
            found="snapshot {id}, which is none",
            id=found.snapshot.short,
        )
