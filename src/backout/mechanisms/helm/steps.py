# SPDX-License-Identifier: Apache-2.0
"""The steps of a rollback, or the reason why there must be none. Pure, over what the analysis found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from backout.errors import AccessDenied, Conflict, Invalid, PreconditionFailed, RefusedError
from backout.helm.manifest import digest
from backout.helm.staying import staying
from backout.helm.text import duration
from backout.helm.unfinished import refusal
from backout.mechanisms.common.evidence import WorkloadId
from backout.mechanisms.common.operated import waiting
from backout.mechanisms.common.params import named
from backout.mechanisms.common.steps import params_of
from backout.mechanisms.helm import along
from backout.mechanisms.helm.aftercare import aftercare
from backout.mechanisms.helm.analysis import Analysis, scaled_of
from backout.mechanisms.helm.checks import access_back
from backout.mechanisms.helm.holders import away
from backout.mechanisms.helm.kept import restore_step
from backout.mechanisms.helm.obstacles import Obstacle, obstacles
from backout.mechanisms.helm.operators import subjects
from backout.mechanisms.helm.params import Parts, RepairParams, RestoreLiveParams, RollbackParams, Scaled, Staying
from backout.mechanisms.helm.preview import HOLDS_DATA, rollback_hooks
from backout.mechanisms.helm.sparing import keep_steps
from backout.mechanisms.helm.strays import missing, strays
from backout.mechanisms.port import wire
from backout.model.message import msg
from backout.model.part import Compensation, Step
from backout.model.target import ObjectRef, Target
from backout.tools.locate import Tool

HELM_TIMEOUT = 300.0
"""Helm's own default for ``--timeout``, in seconds for each operation."""
YOUNG = timedelta(minutes=5)
"""Helm's default ``--timeout``: a pending release that is younger may still be somebody's."""


def steps(
    analysis: Analysis,
    target: Target,
    driver: str,
    now: datetime,
    helm: Tool | None = None,
    failing: Collection[WorkloadId] = (),
) -> list[Step]:
    """The steps in order. ``helm`` is the one that would run, where there is one; ``failing`` are workloads whose pods fail now.

    Raises:
        RefusedError, Conflict, Invalid, AccessDenied: it can't work, or would do harm.
    """
    found = obstacles(analysis.items)
    _refuse(analysis, target, [obstacle for obstacle in found if obstacle.final])
    strangers = [item.ref for item in analysis.items if item.stranger]
    if helm is not None and helm.major == 3 and strangers:
        raise stops_at(strangers, target.name)
    recreate = [obstacle for obstacle in found if obstacle.kind == "recreate"]
    takeover = any(obstacle.kind == "takeover" for obstacle in found)
    result: list[Step] = []
    if analysis.head.pending:
        result.append(_repair(analysis, target, driver, now))
    result.extend(restore_step(analysis, target, driver))
    result.extend(keep_steps(analysis, target))
    result.append(_rollback(analysis, target, driver, recreate, force_conflicts=takeover))
    result.extend(aftercare(analysis, target, now.strftime("%Y-%m-%dT%H:%M:%SZ"), failing))
    result.extend(waiting(subjects(analysis), target, "helm.wait-operator"))
    return result


def stops_at(refs: Sequence[ObjectRef], release: str) -> PreconditionFailed:
    """Helm 3 gives up in the middle at an object that exists though the base revision lacks it (v4 goes on)."""
    return PreconditionFailed(
        "Helm 3 can't go back on helm/{release}: {objects} exists, but is not part of its current revision.",
        release=release,
        objects=", ".join(str(ref) for ref in refs),
        expected="objects that are in both revisions, or in neither",
        found="{objects}",
        hint="Use Helm 4 (name it in BACKOUT_HELM), or delete what is in the way if nothing needs it.",
    )


def observe(analysis: Analysis, now: datetime) -> float:
    """For how many seconds a pending record is watched: the younger, the longer."""
    age = pending_age(analysis, now)
    if age is None or age < YOUNG:
        return 10.0
    return 3.0


def pending_age(analysis: Analysis, now: datetime) -> timedelta | None:
    """How long the newest record has been pending, by the API server's clock."""
    return now - analysis.head.created if analysis.head.pending and analysis.head.created else None


def _refuse(analysis: Analysis, target: Target, final: list[Obstacle]) -> None:
    head = analysis.head
    if head.status == "pending-install" and head.revision == 1:
        raise refusal(target)
    if head.status in {"uninstalling", "uninstalled"}:
        raise RefusedError(
            "{target} is {status}.",
            target=str(target),
            status=head.status,
            hint="Install it again; a rollback would fight the uninstall.",
        )
    along.require_known(analysis, target)
    if not final:
        return
    if unreadable := [str(obstacle.item.ref) for obstacle in final if obstacle.kind == "unreadable"]:
        raise AccessDenied(
            "{target} can't go back to revision {revision}: you may not read {objects}, so what that would change is not known.",
            target=str(target),
            revision=analysis.target.revision,
            objects=", ".join(unreadable),
            expected="the right to get what the release holds",
            hint="`backout doctor` prints the Role that is missing.",
        )
    kind = Conflict if all(obstacle.kind == "conflict" for obstacle in final) else Invalid
    hints = {
        "conflict": "Let the owner of the field set it, or take the field out of the chart.",
        "deleting": "Wait until it is gone, then plan anew: the rollback makes it again.",
        "foreign": "Leave it to that release: choose a revision that lacks it, or fix the chart forward.",
        "unserved": "Restore the custom resource definition first, or deploy a chart that does without.",
    }
    raise kind(
        "{target} can't go back to revision {revision}: {reasons}",
        target=str(target),
        revision=analysis.target.revision,
        reasons=" ".join(str(obstacle.message) for obstacle in final),
        expected="objects that can be written, and that stay (asked by dry run; nothing was written)",
        found="{count} that can't, or don't",
        count=len(final),
        hint=hints.get(final[0].kind, "Choose another revision (`backout history {target}`), or fix it forward."),
    )


