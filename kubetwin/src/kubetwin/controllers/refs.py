# SPDX-License-Identifier: Apache-2.0
"""Adoption and release by selector, and creating pods from templates (pkg/controller/controller_ref_manager.go)."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable

from kubetwin.client import STRATEGIC_PATCH, ApiException, Obj, Resource
from kubetwin.controllers.base import Writer
from kubetwin.events import EventRecorder
from kubetwin.informer import Informer
from kubetwin.kinds import PODS
from kubetwin.meta import controller_of, deleting, labels_of, name_of, namespace_of, owner_reference, uid_of


async def claim(
    write: Writer,
    informer: Informer,
    resource: Resource,
    owner: Obj,
    matches: Callable[[Obj], bool],
    *,
    adopt: Callable[[Obj], bool] = lambda obj: True,
) -> list[Obj]:
    """The objects that ``owner`` controls and its selector matches; orphans are adopted, others released."""
    claimed: list[Obj] = []
    uid = uid_of(owner)
    for obj in informer.by_index("owner", uid):
        if matches(obj):
            claimed.append(obj)
        elif not deleting(owner):
            await _release(write, resource, obj, uid)
    if deleting(owner):
        return claimed
    for obj in informer.by_index("owner", f"orphan/{namespace_of(owner)}"):
        if not deleting(obj) and matches(obj) and adopt(obj):
            adopted = await _adopt(write, resource, owner, obj)
            if adopted is not None:
                claimed.append(adopted)
    return claimed


async def _adopt(write: Writer, resource: Resource, owner: Obj, obj: Obj) -> Obj | None:
    patch = {"metadata": {"ownerReferences": [owner_reference(owner)], "uid": uid_of(obj)}}
    try:
        return await write.patch(resource, obj, patch, content_type=STRATEGIC_PATCH)
    except ApiException as error:
        if error.not_found or error.code in (409, 422):
            return None
        raise


async def _release(write: Writer, resource: Resource, obj: Obj, uid: str) -> None:
    patch = {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": uid}], "uid": uid_of(obj)}}
    try:
        await write.patch(resource, obj, patch, content_type=STRATEGIC_PATCH)
    except ApiException as error:
        if not error.not_found and error.code not in (409, 422):
            raise


def matching_owners(informer: Informer, child: Obj, matches: Callable[[Obj, Obj], bool]) -> list[Obj]:
    """Owners in the child's namespace (index ``namespace``) that could adopt it."""
    return [o for o in informer.by_index("namespace", namespace_of(child)) if matches(o, child)]


def owner_keys(informer: Informer, kind: str, old: Obj | None, new: Obj | None) -> set[str]:
    """Keys of the owners to look at after a child changed, by its controller before and after."""
    keys: set[str] = set()
    for obj in (old, new):
        if obj is None:
            continue
        ref = controller_of(obj)
        if ref is None or ref["kind"] != kind:
            continue
        owner = informer.get(ref["name"], namespace_of(obj))
        if owner is not None and uid_of(owner) == ref["uid"]:
            keys.add(f"{namespace_of(obj)}/{ref['name']}")
    return keys


def labels_changed(old: Obj | None, new: Obj) -> bool:
    return old is None or labels_of(old) != labels_of(new) or controller_of(old) is not None


def pod_from_template(template: Obj, owner: Obj, *, name: str = "", generate_name: str = "") -> Obj:
    meta = template.get("metadata") or {}
    metadata: Obj = {"namespace": namespace_of(owner), "ownerReferences": [owner_reference(owner)]}
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = generate_name or f"{name_of(owner)}-"
    for part in ("labels", "annotations", "finalizers"):
        if meta.get(part):
            metadata[part] = copy.copy(meta[part])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template.get("spec") or {})}


async def create_pod(write: Writer, recorder: EventRecorder, owner: Obj, pod: Obj) -> Obj:
    """With the events SuccessfulCreate and FailedCreate on the owner."""
    try:
        created = await write.create(PODS, pod)
    except ApiException as error:
        if not error.namespace_terminating:
            recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
        raise
    recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")
    return created


async def delete_pod(write: Writer, recorder: EventRecorder, owner: Obj, pod: Obj) -> None:
    try:
        await write.delete(PODS, pod)
    except ApiException as error:
        recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
        raise
    recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")


async def slow_start(count: int, action: Callable[[int], Awaitable[object]]) -> int:
    """Run ``action(0..count-1)`` in batches of 1, 2, 4…, stopping after a batch with an error.

    Returns how many succeeded when all did; raises the first error otherwise.
    """
    done, size = 0, 1
    while done < count:
        batch = min(size, count - done)
        results = await asyncio.gather(*(action(done + i) for i in range(batch)), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        done += batch
        size *= 2
    return done
