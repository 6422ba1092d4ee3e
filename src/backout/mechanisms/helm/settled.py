# SPDX-License-Identifier: Apache-2.0
"""Whether the cluster really is at the newest revision of a release. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from backout.changes.authors import authors
from backout.helm.customs import CustomId
from backout.helm.deployed import several, told
from backout.helm.manifest import entries
from backout.kube.intent import drift
from backout.kube.templates import Templates, fits
from backout.mechanisms.common.evidence import Evidence, LiveWorkload
from backout.mechanisms.helm.children import Custom
from backout.mechanisms.helm.judgement import Facts
from backout.model.message import Message, msg


def drifted(facts: Sequence[Facts], evidence: Evidence) -> list[tuple[Message, datetime | None]]:
    """Workloads whose template was changed past Helm since the newest revision, and when, the latest first."""
    if not facts:
        return []
    found = []
    for workload in facts[-1].workloads:
        seen = evidence.workloads.get(workload.id)
        if seen is None or not seen.template:
            continue
        templates = {w.template_digest: w.template for f in facts for w in f.workloads if w.id == workload.id}
        match = Templates(templates).best_match(seen.template)
        # A template that only says more (a restart annotation) is no drift; one that contradicts the manifest is.
        if match != workload.template_digest and not fits(seen.template, workload.template):
            note = msg("{workload} was changed past Helm since this revision.", workload=seen.label)
            found.append((note, _newest(seen)))
    return sorted(found, key=lambda item: item[1].timestamp() if item[1] else 0.0, reverse=True)


def drifted_customs(
    facts: Sequence[Facts], customs: Mapping[CustomId, Custom]
) -> list[tuple[Message, datetime, CustomId]]:
    """Custom resources of the newest revision in which somebody changed what that says, and when.

    What an operator or its webhooks fill in contradicts nothing; what Helm wrote itself is no change past it.
    """
    head = facts[-1] if facts else None
    if head is None or head.release is None:
        return []
    found = []
    namespace = head.release.namespace or head.record.namespace
    for entry in entries(head.release.manifest, {identity[0] for identity in customs}):
        custom = customs.get((entry.kind, entry.namespace(namespace), entry.name))
        if custom is None or custom.obj is None:
            continue
        live = {**custom.obj, "apiVersion": entry.api_version, "kind": entry.kind}
        fields = [f for f in drift(entry.object, live) if f.before is not None and f.path.startswith("spec")]
        writers = [a for a in authors(custom.obj) if a.by == "other" and any(a.owns(field.path) for field in fields)]
        if writers:
            note = msg("{workload} was changed past Helm since this revision.", workload=custom.resource.label)
            found.append((note, writers[0].at, custom.resource.id))
    return found


def unsettled(facts: Sequence[Facts], evidence: Evidence) -> list[Message]:
    """Why the newest revision is not (wholly) in force, drift apart."""
    if not facts:
        return []
    head = facts[-1]
    if head.record.status != "deployed":
        return [msg("It is {status}, so the cluster may be between two revisions.", status=head.record.status)]
    numbers = several((one.record.revision, one.record.status) for one in facts if one.record.kept is None)
    found: list[Message] = [told(numbers)] if numbers else []
    for workload in head.workloads:
        seen = evidence.workloads.get(workload.id)
        if seen is None:
            if not evidence.blind:
                found.append(msg("{kind}/{name} is missing.", kind=workload.kind.lower(), name=workload.name))
            continue
        stuck = [pod.name for pod in seen.pods if pod.failing and seen.update_revision not in {"", pod.generation}]
        if stuck:
            found.append(
                msg(
                    "{workload} has pods stuck on another revision: {pods}.", workload=seen.label, pods=", ".join(stuck)
                )
            )
    return found


def _newest(seen: LiveWorkload) -> datetime | None:
    return max((g.created for g in seen.generations if g.created), default=None)
