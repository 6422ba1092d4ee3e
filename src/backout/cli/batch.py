# SPDX-License-Identifier: Apache-2.0
"""Several plans of one command: one that fails stops no other, and all are reported together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backout.errors import BackoutError, Interrupted

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.model.plan import Plan
    from backout.model.run import Run
    from backout.model.target import Target

WORST = (8, 7, 9, 1, 130)
"""Exit codes in the order of how much a person must do about them; of all others the highest counts."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What did not work for one cluster or target; others went on."""

    error: BackoutError
    cluster: str
    target: Target | None = None

    def document(self) -> dict[str, Any]:
        """The error, with where it happened."""
        from backout.cli.failures import as_document

        where = {"cluster": self.cluster}
        if self.target is not None:
            where |= {"namespace": self.target.namespace, "target": str(self.target)}
        return {**as_document(self.error), **where}


def worst(codes: Sequence[int]) -> int:
    """The exit code that stands for all; 0 only when all are."""
    return next((code for code in WORST if code in codes), max(codes, default=0))


def reached_by(session: Session, plan: Plan) -> str:
    """The context of a plan's cluster. A plan file names its own; --context may say which it is from here."""
    return session.contexts[0] if session.values.get("contexts") and len(session.contexts) == 1 else plan.cluster


async def run_all(session: Session, plans: Sequence[Plan]) -> tuple[list[Run], list[Failed]]:
    """Carries the plans out, one after the other. Ctrl-C ends with the one that is under way.

    Raises:
        BackoutError: there is one plan, and its run could not begin or did not end.
    """
    from backout.cli.running import carry_out

    runs: list[Run] = []
    failures: list[Failed] = []
    for number, plan in enumerate(plans):
        try:
            async with session.cluster(reached_by(session, plan)) as cluster:
                runs.append(await carry_out(session, cluster, plan))
        except BackoutError as error:
            if len(plans) == 1:
                raise
            failures.append(Failed(error, plan.cluster, plan.target))
            if isinstance(error, Interrupted):
                failures += [Failed(_not_begun(other), other.cluster, other.target) for other in plans[number + 1 :]]
                break
    return runs, failures


def _not_begun(plan: Plan) -> Interrupted:
    return Interrupted("{target} was not begun, since it was stopped before.", target=str(plan.target))


def report(session: Session, runs: Sequence[Run], failures: Sequence[Failed], *, told: int = 0) -> int:
    """Tells how each ended, in one document where one was asked for; returns the exit code.

    The first ``told`` failures were told to people before.
    """
    from backout.cli.failures import show_failure
    from backout.cli.output import versioned
    from backout.cli.running import conclude, exit_code_of, run_document

    if len(runs) == 1 and not failures:
        return conclude(session, runs[0])
    code = worst([*(exit_code_of(run) for run in runs), *(failed.error.exit_code for failed in failures)])
    if not session.text:
        items = [*(run_document(session, run) for run in runs), *(failed.document() for failed in failures)]
        session.document(versioned("RunList", items=items, exitCode=code))
        return code
    for run in runs:
        conclude(session, run)
    for failed in failures[told:]:
        session.note("")
        session.note("{target} on {cluster}:", target=str(failed.target or "?"), cluster=failed.cluster)
        show_failure(failed.error)
    if failures:
        session.note("{done} of {all} were carried out.", done=len(runs), all=len(runs) + len(failures))
    return code
