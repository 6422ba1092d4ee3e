# SPDX-License-Identifier: Apache-2.0
"""Effects on the workload object itself: template, partition, pause. Each looks, acts if need be, and looks again."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import Cluster, ClusterReader, Object
from backout.errors import Conflict, Invalid, PreconditionFailed, RevisionNotFound
from backout.kube.templates import digest_of, plain_template
from backout.mechanisms.port import StepContext, StepOutcome
from backout.mechanisms.workload.objects import (
    CHANGE_CAUSE,
    RESOURCES,
    load,
    partition_of,
    revisions_of,
    template_digest,
    template_in,
)
from backout.model.message import msg
from backout.model.plan import Step

ATTEMPTS = 5
"""Tries against other writers of the spec; each time what must hold is checked anew."""


async def undo(context: StepContext, step: Step) -> StepOutcome:
    """Puts a pod template back.

    Raises:
        PreconditionFailed: the workload is not what it was when the plan was made.
        RevisionNotFound: the template was pruned from the history meanwhile.
    """
    wanted = str(step.params["digest"])
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        found = template_digest(obj)
        if found == wanted:
            return StepOutcome(False, msg("{ref} has that pod template already.", ref=_name(step)))
        planned = step.precondition.get("digest") or step.params.get("expect")
        if planned and found != planned:
            raise PreconditionFailed(
                "The pod template of {ref} was changed after the plan was made.",
                ref=_name(step),
                expected="the template that the plan was made for",
                found="another one",
                hint="Somebody works on it. Look at `backout history {ref}`, then plan anew.",
            )
        patch = template_patch(
            obj, await _template(context.cluster, obj, step), str(step.params.get("change_cause", ""))
        )
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
                ref=_name(step),
                expected="the template of revision {number}",
                number=int(step.params.get("number") or 0),
                found="one that an admission webhook changed, it seems",
                hint="Look at what it does, then plan anew.",
            )
        return StepOutcome(
            True,
            msg(
                "{ref} has the pod template of revision {n} again.",
                ref=_name(step),
                n=int(step.params.get("number") or 0),
            ),
        )
    raise restless(step)


async def _template(cluster: ClusterReader, obj: Object, step: Step) -> dict[str, Any]:
    """From the revision that keeps it; by content, since numbers and names of revisions move."""
    if (given := step.params.get("template")) is not None:
        return plain_template(given)
    kept = await revisions_of(cluster, obj)
    for item in sorted(kept, key=lambda item: item["metadata"]["name"] != step.params.get("source")):
        template = template_in(item)
        if digest_of(template) == step.params["digest"]:
            return template
    raise RevisionNotFound(
        "Revision {n} of {ref} is not in its history any more.",
        n=int(step.params.get("number") or 0),
        ref=_name(step),
        expected="a ReplicaSet or ControllerRevision with that template",
        hint="revisionHistoryLimit may have pruned it. Plan anew.",
    )


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


async def set_partition(context: StepContext, step: Step) -> StepOutcome:
    """Sets ``updateStrategy.rollingUpdate.partition``."""
    wanted = int(step.params["partition"])
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        if partition_of(obj) == wanted:
            return StepOutcome(False, msg("The partition of {ref} is {n} already.", ref=_name(step), n=wanted))
        rolling = {**((obj["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}), "partition": wanted}
        change = {"op": "add", "path": "/spec/updateStrategy/rollingUpdate", "value": rolling}
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), change])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("The partition of {ref} is {n} now.", ref=_name(step), n=wanted))
    raise restless(step)


async def set_paused(context: StepContext, step: Step) -> StepOutcome:
    """Sets ``spec.paused`` of a Deployment."""
    wanted = bool(step.params["paused"])
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        word = "paused" if wanted else "not paused"
        if bool(obj["spec"].get("paused")) == wanted:
            return StepOutcome(False, msg("The rollout of {ref} is {word} already.", ref=_name(step), word=word))
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), {"op": "add", "path": "/spec/paused", "value": wanted}])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("The rollout of {ref} is {word} now.", ref=_name(step), word=word))
    raise restless(step)


async def subject(cluster: ClusterReader, step: Step) -> Object:
    """The workload that a step acts on.

    Raises:
        PreconditionFailed: it was made anew after the plan was made.
    """
    params = step.params
    obj = await load(cluster, str(params["kind"]), str(params["name"]), str(params["namespace"]))
    uid = step.precondition.get("uid")
    if uid and obj["metadata"]["uid"] != uid:
        raise PreconditionFailed(
            "{ref} was deleted and made again after the plan was made.",
            ref=_name(step),
            expected="the object with uid {was}",
            found="one with uid {now}",
            was=str(uid),
            now=obj["metadata"]["uid"],
            hint="Plan anew.",
        )
    return obj


def same(obj: Object) -> list[dict[str, Any]]:
    """The part of a JSON patch that holds it to the object, and the spec, that was read."""
    meta = obj["metadata"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
        {"op": "test", "path": "/metadata/generation", "value": meta.get("generation")},
    ]


async def patched(cluster: Cluster, obj: Object, patch: list[dict[str, Any]]) -> Object:
    """The workload as the API server has it after a JSON patch."""
    meta = obj["metadata"]
    answer = await cluster.patch(RESOURCES[obj["kind"]], meta["name"], patch, meta["namespace"], type="json")
    return {**answer, "apiVersion": "apps/v1", "kind": obj["kind"]}


async def dry_run(cluster: ClusterReader, obj: Object, template: dict[str, Any], cause: str) -> Object:
    """What the API server, its admission included, would make of the change. Writes nothing."""
    meta, patch = obj["metadata"], template_patch(obj, template, cause)
    answer = await cluster.dry_run_patch(RESOURCES[obj["kind"]], meta["name"], patch, meta["namespace"], type="json")
    return {**answer, "apiVersion": "apps/v1", "kind": obj["kind"]}


async def moved(cluster: ClusterReader, obj: Object) -> bool:
    """Whether somebody changed the spec since ``obj`` was read."""
    meta = obj["metadata"]
    now = await load(cluster, obj["kind"], meta["name"], meta["namespace"])
    return bool(now["metadata"].get("generation") != meta.get("generation") or now["metadata"]["uid"] != meta["uid"])


def _name(step: Step) -> str:
    return f"{str(step.params['kind']).lower()}/{step.params['name']}"


def restless(step: Step) -> Conflict:
    """The error of a step that lost every try to another writer."""
    return Conflict(
        "{ref} is changed by somebody else all the time; {count} tries were lost to it.",
        ref=_name(step),
        count=ATTEMPTS,
        hint="An operator or a pipeline may own it. Stop that first.",
    )
