# SPDX-License-Identifier: Apache-2.0
"""The steps of a way back. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from backout.kube.names import CHANGE_CAUSE
from backout.kube.workloads import on_delete, ordered, partition_of
from backout.mechanisms.common.steps import (
    delete_outdated,
    params_of,
    replace_stuck,
    set_partition,
    set_paused,
    wait_ready,
    writing,
)
from backout.mechanisms.port import wire
from backout.mechanisms.workload.history import WorkloadHistory
from backout.mechanisms.workload.params import SpecParams, TemplateParams
from backout.model.message import msg
from backout.model.part import Compensation, Step
from backout.model.redaction import asks_for_secret, names_secret, redact_text
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target

TEMPLATE_LIMIT = 64 * 1024


def steps(snapshot: WorkloadHistory, target: Target, revision: Revision) -> list[Step]:
    """All steps in order. Nothing is left out because it seems done: each step looks first."""
    obj, ref = snapshot.obj, ObjectRef.of(snapshot.obj)
    said = snapshot.declared
    parts = said.parts if said is not None and revision.digest == said.digest else {}
    # Where only what is beside the template was edited, the template is no part of it.
    result = [] if parts and revision.digest == snapshot.digest else [undo(snapshot, target, revision)]
    if parts:
        result.append(set_spec(snapshot, target, parts))
    partition = partition_of(obj)
    if partition and not _canary(snapshot, revision):
        result.append(set_partition(ref, target, partition, 0))
    rolled = any(entry.pods for entry in snapshot.past if entry.digest != revision.digest)
    resume = bool(obj["spec"].get("paused")) and rolled
    if resume:
        result.append(set_paused(ref, target, before=True, after=False))
    if on_delete(obj):
        result.append(delete_outdated(ref, target))
    elif ordered(obj):
        result.append(replace_stuck(ref, target))
    result.append(wait_ready(ref, target))
    if resume:
        result.append(set_paused(ref, target, before=False, after=True))
    return result


def _canary(snapshot: WorkloadHistory, revision: Revision) -> bool:
    """Below the partition the pods are at the target already, so that it holds nothing back."""
    current = next((entry for entry in snapshot.past if entry.source == snapshot.seen.current_revision), None)
    return current is not None and current.digest == revision.digest


def undo(snapshot: WorkloadHistory, target: Target, revision: Revision) -> Step:
    """Puts the pod template of a revision back, and nothing else."""
    ref = ObjectRef.of(snapshot.obj)
    base = params_of(ref)
    wanted = snapshot.find(revision.digest)
    present = snapshot.find(snapshot.digest)
    annotations = snapshot.obj["metadata"].get("annotations") or {}
    forward = TemplateParams(
        **base,
        number=revision.number,
        digest=revision.digest,
        source=wanted.source if wanted else "",
        # Only what that revision had: a change-cause stays on the workload, and would speak for the next revision too.
        change_cause=redact_text(revision.change_cause),
    )
    if wanted is not None and not wanted.source and snapshot.declared is not None:
        # No revision keeps it: where to find it again, or what it is where that shows no secret.
        if _shows_no_secret(wanted.template):
            forward = msgspec.structs.replace(forward, template=wanted.template)
        else:
            forward = msgspec.structs.replace(forward, declared=snapshot.declared.origin)
    now = TemplateParams(
        **base,
        number=present.number if present else 0,
        source=present.source if present else "",
        digest=snapshot.digest,
        expect=revision.digest,
        # A command line that was recorded whole may hold a password: it does not come back with it.
        change_cause=redact_text(annotations.get(CHANGE_CAUSE, "")),
    )
    back: TemplateParams | None = now
    if present is None:
        # No revision keeps a template that was never rolled out; it may go into the plan only if it holds no secret.
        template = snapshot.obj["spec"]["template"]
        back = msgspec.structs.replace(now, template=template) if _shows_no_secret(template) else None
    return Step(
        id="undo",
        action="workload.undo",
        target=target,
        title=msg("Put the pod template of revision {n} back", n=revision.number),
        params=wire(forward),
        precondition={"uid": ref.uid, "digest": snapshot.digest},
        effect=msg(
            "{ref} has the pod template of revision {n}; all else but the change-cause stays.",
            ref=str(ref),
            n=revision.number,
        ),
        compensation=Compensation("workload.undo", wire(back), writing(ref)) if back else None,
        timeout=60.0,
    )


def set_spec(snapshot: WorkloadHistory, target: Target, parts: dict[str, Any]) -> Step:
    """Sets parts of the spec beside the template as they are declared; None takes one away."""
    ref = ObjectRef.of(snapshot.obj)
    former = {part: snapshot.obj["spec"].get(part) for part in parts}
    base = params_of(ref)
    forward, back = SpecParams(**base, parts=parts), SpecParams(**base, parts=former)
    return Step(
        id="spec",
        action="workload.set-spec",
        target=target,
        title=msg("Set {parts} as declared", parts=", ".join(parts)),
        params=wire(forward),
        precondition={"uid": ref.uid},
        effect=msg("{ref} has {parts} as declared; all else stays.", ref=str(ref), parts=", ".join(parts)),
        compensation=Compensation("workload.set-spec", wire(back), writing(ref)),
        timeout=60.0,
    )


def _shows_no_secret(template: dict[str, Any]) -> bool:
    if len(json.dumps(template)) > TEMPLATE_LIMIT or any(redact_text(text) != text for text in _texts(template)):
        return False
    spec = template.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    for container in containers:
        for words in (container.get("command") or (), container.get("args") or ()):
            if any(asks_for_secret(word) for word in words[:-1]):
                return False
    variables = [entry for container in containers for entry in container.get("env") or ()]
    return not any(names_secret(entry.get("name", "")) and entry.get("value") for entry in variables)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
