# SPDX-License-Identifier: Apache-2.0
"""What is said when runs are over, and the exit code that stands for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.app.running import exit_code_of, exit_code_of_all
from backout.app.runs import run as kept
from backout.cli.failures import show_failure
from backout.documents.running import outcome_list, run_document

if TYPE_CHECKING:
    from backout.app.events import Failed
    from backout.cli.session import Session
    from backout.model.run import Run


def conclude(session: Session, run: Run) -> int:
    """Says how the run ended, and what can be done now; returns the exit code."""
    if session.text:
        _show(session, run)
    else:
        session.document(run_document(kept(session.workspace, run.id)))
    return exit_code_of(run)


def _show(session: Session, run: Run) -> None:
    from backout.cli.render.run import show_outcome

    events = kept(session.workspace, run.id).events
    spaces = {part.scope.namespace for part in run.operation.parts}
    place = spaces.pop() if len(spaces) == 1 else ""
    session.show(lambda screen: show_outcome(screen.within(place), run, events))


def report(
    session: Session, runs: Sequence[Run], failures: Sequence[Failed], *, told: int = 0, left: Sequence[Failed] = ()
) -> int:
    """Tells how each ended, in one document where one was asked for; returns the exit code.

    The first ``told`` failures were told to people before. ``left``: what no plan acted on and is not well again.
    """
    if not session.text:
        document = outcome_list([kept(session.workspace, run.id) for run in runs], [*failures, *left])
        session.document(document)
        return document.exit_code
    for run in runs:
        _show(session, run)
    for failed in failures[told:]:
        session.note("")
        session.note("{target} on {cluster}:", target=str(failed.target or "?"), cluster=failed.cluster)
        show_failure(failed.error, session.options)
    if failures:
        session.note("{done} of {all} were carried out.", done=len(runs), all=len(runs) + len(failures))
    for failed in left:
        session.note("")
        show_failure(failed.error, session.options)
    return exit_code_of_all(runs, [*failures, *left])
