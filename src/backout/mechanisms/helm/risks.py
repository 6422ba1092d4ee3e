# SPDX-License-Identifier: Apache-2.0
"""What one must know before saying yes to a rollback of a release. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from backout.helm.deployed import told
from backout.helm.staying import only_grown
from backout.helm.text import duration
from backout.kube.workloads import partition_of
from backout.mechanisms.common.evidence import WorkloadId
from backout.mechanisms.helm import along
from backout.mechanisms.helm.analysis import Analysis
from backout.mechanisms.helm.consumers import stale_consumers
from backout.mechanisms.helm.kept import record_risk
from backout.mechanisms.helm.obstacles import obstacles, other_release
from backout.mechanisms.helm.preview import HOLDS_DATA, rollback_hooks
from backout.mechanisms.helm.steps import YOUNG, pending_age
from backout.mechanisms.helm.strays import leftovers, missing
from backout.model.message import few, msg
from backout.model.part import Risk
from backout.tools.locate import Tool


def risks(
    analysis: Analysis,
    helm: Tool | None,
    now: datetime,
    *,
    failing: Collection[WorkloadId] = (),
    starting: bool = False,
) -> list[Risk]:
    """The risks, the heaviest first. ``failing`` are workloads of the release whose pods fail now; ``starting``: others are not
    ready yet."""
    found = [
        *record_risk(analysis.target),
        *_doubled(analysis),
        *_deletions(analysis),
        *_obstacles(analysis),
        *_bystanders(analysis),
        *_staying(analysis),
        *_pending(analysis, now, alive=starting and not failing),
        *_restarts(analysis, failing),
        *_replicas(analysis),
        *_raised(analysis),
        *_partitions(analysis),
        *_left_over(analysis),
    ]
    kept_back = ", ".join(str(ref) for ref in missing(analysis) if ref.kind in HOLDS_DATA)
    if kept_back:
        found.append(
            Risk(
                code="undo-keeps",
                message=msg(
                    "Missing now and made by the rollback: {objects}. `backout undo` would not delete that again, since it may "
                    "hold data by then.",
                    objects=kept_back,
                ),
            )
        )
    hooks = rollback_hooks(analysis)
    if hooks:
        names = ", ".join(dict.fromkeys(name for _, name in hooks))
        found.append(
            Risk(
                code="hooks",
                message=msg(
                    "Hooks of the target revision run again: {hooks}. They may not be made to run twice.", hooks=names
                ),
            )
            if analysis.hooks
            else Risk(
                code="no-hooks",
                message=msg(
                    "Hooks of the target revision do not run, as you asked: {hooks}. What they do is left undone.",
                    hooks=names,
                ),
            )
        )
    strangers = ", ".join(str(item.ref) for item in analysis.items if item.stranger)
    if strangers:
        found.append(
            Risk(
                code="unknown-base",
                message=msg(
                    "The target has objects that exist although the current revision lacks them: {objects}. Helm 3 would stop "
                    "there; Helm 4 takes them over.",
                    objects=strangers,
                ),
            )
        )
    kept = ", ".join(str(item.ref) for item in analysis.items if item.gone and item.kept and item.live is not None)
    if kept and helm is not None and helm.major == 3:
        found.append(
            Risk(
                code="undo-blocked",
                message=msg(
                    "{objects} stays, since it is marked to be kept; Helm 3 could then not undo this rollback, Helm 4 could.",
                    objects=kept,
                ),
            )
        )
    if helm is not None and helm.major == 3 and analysis.head_release.server_side:
        found.append(
            Risk(
                code="helm-major",
                message=msg(
                    "Helm 4 wrote the release with server-side apply; helm {version} goes back with client-side apply.",
                    version=helm.version,
                ),
            )
        )
    if any(not item.asked and item.target is not None and item.refusal is None for item in analysis.items):
        found.append(
            Risk(
                code="not-asked",
                message=msg("Some writes could not be tried by dry run, so the server may still refuse them."),
            )
        )
    return found


def _doubled(analysis: Analysis) -> list[Risk]:
    if not analysis.doubled:
        return []
    message = msg("{what} Helm marks all but the new one superseded.", what=told(analysis.doubled))
    return [Risk(code="several-deployed", message=message)]


def _deletions(analysis: Analysis) -> list[Risk]:
    gone = [item for item in analysis.items if item.gone and not item.kept and item.live is not None]
    if not gone:
        return []
    heavy = any(item.ref.kind in HOLDS_DATA for item in gone)
    names = ", ".join(str(item.ref) for item in gone)
    head = analysis.head
    others = {item.ref: other_release(item.live, head.release, head.namespace) for item in gone}
    found = [
        Risk(
            code="deletes",
            needs_approval=True,
            message=msg("{object} belongs to {release} now, and Helm would delete it.", object=str(ref), release=other),
        )
        for ref, other in others.items()
        if other
    ]
    return [
        *found,
        *along.risks(analysis),
        Risk(
            code="deletes",
            needs_approval=heavy,
            message=msg(
                "{count} objects that the target revision lacks are deleted: {names}.", count=len(gone), names=names
            ),
        ),
    ]


def _obstacles(analysis: Analysis) -> list[Risk]:
    return [
        Risk(code=obstacle.kind, message=obstacle.message, needs_approval=True)
        for obstacle in obstacles(analysis.items)
        if not obstacle.final
    ]


def _bystanders(analysis: Analysis) -> list[Risk]:
    return [
        Risk(
            code="old-content",
            message=msg(
                "{pods} read {object}, too, and are left alone: until they end, their nodes serve the old content, also to others.",
                pods=few([f"pod/{name}" for name in item.others]),
                object=str(item.ref),
            ),
        )
        for item in analysis.items
        if item.others
    ]


def _staying(analysis: Analysis) -> list[Risk]:
    """A claim that has grown holds the same data; one that was made anew elsewhere may hold other data, so that needs a yes."""
    found = []
    for item in analysis.items:
        if not item.stays:
            continue
        paths = [field.path for field in item.stays]
        grown = only_grown(item.stays)
        found.append(
            Risk(
                code="stays",
                needs_approval=not grown,
                message=msg(
                    "{object} stays as it is in {fields}: a claim can't shrink, and its data stays. All else goes back, and Helm's new "
                    "revision says the claim as it is; set it in the chart's values before the next upgrade.",
                    object=str(item.ref),
                    fields=few(paths),
                )
                if grown
                else msg(
                    "{object} stays as it is in {fields}, which can't be changed once set, so that its data may not be that of revision "
                    "{n}. All else goes back, and Helm's new revision says the claim as it is.",
                    object=str(item.ref),
                    fields=few(paths),
                    n=analysis.target.revision,
                ),
            )
        )
    return found


def _pending(analysis: Analysis, now: datetime, *, alive: bool) -> list[Risk]:
    """A helm that waits writes nothing: where pods are starting and none fails, it may well be alive, and about to end well."""
    age = pending_age(analysis, now)
    if not analysis.head.pending or (age is not None and age >= YOUNG):
        return []
    return [
        Risk(
            code="maybe-running",
            needs_approval=alive,
            message=msg(
                "Revision {n} has been {status} for {age} only. If somebody's helm still waits for it, that helm will notice "
                "nothing and may write its own result later; ask before you go on.",
                n=analysis.head.revision,
                status=analysis.head.status,
                age=duration(age) if age else "an unknown time",
            ),
        )
    ]


def _restarts(analysis: Analysis, failing: Collection[WorkloadId]) -> list[Risk]:
    found = stale_consumers(analysis, failing)
    if not found:
        return []
    readers = ", ".join(str(stale.item.ref) for stale in found)
    objects = ", ".join(dict.fromkeys(str(ref) for stale in found for ref in stale.objects))
    return [
        Risk(code="restart", message=msg("{readers} must be restarted to read {ref}.", readers=readers, ref=objects))
    ]


def _replicas(analysis: Analysis) -> list[Risk]:
    found = []
    for item in analysis.items:
        change = next((change for change in item.fields if change.path == "spec.replicas"), None)
        if change is not None and item.live is not None and item.target is not None and change.after is not None:
            found.append(
                Risk(
                    code="replicas",
                    message=msg(
                        "The replicas of {object} go from {before} to {after}.",
                        object=str(item.ref),
                        before=str(change.before),
                        after=str(change.after),
                    ),
                )
            )
    return found


def _raised(analysis: Analysis) -> list[Risk]:
    """Who wants the chart's number of pods back scales it, or goes by it with the next upgrade."""
    return [
        Risk(
            code="raised",
            message=msg(
                "{object} keeps its {now} pods, which {who} set: it is well, and not what is broken. Revision {n} says {then}; Helm's new "
                "revision says {now}, so set that in the chart's values before the next upgrade.",
                object=str(item.ref),
                now=item.raised.now,
                then=item.raised.then,
                who=item.raised.who,
                n=analysis.target.revision,
            ),
        )
        for item in analysis.items
        if item.raised is not None
    ]


def _partitions(analysis: Analysis) -> list[Risk]:
    """A partition of the target revision: no pod below it goes to that revision's template by itself."""
    found = []
    for item in analysis.items:
        partition = partition_of(item.target) if item.ref.kind == "StatefulSet" and item.target else 0
        if partition and any(change.path.startswith("spec.template.") for change in item.fields):
            found.append(
                Risk(
                    code="partition",
                    message=msg(
                        "{object} has partition {partition} in the target revision: its pods below {partition} stay at the "
                        "revision that they have.",
                        object=str(item.ref),
                        partition=partition,
                    ),
                )
            )
    return found


def _left_over(analysis: Analysis) -> list[Risk]:
    return [
        Risk(
            code="left-over",
            message=msg(
                "{object} keeps {fields} as revision {n} has it, although revision {target} does not: the API server does not "
                "take it away.",
                object=str(item.ref),
                fields=", ".join(field.path for field in fields),
                n=analysis.head.revision,
                target=analysis.target.revision,
            ),
        )
        for item in analysis.items
        if (fields := leftovers(item))
    ]
