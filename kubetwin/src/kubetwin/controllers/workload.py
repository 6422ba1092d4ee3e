# SPDX-License-Identifier: Apache-2.0
"""What controllers of workloads share: finding their pods, making and deleting them, and looking again in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType

from kubetwin.client import STRATEGIC_PATCH, ApiException, Obj, Resource
from kubetwin.controllers.base import ObjectController
from kubetwin.controllers.refs import owner_keys
from kubetwin.informer import Informer, key_of
from kubetwin.kinds import PODS
from kubetwin.meta import (
    availability_delay,
    controller_of,
    deleting,
    label_selector,
    labels_of,
    name_of,
    namespace_index,
    namespace_of,
    owner_reference,
    uid_of,
)


class Attempt:
    """A block whose API error waits until the status has been written."""

    def __init__(self) -> None:
        self.error: ApiException | None = None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if isinstance(error, ApiException):
            self.error = error
        return self.error is not None

    def settle(self) -> None:
        """Raises the error, unless it only says that the namespace is going."""
        if self.error is not None and not self.error.namespace_terminating:
            raise self.error


class WorkloadController(ObjectController):
    """Owns pods (or what makes them) by owner reference and selector (pkg/controller/controller_ref_manager.go)."""

    def setup(self) -> None:
        super().setup()
        self.objects.add_index("namespace", namespace_index)
        self.pods = self.ctx.pods
        self.pods.add_handler(self.pod_changed)

    def pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        self.child_changed(old, new)

    def child_changed(self, old: Obj | None, new: Obj | None) -> None:
        """Queue the owners of a child, before and after, and those that could adopt it."""
        for key in owner_keys(self.objects, self.resource.kind, old, new):
            self.queue_for(key, new or old or {})
        if new is not None and controller_of(new) is None and not deleting(new):
            for owner in self.objects.by_index("namespace", namespace_of(new)):
                if self.selects(owner, new):
                    self.queue.add(key_of(owner))

    def queue_for(self, key: str, child: Obj) -> None:
        self.queue.add(key)

    @staticmethod
    def selects(owner: Obj, child: Obj) -> bool:
        return label_selector(owner["spec"].get("selector"))(labels_of(child))

    # -- what belongs to an owner ----------------------------------------------------------------------------------

    async def claim(
        self,
        informer: Informer,
        resource: Resource,
        owner: Obj,
        *,
        matches: Callable[[Obj], bool] = lambda obj: True,
        adopt: Callable[[Obj], bool] = lambda obj: True,
    ) -> list[Obj]:
        """The objects that ``owner`` controls and its selector matches; orphans are adopted, others released."""
        selected = label_selector(owner["spec"].get("selector"))
        claimed: list[Obj] = []
        uid = uid_of(owner)
        for obj in informer.by_index("owner", uid):
            if selected(labels_of(obj)) and matches(obj):
                claimed.append(obj)
            elif not deleting(owner):
                await self._own(resource, obj, {"$patch": "delete", "uid": uid})
        if deleting(owner):
            return claimed
        for obj in informer.by_index("owner", f"orphan/{namespace_of(owner)}"):
            if not deleting(obj) and selected(labels_of(obj)) and matches(obj) and adopt(obj):
                adopted = await self._own(resource, obj, owner_reference(owner))
                if adopted is not None:
                    claimed.append(adopted)
        return claimed

    async def _own(self, resource: Resource, obj: Obj, reference: Obj) -> Obj | None:
        """Change an owner reference of the very object that was seen; None when it is gone, or may not be changed so."""
        patch = {"metadata": {"ownerReferences": [reference], "uid": uid_of(obj)}}
        try:
            return await self.write.patch(resource, obj, patch, content_type=STRATEGIC_PATCH)
        except ApiException as error:
            if error.not_found or error.code in (409, 422):
                return None
            raise

    def pods_of(self, owner: Obj) -> list[Obj]:
        """As the cache has them, with this controller's own writes."""
        selected = label_selector(owner["spec"].get("selector"))
        return [p for p in self.pods.by_index("owner", uid_of(owner)) if selected(labels_of(p))]

    # -- pods ------------------------------------------------------------------------------------------------------

    async def create_pods(self, owner: Obj, count: int, make: Callable[[int], Obj]) -> None:
        """Create ``make(0..count-1)`` in batches of 1, 2, 4…, and stop after a batch with an error, which is raised."""

        async def create(index: int) -> None:
            try:
                created = await self.write.create(PODS, make(index))
            except ApiException as error:
                if not error.namespace_terminating:
                    self.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
                raise
            self.recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")

        done, size = 0, 1
        while done < count:
            batch = range(done, min(done + size, count))
            for result in await asyncio.gather(*map(create, batch), return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
            done, size = batch.stop, size * 2

    async def delete_pods(self, owner: Obj, pods: Iterable[Obj]) -> None:
        for pod in pods:
            try:
                await self.write.delete(PODS, pod)
            except ApiException as error:
                self.recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
                raise
            self.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    def look_again(self, owner: Obj, pods: Iterable[Obj]) -> None:
        """When the first of the ready pods has been ready for ``minReadySeconds``."""
        delays = [delay for pod in pods if (delay := availability_delay(pod, min_ready_seconds(owner))) > 0]
        if delays:
            self.queue.add_after(key_of(owner), min(delays))


def min_ready_seconds(owner: Obj) -> int:
    return int(owner["spec"].get("minReadySeconds") or 0)
