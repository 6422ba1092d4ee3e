# SPDX-License-Identifier: Apache-2.0
"""As much of an API server as taking and restoring snapshots need, in memory: metadata, preconditions, immutability."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

from backout.cluster.port import NAMESPACES, Catalogue, Object, Resource, Served, WatchEvent
from backout.errors import AlreadyExists, Conflict, Invalid, ObjectNotFound
from backout.model.scope import ClusterIdentity

ALL = frozenset({"create", "delete", "get", "list", "patch", "update", "watch"})


class MemoryCluster:
    """Objects by group, kind and name, in one namespace."""

    name = context = "memory"
    kubeconfig = ""

    def __init__(self, resources: Iterable[Resource], namespace: str = "n") -> None:
        self.resources = {(r.api_version, r.kind): r for r in resources}
        self.namespace = namespace
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.writes = 0
        self._number = itertools.count(1)

    async def identity(self) -> ClusterIdentity:
        return ClusterIdentity("uid", "ca")

    async def server_time(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)

    async def catalogue(self) -> Catalogue:
        return Catalogue(tuple(Served(resource, ALL) for resource in self.resources.values()))

    async def resource(self, api_version: str, kind: str) -> Resource:
        try:
            return self.resources[api_version, kind]
        except KeyError:
            raise ObjectNotFound("no {kind}", kind=kind) from None

    async def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncIterator[list[Object]]:
        found = [copy.deepcopy(o) for key, o in sorted(self.objects.items()) if key[:2] == _key(resource)]
        for start in range(0, len(found), limit):
            yield found[start : start + limit]

    async def list_all(
        self, resource: Resource, namespace: str = "", *, fields: str = "", labels: str = ""
    ) -> list[Object]:
        found = [obj async for page in self.pages(resource) for obj in page]
        name, _, wanted = fields.partition("=")
        return [obj for obj in found if not name or (obj.get("spec") or {}).get(name.removeprefix("spec.")) == wanted]

    async def list_as(self, type: Any, resource: Resource, namespace: str = "", **more: Any) -> list[Any]:
        return []

    async def fold(self, type: Any, resource: Resource, fold: Any, namespace: str = "", **more: Any) -> list[Any]:
        return []

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        if resource == NAMESPACES:
            return {"metadata": {"name": name, "uid": "u-n"}}
        try:
            return copy.deepcopy(self.objects[*_key(resource), name])
        except KeyError:
            raise ObjectNotFound("no {name}", name=name) from None

    async def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """The state of now; deletions are at once here, so nothing ever follows."""
        name = fields.removeprefix("metadata.name=")
        for found in await self.list_all(resource):
            if found["metadata"]["name"] == name:
                yield WatchEvent("ADDED", found)
        yield WatchEvent("SYNCED", {})

    async def create(self, obj: Object) -> Object:
        return self._keep(self._created(obj))

    async def dry_run_create(self, obj: Object) -> Object:
        return self._created(obj)

    def _created(self, obj: Object) -> Object:
        key = self._of(obj)
        meta = obj["metadata"]
        if meta.get("resourceVersion") or meta.get("uid"):
            raise Invalid("metadata.resourceVersion must not be set on objects to be created")
        if key in self.objects:
            raise AlreadyExists("{name} exists", name=key[2])
        made = self._stored(obj, {"uid": f"u-{next(self._number)}", "generation": 1})
        made.pop("status", None)
        return made

    async def replace(self, obj: Object) -> Object:
        return self._keep(self._replaced(obj))

    async def dry_run_replace(self, obj: Object) -> Object:
        return self._replaced(obj)

    def _replaced(self, obj: Object) -> Object:
        key = self._of(obj)
        live = self.objects.get(key)
        if live is None:
            raise ObjectNotFound("no {name}", name=key[2])
        meta, now = obj["metadata"], live["metadata"]
        if meta.get("resourceVersion") != now["resourceVersion"] or meta.get("uid") not in (None, now["uid"]):
            raise Conflict("the object has been modified")
        if _forbidden(obj, live):
            raise Invalid("field is immutable")
        made = self._stored(obj, {"uid": now["uid"], "generation": now["generation"] + 1})
        if "status" in live:
            made["status"] = live["status"]
        return made

    async def delete(self, resource: Resource, name: str, namespace: str = "", **more: Any) -> None:
        key = (*_key(resource), name)
        live = (await self.get(resource, name))["metadata"]
        if more.get("uid", live["uid"]) != live["uid"]:
            raise Conflict("another uid")
        self.writes += 1
        del self.objects[key]

    def run_controllers(self, status: Any) -> None:
        """What happens by itself: statuses, notes, and versions that move on."""
        for obj in self.objects.values():
            obj["status"] = status
            obj["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "7"
            obj["metadata"]["resourceVersion"] = str(next(self._number))

    def _of(self, obj: Object) -> tuple[str, str, str]:
        resource = self.resources.get((obj["apiVersion"], obj["kind"]))
        if resource is None or obj["metadata"].get("namespace") != self.namespace:
            raise ObjectNotFound("no such kind or namespace")
        return (*_key(resource), obj["metadata"]["name"])

    def _stored(self, obj: Object, facts: dict[str, Any]) -> Object:
        made: Object = copy.deepcopy(obj)
        managed = [{"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {}}}]
        if made["kind"] == "Service":
            self.address(made)
        made["metadata"] |= facts | {
            "resourceVersion": str(next(self._number)),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": managed,
        }
        return made

    def address(self, service: Object) -> None:
        """Every Service has a cluster address, or says that it wants none."""
        spec = service.setdefault("spec", {})
        if spec.get("type") == "ExternalName":
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
            return
        if not spec.get("clusterIP"):
            spec["clusterIP"] = f"10.0.{next(self._number) % 250}.{next(self._number) % 250}"
        spec["clusterIPs"] = [spec["clusterIP"]]

    def _keep(self, made: Object) -> Object:
        self.writes += 1
        self.objects[self._of(made)] = made
        return copy.deepcopy(made)


def _key(resource: Resource) -> tuple[str, str]:
    return resource.group, resource.kind


def _forbidden(obj: Object, live: Object) -> bool:
    """What an update can't change (the validation of updates in pkg/apis)."""
    kind = obj["kind"]
    if kind == "Secret" and obj.get("type", "Opaque") != live.get("type", "Opaque"):
        return True
    if kind in ("ConfigMap", "Secret") and live.get("immutable"):
        parts = ("data", "binaryData")
        return not obj.get("immutable") or any((obj.get(part) or {}) != (live.get(part) or {}) for part in parts)
    if kind == "RoleBinding":
        return bool(obj.get("roleRef") != live.get("roleRef"))
    if kind == "Service":
        wanted, now = obj.get("spec") or {}, live.get("spec") or {}
        if "ExternalName" in (wanted.get("type"), now.get("type")):
            return False
        return bool(wanted.get("clusterIP") and wanted.get("clusterIP") != now.get("clusterIP"))
    return False
