# SPDX-License-Identifier: Apache-2.0
"""Whether the cluster really is at the newest revision of a release. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from backout.kube.templates import best_match, fits
from backout.mechanisms.common.evidence import Evidence, LiveWorkload
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
        match = best_match(seen.template, templates)
        # A template that only says more (a restart annotation) is no drift; one that contradicts the manifest is.
        if match != workload.template_digest and not fits(seen.template, workload.template):
            note = msg("{workload} was changed past Helm since this revision.", workload=seen.label)
            found.append((note, _newest(seen)))
    return sorted(found, key=lambda item: item[1].timestamp() if item[1] else 0.0, reverse=True)


def unsettled(facts: Sequence[Facts], evidence: Evidence) -> list[Message]:
    """Why the newest revision is not (wholly) in force, drift apart."""
    if not facts:
        return []
    head = facts[-1]
    if head.record.status != "deployed":
        return [msg("It is {status}, so the cluster may be between two revisions.", status=head.record.status)]
    found: list[Message] = []
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