def _repair(analysis: Analysis, target: Target, driver: str, now: datetime) -> Step:
    head, age = analysis.head, pending_age(analysis, now)
    return Step(
        id="repair-pending",
        action="helm.repair-pending",
        target=target,
        title=msg(
            "Look whether a helm still writes to the release: revision {n} has been {status} for {age}",
            n=head.revision,
            status=head.status,
            age=duration(age) if age else "an unknown time",
        ),
        params=wire(
            RepairParams(release=target.name, revision=head.revision, driver=driver, observe=observe(analysis, now))
        ),
        precondition={"head": head.revision, "status": head.status},
        effect=msg("The record does not change while it is watched."),
        timeout=60.0,
    )


def _rollback(
    analysis: Analysis, target: Target, driver: str, recreate: list[Obstacle], *, force_conflicts: bool
) -> Step:
    head, revision = analysis.head, analysis.target.revision
    wanted, present = digest(analysis.target_release.manifest), digest(analysis.head_release.manifest)
    forward = RollbackParams(
        release=target.name,
        driver=driver,
        timeout=HELM_TIMEOUT,
        recreate=tuple(obstacle.item.ref.name for obstacle in recreate if obstacle.around),
        anew=tuple(named(obstacle.item.ref) for obstacle in recreate if not obstacle.around),
        away=away(analysis, "target"),
        stay=tuple(
            Staying(**params_of(item.ref), spec=item.target["spec"])
            for item in analysis.items
            if item.stays and item.target is not None
        ),
        scaled=tuple(
            Scaled(**params_of(item.ref), replicas=item.raised.now)
            for item in analysis.items
            if item.raised is not None
        ),
        no_hooks=not analysis.hooks,
        revision=revision,
        digest=wanted,
        apply="ssa" if analysis.server_side else "csa",
        # what was scaled by us is not another's: the dry run found nobody else
        force_conflicts=force_conflicts or any(item.holders for item in analysis.items),
        reapply=wanted == present
        and (bool(analysis.doubled) or any(item.fields or item.live is None for item in analysis.items)),
    )
    destroys = [i.ref for i in analysis.items if i.gone and not i.kept and i.live is not None]
    destroys += [ref for ref in along.made_again(analysis) if ref not in destroys]
    return Step(
        id="rollback",
        action="helm.rollback",
        target=target,
        title=msg("Roll the release back from revision {head} to revision {n}", head=head.revision, n=revision)
        if head.revision != revision
        else msg("Apply revision {n} of the release again", n=revision),
        params=wire(forward),
        precondition={"head": head.revision, "status": head.status, "digest": present},
        effect=msg(
            "A new revision {n}, deployed, with the content of revision {target}.", n=head.revision + 1, target=revision
        ),
        compensation=_compensation(analysis, forward, recreate),
        destroys=(*destroys, *(obstacle.item.ref for obstacle in recreate)),
        # each hook may take Helm's own timeout, and a helm of an earlier attempt may have to be waited for
        timeout=HELM_TIMEOUT * (2 + (len(rollback_hooks(analysis)) if analysis.hooks else 0)),
    )


def _with_scaled(analysis: Analysis, present: str) -> str:
    """The content before, in which the same workloads keep the number of their pods as they did forward."""
    kept = [scaled_of(item.ref, item.raised.now) for item in analysis.items if item.raised is not None]
    return digest(staying(analysis.head_release.manifest, analysis.namespace, kept)) if kept else present


def _compensation(analysis: Analysis, forward: RollbackParams, recreate: list[Obstacle]) -> Compensation | None:
    """Helm goes to the revision from before; where the objects were not what that says, the capture is needed, too."""
    wanted, present = digest(analysis.target_release.manifest), digest(analysis.head_release.manifest)
    rights = tuple(access_back(analysis, forward.driver))
    back: RollbackParams | None = None
    if wanted != present:
        back = msgspec.structs.replace(
            forward,
            revision=analysis.head.revision,
            digest=_with_scaled(analysis, present),
            expect=wanted,
            apply="ssa" if analysis.head_release.server_side and analysis.server_side else "csa",
            force_conflicts=bool(forward.away),
            reapply=False,
            away=away(analysis, "base"),
            stay=(),
        )
    astray = strays(analysis, [obstacle.item.ref for obstacle in recreate])
    absent = [ref for ref in missing(analysis) if ref.kind not in HOLDS_DATA]
    definitions, again = along.again(analysis)
    if not astray and not absent and not again:
        return Compensation("helm.rollback", wire(back), rights) if back else None
    params = RestoreLiveParams(
        release=forward.release,
        driver=forward.driver,
        expect=wanted,
        objects=tuple(
            Parts(**params_of(stray.ref), uid="" if stray.remade else stray.ref.uid, parts=stray.parts)
            for stray in astray
        ),
        remove=tuple(named(ref) for ref in absent),
        definitions=definitions,
        again=again,
        rollback=back,
    )
    return Compensation("helm.restore-live", wire(params), rights)
