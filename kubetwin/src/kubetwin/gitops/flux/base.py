# SPDX-License-Identifier: Apache-2.0
"""What every controller of Flux does with an object: when it looks, what a suspended one means, how its status is written.

Facts: fluxcd/pkg runtime/predicates (a new generation, or a new token in the annotation), runtime/reconcile; each
controller's ``Reconcile``: finalizer first, then ``spec.suspend``, then the work, then again after the interval.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from kubetwin.client import ApiException, Obj, Resource, retry_delay
from kubetwin.controllers.base import Context, Controller
from kubetwin.gitops.flux.artifacts import Artifacts
from kubetwin.gitops.flux.resources import (
    FINALIZER,
    FORCED,
    REQUESTED,
    RESET,
    FluxSettings,
    interval_of,
    mark,
    requested,
    suspended,
    unmark,
)
from kubetwin.gitops.merging import merge_patch
from kubetwin.informer import key_of
from kubetwin.meta import annotations_of, deleting, name_of, namespace_of, status_of

_REQUESTS = (REQUESTED, FORCED, RESET)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reconciliation. ``after``: seconds until the next one; None: by the interval."""

    observed: bool = True
    """Whether the generation counts as observed: not while something is waited for."""
    after: float | None = None
    failed: bool = False
    """It is tried again soon, later and later."""


class FluxController(Controller):
    """Reconciles the objects of one kind."""

    resource: ClassVar[Resource]
    retried: bool = True
    """Whether failures come again sooner than the interval."""

    def __init__(self, ctx: Context, artifacts: Artifacts, settings: FluxSettings) -> None:
        self.artifacts = artifacts
        self.settings = settings
        self._failures: dict[str, int] = {}
        super().__init__(ctx)

    def setup(self) -> None:
        self.objects = self.inform(self.resource)
        self.objects.add_handler(self._changed)
        self.artifacts.on_change(self._artifact_changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._failures.pop(key_of(old), None)
            return
        if old is None or _asked(old) != _asked(new):
            self.queue.add(key_of(new))

    def _artifact_changed(self, kind: str, key: str) -> None:
        """Whoever uses that source looks at it."""
        for obj in self.objects.all():
            if (kind, key) in self.uses(obj):
                self.queue.add(key_of(obj))

    def uses(self, obj: Obj) -> list[tuple[str, str]]:
        """The sources of an object, as kind and key."""
        return []

    async def sync(self, key: str) -> None:
        obj = self.objects.by_key(key)
        if obj is None:
            return
        if deleting(obj):
            await self._let_go(obj)
            return
        if FINALIZER not in (obj["metadata"].get("finalizers") or ()):
            finalizers = [*(obj["metadata"].get("finalizers") or ()), FINALIZER]
            obj = await self.write.patch(self.resource, obj, {"metadata": {"finalizers": finalizers}})
        if suspended(obj):
            return
        # The cache may be a moment behind what somebody wrote just now.
        obj = await self.ctx.api.get(self.resource, name_of(obj), namespace_of(obj))
        if suspended(obj) or deleting(obj):
            return
        status: Obj = {**status_of(obj)}
        if requested(obj):
            status["lastHandledReconcileAt"] = requested(obj)
        outcome = await self.reconcile(obj, status)
        if outcome.observed:
            status["observedGeneration"] = obj["metadata"].get("generation", 1)
            unmark(status, "Reconciling")
        await self.write_status(obj, status)
        self._again(key, obj, outcome)

    def _again(self, key: str, obj: Obj, outcome: Outcome) -> None:
        if outcome.failed and outcome.after is None and self.retried:
            count = self._failures.get(key, 0)
            self._failures[key] = count + 1
            wait = retry_delay(count, initial=self.settings.retry_initial, maximum=self.settings.retry_max)
            self.queue.add_after(key, min(wait, interval_of(obj)))
            return
        self._failures.pop(key, None)
        self.queue.add_after(key, interval_of(obj) if outcome.after is None else outcome.after)

    @abstractmethod
    async def reconcile(self, obj: Obj, status: Obj) -> Outcome:
        """Brings the object to its desired state once; writes what it says into ``status``."""

    async def deleted(self, obj: Obj) -> bool:
        """Cleans up after an object; False when there is something left to wait for."""
        return True

    async def write_status(self, obj: Obj, status: Obj) -> Obj:
        """The status as it stands now; nobody else writes it, so it is no matter what version the object has."""
        seen = self.objects.by_key(key_of(obj)) or obj
        patch = merge_patch(status_of(seen), status)
        if not patch:
            return obj
        try:
            return await self.write.patch(self.resource, obj, {"status": patch}, subresource="status")
        except ApiException as error:
            if not error.not_found:
                raise
        return obj

    def fail(self, obj: Obj, status: Obj, reason: str, message: str) -> Outcome:
        """Ready is False, with an event; it is tried again."""
        self.mark(obj, status, "Ready", "False", reason, message)
        self.recorder.event(obj, "Warning", reason, message)
        return Outcome(observed=self.observes_failures, failed=True)

    observes_failures: bool = True

    def mark(self, obj: Obj, status: Obj, kind: str, value: str, reason: str, message: str) -> None:
        mark(status, int(obj["metadata"].get("generation") or 1), kind, value, reason, message)

    async def _let_go(self, obj: Obj) -> None:
        finalizers = obj["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        if not await self.deleted(obj):
            self.queue.add_after(key_of(obj), 0.2)
            return
        kept = [each for each in finalizers if each != FINALIZER]
        try:
            await self.ctx.api.patch(
                self.resource, name_of(obj), {"metadata": {"finalizers": kept or None}}, namespace_of(obj)
            )
        except ApiException as error:
            if not error.not_found:
                raise


def _asked(obj: Obj) -> tuple[object, ...]:
    """What makes a controller look: another spec, a request, the end."""
    notes = annotations_of(obj)
    meta = obj["metadata"]
    return (
        meta.get("uid"),
        meta.get("generation"),
        meta.get("deletionTimestamp"),
        *(notes.get(each) for each in _REQUESTS),
    )
