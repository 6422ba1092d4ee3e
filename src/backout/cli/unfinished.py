# SPDX-License-Identifier: Apache-2.0
"""Runs that stopped half-way: until they are finished, what they changed so far may look like nothing at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from backout.errors import BackoutError

if TYPE_CHECKING:
    from backout.cli.session import Session

LOOKED_BACK = 50
"""The latest runs among which they are looked for."""


def tell_unfinished(session: Session) -> None:
    """Names those of the clusters in question, and of the namespace if one was given."""
    if not session.text:
        return
    from backout.cli.store import open_store

    given = session.values.get("namespace")
    with suppress(BackoutError), open_store(session) as store:
        for run in store.summaries(LOOKED_BACK):
            here = {run.cluster, ""} & set(session.contexts) and given in (None, "", run.namespace)
            if run.state == "interrupted" and not run.undone_by and here:
                session.note(
                    "Run {run} on {target} in {namespace} of {cluster} stopped half-way. `backout resume "
                    "{run}` finishes it; when it is over, `backout undo {run}` takes it back.",
                    run=run.id,
                    target=run.target,
                    namespace=run.namespace,
                    cluster=run.cluster,
                )
