# SPDX-License-Identifier: Apache-2.0
"""What an upgrade took away that somebody had set past Helm: no revision of the release has it, and its manifests did not change.

Only the ReplicaSets and ControllerRevisions know that pods were made from another template between two revisions.
"""

from __future__ import annotations

from backout.diagnosis.attribution.capability import INNOCENT
from backout.diagnosis.attribution.changes import Change, short
from backout.diagnosis.evidence.history import WorkloadHistory
from backout.kube.diff import diff_objects
from backout.kube.templates import fits, plain_template
from backout.model.message import msg

SHOWN = 3


def overwritten(history: WorkloadHistory) -> list[Change]:
    """The revision in force as the change that made the workload what it declares again; nothing where the template before was one
    that some revision declares as well: then the step between these is the change."""
    release, declared = history.release, history.declared
    if release is None or declared is None or history.maker is not None or len(history.generations) < 2:
        return []
    before, after = history.generations[-2:]
    said = [
        plain_template(((version.content.get("spec") or {}).get("template")) or {})
        for version in history.versions
        if version.content is not None
    ]
    own = plain_template((((declared.content or {}).get("spec") or {}).get("template")) or {})
    if not fits(after.template, own) or any(fits(before.template, one) for one in said):
        return []
    fields = tuple(
        field
        for field in diff_objects({"spec": {"template": before.template}}, {"spec": {"template": after.template}})
        if not INNOCENT.search(field.path)
    )
    if not fields:
        return []
    names = ", ".join(dict.fromkeys(short(field.path) for field in fields[:SHOWN]))
    return [
        Change(
            at=release.in_force.created,
            actor="helm",
            source="helm",
            target=release.target,
            mechanism="",
            touches=(history.ref,),
            fields=fields,
            revision=release.in_force.revision,
            generation=after.name,
            before=msg("what had been set past {release}", release=str(release.target)),
            summary=msg(
                "{target} went to revision {number}, which took away what had been set past it: {fields} of {object}",
                target=str(release.target),
                number=release.in_force.revision,
                fields=names,
                object=str(history.ref),
            ),
            notes=(
                msg(
                    "No revision of {release} has what ran well: it had been set past Helm. "
                    "Set it again, or put it into the chart: {fields}",
                    release=str(release.target),
                    fields=names,
                ),
            ),
        )
    ]
