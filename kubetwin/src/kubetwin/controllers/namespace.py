# SPDX-License-Identifier: Apache-2.0
"""Deletion of namespaces: content first, then the finalizer (facts: pkg/controller/namespace/deletion)."""

from __future__ import annotations

from collections import Counter

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Controller
from kubetwin.controllers.discovery import Discovered, discover
from kubetwin.kinds import NAMESPACES, PODS
from kubetwin.meta import deleting, name_of, namespace_of, new_condition, set_condition, status_of

_GOOD = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)
_FINALIZER = "kubernetes"


class NamespaceController(Controller):
    name = "namespace"

    def setup(self) -> None:
        self.namespaces = self.enqueue_on(NAMESPACES)
        self.inform(PODS).add_handler(self._pod_changed)
        self._tries: dict[str, int] = {}

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None and old is not None:
            namespace = self.namespaces.get(namespace_of(old))
            if namespace is not None and deleting(namespace):
                self.queue.add(name_of(namespace))

    async def sync(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or not deleting(namespace):
            self._tries.pop(key, None)
            return
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if _FINALIZER not in finalizers:
            return
        remaining, waiting, errors = await self._delete_content(key)
        status = self._status(namespace, remaining, waiting, errors)
        if status != status_of(namespace):
            try:
                namespace = await self.write.update_status(NAMESPACES, namespace, status)
            except ApiException as error:
                if not error.not_found:
                    raise
                return
        if remaining or errors:
            # Finalizers of content are removed by others; pods announce themselves, other kinds are looked at again.
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            self.queue.add_after(key, min(5.0, 0.05 * 2.0 ** min(tries, 10)))
            return
        rest = [f for f in finalizers if f != _FINALIZER]
        body = {**namespace, "apiVersion": "v1", "kind": "Namespace", "spec": {**namespace["spec"], "finalizers": rest}}
        try:
            await self.write.api.replace(NAMESPACES, body, subresource="finalize")
        except ApiException as error:
            if not error.not_found:
                raise

    async def _delete_content(self, namespace: str) -> tuple[Counter[str], Counter[str], list[str]]:
        """(left by resource, finalizers they wait for, errors)."""
        remaining: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        errors: list[str] = []
        for item in await discover(self.write.api):
            if not item.resource.namespaced or not {"delete", "list"} <= item.verbs or item.resource.plural == "events":
                continue
            try:
                left = await self._delete_all(item, namespace)
            except ApiException as error:
                if not error.not_found:
                    errors.append(error.message)
                continue
            for obj in left:
                remaining[f"{item.resource.plural}.{item.resource.group}"] += 1
                for finalizer in obj["metadata"].get("finalizers") or ():
                    waiting[finalizer] += 1
        return remaining, waiting, errors

    async def _delete_all(self, item: Discovered, namespace: str) -> list[Obj]:
        api, resource = self.write.api, item.resource
        found: list[Obj] = (await api.list(resource, namespace))["items"]
        if not found:
            return []
        if "deletecollection" in item.verbs:
            await api.delete_collection(resource, namespace)
        else:
            for obj in found:
                await api.delete(resource, name_of(obj), namespace)
        left: list[Obj] = (await api.list(resource, namespace))["items"]
        return left

    @staticmethod
    def _status(namespace: Obj, remaining: Counter[str], waiting: Counter[str], errors: list[str]) -> Obj:
        bad: dict[str, tuple[str, str]] = {}
        if remaining:
            listing = ", ".join(sorted(f"{what} has {count} resource instances" for what, count in remaining.items()))
            bad["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {listing}")
        if waiting:
            listing = ", ".join(sorted(f"{what} in {count} resource instances" for what, count in waiting.items()))
            text = f"Some content in the namespace has finalizers remaining: {listing}"
            bad["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", text)
        if errors:
            text = f"Failed to delete all resource types, {len(errors)} remaining: {', '.join(sorted(errors))}"
            bad["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", text)
        conditions: list[Obj] = list(status_of(namespace).get("conditions") or [])
        for kind, reason, message in _GOOD:
            failed = kind in bad
            reason, message = bad.get(kind, (reason, message))
            new = new_condition(kind, "True" if failed else "False", reason, message)
            conditions = set_condition(conditions, new)
        return {"phase": "Terminating", "conditions": conditions}
