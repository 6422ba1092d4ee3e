# SPDX-License-Identifier: Apache-2.0
"""Takes back a rollback of a release whose live objects were not what its newest revision said.

Helm puts the content of a revision back; what was live beside it comes from the capture that the run took before its
first write. Nothing of a capture is ever in a step, an event or an error: a step names objects and parts of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import CaptureError, Conflict, Invalid, ObjectNotFound, PreconditionFailed
from backout.helm.manifest import digest
from backout.kube.names import HELM_RELEASE
from backout.mechanisms.helm.along_effects import make_again, out_of_the_way
from backout.mechanisms.helm.effects import records_of, rollback
from backout.mechanisms.helm.fenced import moved_on
from backout.mechanisms.helm.params import RestoreLiveParams
from backout.mechanisms.helm.strays import part
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg
from backout.model.target import ObjectRef
from backout.snapshots.capture import captured_object

ATTEMPTS = 5
"""Tries against controllers that write the same object."""


async def restore_live(context: StepContext, step: StepOf[RestoreLiveParams]) -> StepOutcome:
    """Puts the revision from before back where its content differs, then the captured parts of the live objects.

    Raises:
        CaptureError: the capture is missing, damaged, or does not hold an object that is needed.
        PreconditionFailed: the release, or an object, is not what the run left behind.
        BackoutError: helm or the API server refused.
    """
    if step.params.capture is None:
        raise CaptureError(
            "The step does not say which capture helm/{release} is put back from.", release=step.params.release
        )
    captured = step.params.capture.load()
    wanted = [(msgspec.structs.replace(entry.ref, uid=entry.uid), list(entry.parts)) for entry in step.params.objects]
    former = [captured_object(captured, ref) for ref, _ in wanted]
    await out_of_the_way(context.cluster, step.params.definitions)
    changed = await _release(context, step)
    names = await make_again(context, captured, step.params.definitions, step.params.again)
    for (ref, parts), before in zip(wanted, former, strict=True):
        if await _restore(context, ref, parts, before):
            names.append(str(ref))
    for entry in step.params.remove:
        if await _remove(context, entry.ref, step.params.release):
            names.append(entry.label)
    if not (changed or names):
        return StepOutcome(False, msg("Everything is as it was captured already."))
    return StepOutcome(
        True,
        msg("As they were before the run again: {objects}.", objects=", ".join(names))
        if names
        else msg("helm/{release} is as it was; its objects had not to be changed.", release=step.params.release),
    )


async def _release(context: StepContext, step: StepOf[RestoreLiveParams]) -> bool:
    if step.params.rollback is not None:
        return (await rollback(context, StepOf(step.step, step.params.rollback))).changed
    records = records_of(context.cluster, step.target, step.params.driver)
    release = step.params.release
    head = await records.head(release)
    if head.status != "deployed" or digest((await records.load(head)).manifest) != step.params.expect:
        raise moved_on(release, msg("the content that the run put back"), head)
    return False


async def _restore(context: StepContext, ref: ObjectRef, parts: list[str], former: Object) -> bool:
    resource = await context.cluster.resource(ref.api_version, ref.kind)
    for _ in range(ATTEMPTS):
        now = await _current(context.cluster, resource, ref)
        patch = [change for name in parts for change in _change(name, part(now, name), part(former, name))]
        if not patch:
            return False
        await context.guard()
        try:
            stored = await context.cluster.patch(resource, ref.name, [*_same(now), *patch], ref.namespace, type="json")
        except (Invalid, Conflict):
            later = await _current(context.cluster, resource, ref)
            if _same(later) != _same(now):
                continue
            raise
        if left := [name for name in parts if part(stored, name) != part(former, name)]:
            raise PreconditionFailed(
                "The API server stored something else in {parts} of {object} than what was captured.",
                parts=", ".join(left),
                object=str(ref),
                hint="An admission webhook may have changed it.",
            )
        return True
    raise Conflict(
        "{object} is changed by somebody else all the time; {count} tries were lost to it.",
        object=str(ref),
        count=ATTEMPTS,
        hint="An operator or a pipeline may own it. Stop that first.",
    )


async def _current(cluster: ClusterReader, resource: Resource, ref: ObjectRef) -> Object:
    try:
        found = await cluster.get(resource, ref.name, ref.namespace)
    except ObjectNotFound as error:
        raise PreconditionFailed(
            "{object} is gone, so it can't be put back to what it was.",
            object=str(ref),
            hint="Somebody deleted it after the run. Look at `backout diagnose`.",
        ) from error
    if ref.uid and found["metadata"]["uid"] != ref.uid:
        raise PreconditionFailed(
            "{object} was deleted and made again after the run.",
            object=str(ref),
            expected="the object with uid {was}",
            found="one with uid {now}",
            was=ref.uid,
            now=found["metadata"]["uid"],
        )
    return found


async def _remove(context: StepContext, ref: ObjectRef, release: str) -> bool:
    """Deletes what was missing before the run, if it is the release's own."""
    try:
        resource = await context.cluster.resource(ref.api_version, ref.kind)
        found = await context.cluster.get(resource, ref.name, ref.namespace)
    except ObjectNotFound:
        return False
    if (found["metadata"].get("annotations") or {}).get(HELM_RELEASE) != release:
        raise PreconditionFailed(
            "{object} was missing before the run, and what is there now is not the release's.",
            object=str(ref),
            hint="Somebody else made it. Keep it, or delete it yourself.",
        )
    await context.guard()
    await context.cluster.delete(resource, ref.name, ref.namespace, uid=found["metadata"]["uid"])
    return True


def _change(name: str, now: Any, former: Any) -> list[dict[str, Any]]:
    path = "/" + name.replace(".", "/")
    if now == former:
        return []
    return [{"op": "remove", "path": path}] if former is None else [{"op": "add", "path": path, "value": former}]


def _same(obj: Object) -> list[dict[str, Any]]:
    """Nobody wrote in between: the generation moves with the spec alone; what has none is held by its version."""
    meta = obj["metadata"]
    field = "generation" if meta.get("generation") else "resourceVersion"
    return [
        {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
        {"op": "test", "path": f"/metadata/{field}", "value": meta[field]},
    ]
