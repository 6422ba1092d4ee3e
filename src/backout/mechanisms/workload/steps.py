# SPDX-License-Identifier: Apache-2.0
"""The steps of a way back, as builders: the Helm mechanism uses those for pods as well. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS
from backout.mechanisms.workload.history import Snapshot
from backout.mechanisms.workload.objects import CHANGE_CAUSE, RESOURCES, on_delete, ordered, partition_of
from backout.model.message import msg
from backout.model.plan import Access, Compensation, Step
from backout.model.redaction import asks_for_secret, names_secret, redact_text
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target

TIMEOUT = 300.0
TEMPLATE_LIMIT = 64 * 1024


def params_of(ref: ObjectRef) -> dict[str, Any]:
    """How a step names its object."""
    return {"api_version": ref.api_version, "kind": ref.kind, "name": ref.name, "namespace": ref.namespace}


def writing(ref: ObjectRef) -> tuple[Access, ...]:
    """What it takes to change the workload object itself, and to find its former templates."""
    resource = RESOURCES[ref.kind]
    kept = REPLICASETS if ref.kind == "Deployment" else CONTROLLERREVISIONS
    return (
        *(Access(verb, resource.group, resource.plural, ref.namespace) for verb in ("get", "list", "watch", "patch")),
        *(Access(verb, kept.group, kept.plural, ref.namespace) for verb in ("list", "watch")),
        *(Access(verb, PODS.group, PODS.plural, ref.namespace) for verb in ("list", "watch")),
    )


def steps(snapshot: Snapshot, target: Target, revision: Revision) -> list[Step]:
    """All steps in order. Nothing is left out because it seems done: each step looks first."""
    obj, ref = snapshot.obj, ObjectRef.of(snapshot.obj)
    result = [undo(snapshot, target, revision)]
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


def _canary(snapshot: Snapshot, revision: Revision) -> bool:
    """Below the partition the pods are at the target already, so that it holds nothing back."""
    current = next((entry for entry in snapshot.past if entry.source == snapshot.seen.current_revision), None)
    return current is not None and current.digest == revision.digest


def undo(snapshot: Snapshot, target: Target, revision: Revision) -> Step:
    """Puts the pod template of a revision back, and nothing else."""
    ref = ObjectRef.of(snapshot.obj)
    base = params_of(ref)
    wanted = snapshot.past_of(revision.digest)
    present = snapshot.past_of(snapshot.digest)
    annotations = snapshot.obj["metadata"].get("annotations") or {}
    forward = {
        **base,
        "number": revision.number,
        "digest": revision.digest,
        "source": wanted.source if wanted else "",
        "change_cause": revision.change_cause or f"backout: back to revision {revision.number}",
    }
    back: dict[str, Any] | None = {
        **base,
        "digest": snapshot.digest,
        "expect": revision.digest,
        "change_cause": annotations.get(CHANGE_CAUSE, ""),
    }
    assert back is not None
    if present is not None:
        back |= {"number": present.number, "source": present.source}
    else:
        # No revision keeps a template that was never rolled out; it may go into the plan only if it holds no secret.
        template = snapshot.obj["spec"]["template"]
        back = {**back, "template": template} if _shows_no_secret(template) else None
    return Step(
        id="undo",
        action="workload.undo",
        target=target,
        title=msg("Put the pod template of revision {n} back", n=revision.number),
        params=forward,
        precondition={"uid": ref.uid, "digest": snapshot.digest},
        effect=msg(
            "{ref} has the pod template of revision {n}; all else but the change-cause stays.",
            ref=str(ref),
            n=revision.number,
        ),
        compensation=Compensation("workload.undo", back, writing(ref)) if back else None,
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


def set_partition(ref: ObjectRef, target: Target, before: int, after: int) -> Step:
    """Lets the update go below the ordinals that a left-over partition holds back."""
    base = params_of(ref)
    return Step(
        id="partition",
        action="workload.set-partition",
        target=target,
        title=msg(
            "Set the partition from {before} to {after}: it holds pods below {before} at another revision",
            before=before,
            after=after,
        ),
        params={**base, "partition": after},
        precondition={"uid": ref.uid},
        effect=msg("Every ordinal gets the revision in force."),
        compensation=Compensation("workload.set-partition", {**base, "partition": before}, writing(ref)),
        timeout=60.0,
    )


def set_paused(ref: ObjectRef, target: Target, *, before: bool, after: bool) -> Step:
    """Resumes a paused rollout (the template is good again by then), or pauses it as it was."""
    base = params_of(ref)
    title = msg("Pause the rollout again, as it was") if after else msg("Resume the rollout, so that bad pods go")
    return Step(
        id="pause" if after else "resume",
        action="workload.set-paused",
        target=target,
        title=title,
        params={**base, "paused": after},
        precondition={"uid": ref.uid},
        compensation=Compensation("workload.set-paused", {**base, "paused": before}, writing(ref)),
        timeout=60.0,
    )


def replace_stuck(ref: ObjectRef, target: Target, *, id: str = "replace-stuck") -> Step:
    """Deletes the pods that an OrderedReady set would wait for in vain, one at a time."""
    return Step(
        id=id,
        action="workload.replace-stuck-pods",
        target=target,
        params=params_of(ref),
        title=msg("Replace pods of {ref} that are stuck on another revision", ref=str(ref)),
        effect=msg("Every pod of {ref} runs the revision in force.", ref=str(ref)),
        timeout=TIMEOUT,
    )


def delete_outdated(ref: ObjectRef, target: Target, *, id: str = "delete-outdated") -> Step:
    """Deletes what an OnDelete set leaves on another revision, one pod at a time, each when the last one is ready."""
    return Step(
        id=id,
        action="workload.delete-outdated-pods",
        target=target,
        params=params_of(ref),
        title=msg("Replace pods of {ref} one by one (its updateStrategy is OnDelete)", ref=str(ref)),
        effect=msg("Every pod of {ref} runs the revision in force.", ref=str(ref)),
        timeout=2 * TIMEOUT,
    )


def wait_ready(ref: ObjectRef, target: Target, *, id: str = "wait-ready", timeout: float = TIMEOUT) -> Step:
    """Waits until all pods are ready at the revision in force, or it is clear that they will not be."""
    return Step(
        id=id,
        action="workload.wait-ready",
        target=target,
        params=params_of(ref),
        title=msg("Wait until {ref} is ready", ref=str(ref)),
        effect=msg("All pods of {ref} are ready, at the revision in force.", ref=str(ref)),
        timeout=timeout,
    )
