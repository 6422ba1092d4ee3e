# SPDX-License-Identifier: Apache-2.0
"""What is said when runs are over, and the exit code that stands for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backout.app.running import PARTLY, WORST, exit_code_of, worst

if TYPE_CHECKING:
    from backout.app.events import Failed
    from backout.cli.session import Session
    from backout.model.run import Run


def run_document(session: Session, run: Run) -> dict[str, Any]:
    """The run with its events, for JSON and YAML."""
    from backout.app.runs import run as kept
    from backout.cli.output import with_kind

    return with_kind("Run", run, events=kept(session.workspace, run.id).events, exitCode=exit_code_of(run))


def conclude(session: Session, run: Run) -> int:
    """Says how the run ended, and what can be done now; returns the exit code."""
    from backout.cli.render.run import show_outcome

    if session.text:
        session.show(lambda page: show_outcome(page, run))
    else:
        session.document(run_document(session, run))
    return exit_code_of(run)


def report(session: Session, runs: Sequence[Run], failures: Sequence[Failed], *, told: int = 0) -> int:
    """Tells how each ended, in one document where one was asked for; returns the exit code.

    The first ``told`` failures were told to people before.
    """
    from backout.cli.failures import failed_document, show_failure
    from backout.cli.output import versioned

    if len(runs) == 1 and not failures:
        return conclude(session, runs[0])
    code = worst([*(exit_code_of(run) for run in runs), *(failed.error.exit_code for failed in failures)])
    if runs and failures and code not in WORST:
        # Something was written, and something was left out: that is neither a refusal nor a success.
        code = PARTLY
    if not session.text:
        items = [*(run_document(session, run) for run in runs), *(failed_document(failed) for failed in failures)]
        session.document(versioned("RunList", items=items, exitCode=code))
        return code
    for run in runs:
        conclude(session, run)
    for failed in failures[told:]:
        session.note("")
        session.note("{target} on {cluster}:", target=str(failed.target or "?"), cluster=failed.cluster)
        show_failure(failed.error, session.options)
    if failures:
        session.note("{done} of {all} were carried out.", done=len(runs), all=len(runs) + len(failures))
    return code
