# SPDX-License-Identifier: Apache-2.0
"""The effect that puts a pod template back. It looks, acts if need be, and looks again."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import ClusterReader, Object
from backout.errors import Conflict, Invalid, PreconditionFailed, RevisionNotFound
from backout.kube.names import CHANGE_CAUSE
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.templates import covers, digest_of, plain_template
from backout.kube.workloads import template_digest, template_in
from backout.mechanisms.common.patching import ATTEMPTS, moved, patched, restless, same, subject
from backout.mechanisms.common.workloads import revisions_of
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.mechanisms.workload.params import SpecParams, TemplateParams
from backout.model.message import msg


async def undo(context: StepContext, step: StepOf[TemplateParams]) -> StepOutcome:
    """Puts a pod template back.

    Raises:
        PreconditionFailed: the workload is not what it was when the plan was made.
        RevisionNotFound: the template was pruned from the history meanwhile.
    """
    wanted = step.params.digest
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        found = template_digest(obj)
        if found == wanted:
            return StepOutcome(False, msg("{ref} has that pod template already.", ref=step.params.label))
        planned = step.precondition.get("digest") or step.params.expect
        if planned and found != planned:
            raise PreconditionFailed(
                "The pod template of {ref} was changed after the plan was made.",
                ref=step.params.label,
                expected="the template that the plan was made for",
                found="another one",
                hint="Somebody works on it. Look at `backout history {ref}`, then plan anew.",
            )
        patch = template_patch(obj, await _template(context.cluster, obj, step), step.params.change_cause)
        await context.guard()
        try:
            changed = await patched(context.cluster, obj, patch)
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        if template_digest(changed) != wanted:
            raise PreconditionFailed(
                "The API server stored another pod template for {ref} than the one that was sent.",
                ref=step.params.label,
                expected="the template of revision {number}",
                number=step.params.number,
                found="one that an admission webhook changed, it seems",
                hint="Look at what it does, then plan anew.",
            )
        return StepOutcome(
            True, msg("{ref} has the pod template of revision {n} again.", ref=step.params.label, n=step.params.number)
        )
    raise restless(step)


async def _template(cluster: ClusterReader, obj: Object, step: StepOf[TemplateParams]) -> dict[str, Any]:
    """From the revision that keeps it; by content, since numbers and names of revisions move."""
    if (given := step.params.template) is not None:
        return plain_template(given)
    if (origin := step.params.declared) is not None:
        return await _declared(cluster, obj, origin)
    kept = await revisions_of(cluster, obj)
    for item in sorted(kept, key=lambda item: item["metadata"]["name"] != step.params.source):
        template = template_in(item)
        if digest_of(template) == step.params.digest:
            return template
    raise RevisionNotFound(
        "Revision {n} of {ref} is not in its history any more.",
        n=step.params.number,
        ref=step.params.label,
        expected="a ReplicaSet or ControllerRevision with that template",
        hint="revisionHistoryLimit may have pruned it. Plan anew.",
    )


async def _declared(cluster: ClusterReader, obj: Object, origin: dict[str, Any]) -> dict[str, Any]:
    from backout.mechanisms.workload.declared import release_object, snapshot_object

    if release := origin.get("release"):
        found, number = await release_object(cluster, obj, str(release))
        same_one = number == origin.get("revision")
    else:
        found, snapshot = await snapshot_object(cluster, obj)
        same_one = snapshot == origin.get("snapshot")
    if found is None or not same_one:
        raise PreconditionFailed(
            "What {ref} is declared to be was changed after the plan was made.",
            ref=f"{obj['kind'].lower()}/{obj['metadata']['name']}",
            expected="the release revision, or the snapshot, that the plan was made by",
            found="another one",
            hint="Plan anew.",
        )
    return plain_template((found.get("spec") or {}).get("template") or {})


async def set_spec(context: StepContext, step: StepOf[SpecParams]) -> StepOutcome:
    """Sets parts of the spec beside the template.

    Raises:
        PreconditionFailed: the workload was made anew after the plan was made.
    """
    parts = step.params.parts
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        patch = [change for part, value in parts.items() for change in _set(obj, part, value)]
        if not patch:
            return StepOutcome(False, msg("{ref} is as declared already.", ref=step.params.label))
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), *patch])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("{ref} has {parts} as declared.", ref=step.params.label, parts=", ".join(parts)))
    raise restless(step)


def _set(obj: Object, part: str, value: Any) -> list[dict[str, Any]]:
    now = obj["spec"].get(part)
    if now == value or (
        isinstance(value, dict) and isinstance(now, dict) and covers(now, value) and not _more(now, value)
    ):
        return []
    if value is None:
        return [{"op": "remove", "path": f"/spec/{part}"}]
    return [{"op": "add", "path": f"/spec/{part}", "value": value}]


def _more(now: dict[str, Any], value: dict[str, Any]) -> bool:
    """True when a strategy of another type than the declared one is in force, whose fields would stay."""
    return str(now.get("type") or "RollingUpdate") != str(value.get("type") or "RollingUpdate")


def template_patch(obj: Object, template: dict[str, Any], cause: str) -> list[dict[str, Any]]:
    """A JSON patch: the template and the change-cause, on the condition that nobody changed the spec.

    ``generation`` rather than ``resourceVersion``: it moves with the spec, not with every report of a pod's state. All
    annotations but the change-cause (removed when there was none) stay, unlike with `kubectl rollout undo`, which
    takes those of the ReplicaSet.
    """
    patch = [*same(obj), {"op": "replace", "path": "/spec/template", "value": template}]
    path = f"/metadata/annotations/{CHANGE_CAUSE.replace('/', '~1')}"
    if cause:
        if obj["metadata"].get("annotations") is None:
            patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        patch.append({"op": "add", "path": path, "value": cause})
    elif CHANGE_CAUSE in (obj["metadata"].get("annotations") or {}):
        patch.append({"op": "remove", "path": path})
    return patch


async def dry_run(cluster: ClusterReader, obj: Object, template: dict[str, Any], cause: str) -> Object:
    """What the API server, its admission included, would make of the change. Writes nothing."""
    meta, patch = obj["metadata"], template_patch(obj, template, cause)
    answer = await cluster.dry_run_patch(
        WORKLOAD_RESOURCES[obj["kind"]], meta["name"], patch, meta["namespace"], type="json"
    )
    return {**answer, "apiVersion": "apps/v1", "kind": obj["kind"]}
