# SPDX-License-Identifier: Apache-2.0
"""ResourceQuota: what a namespace may use, checked on create and counted in the quota's status.

Quotas with scopes are stored and not enforced. Source: pkg/quota/v1 and apiserver's resourcequota admission.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kubetwin.apiserver.amounts import format_amount, pod_total
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.status import forbidden
from kubetwin.apiserver.store import Change, Entry, Object, Store
from kubetwin.quantity import value_of

KEY = ("", "resourcequotas")
_PODS, _CLAIMS, _SERVICES = ("", "pods"), ("", "persistentvolumeclaims"), ("", "services")
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_PLAIN_COUNTS = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
)
Usage = dict[str, Decimal]


def counted(name: str) -> tuple[str, str] | None:
    """The stored resource whose objects use up the quota entry ``name``; None for entries that are not known."""
    if name.startswith("count/"):
        resource, _, group = name.removeprefix("count/").partition(".")
        return (group, resource)
    if name in _PLAIN_COUNTS:
        return ("", name)
    if name in ("services.nodeports", "services.loadbalancers"):
        return _SERVICES
    if name == "requests.storage":
        return _CLAIMS
    bare = name.removeprefix("requests.").removeprefix("limits.")
    return _PODS if bare in _COMPUTE else None


def usage(key: tuple[str, str], obj: Object) -> Usage:
    """What one object uses, by quota entry."""
    group, resource = key
    found: Usage = {f"count/{resource}.{group}" if group else f"count/{resource}": Decimal(1)}
    if key == _PODS and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return found
    if not group and resource in _PLAIN_COUNTS:
        found[resource] = Decimal(1)
    if key == _PODS:
        for part in ("requests", "limits"):
            for name, amount in pod_total(obj, part).items():
                found[f"{part}.{name}"] = value_of(amount)
                if part == "requests":
                    found[name] = value_of(amount)
    elif key == _CLAIMS:
        requests = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
        found["requests.storage"] = value_of(requests.get("storage", "0"))
    elif key == _SERVICES:
        kind = (obj.get("spec") or {}).get("type")
        ports = len((obj.get("spec") or {}).get("ports") or ())
        found["services.loadbalancers"] = Decimal(int(kind == "LoadBalancer"))
        found["services.nodeports"] = Decimal(ports if kind in ("NodePort", "LoadBalancer") else 0)
    return found


def _hard(quota: Object) -> dict[str, str]:
    spec = quota.get("spec") or {}
    return {} if spec.get("scopes") or spec.get("scopeSelector") else dict(spec.get("hard") or {})


class Quotas:
    """Enforces the quotas of one cluster and keeps their status."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._quotas = store.collection(KEY)
        self._quotas.watchers.add(self._quota_changed)
        self._followed: set[tuple[str, str]] = set()

    def reload(self) -> None:
        """Follow what the quotas of a loaded state count."""
        for entry in self._quotas.scan():
            self._follow(entry)

    def used(self, namespace: str, names: list[str]) -> Usage:
        """The present use of each entry in the namespace."""
        total = {name: Decimal(0) for name in names}
        for key in {key for name in names if (key := counted(name)) is not None}:
            for entry in self._store.collection(key).scan(namespace):
                for name, amount in usage(key, entry.obj).items():
                    if name in total:
                        total[name] += amount
        return total

    def check(self, resource_type: ResourceType, namespace: str, obj: Object) -> None:
        """Raises ApiError 403 when creating the object would exceed a quota of its namespace."""
        if not resource_type.namespaced or not self._quotas.entries:
            return
        asked = usage(resource_type.storage_key, obj)
        for entry in self._quotas.scan(namespace):
            hard = _hard(entry.obj)
            mine = sorted(name for name in hard if counted(name) == resource_type.storage_key)
            if not mine:
                continue
            name = entry.obj["metadata"]["name"]
            if resource_type.storage_key == _PODS:
                _must_specify(obj, name, mine)
            present = self.used(namespace, mine)
            over = [n for n in mine if asked.get(n) and present[n] + asked[n] > value_of(hard[n])]
            if over:
                requested = ",".join(f"{n}={format_amount(asked[n], n)}" for n in over)
                in_use = ",".join(f"{n}={format_amount(present[n], n)}" for n in over)
                limited = ",".join(f"{n}={hard[n]}" for n in over)
                text = f"exceeded quota: {name}, requested: {requested}, used: {in_use}, limited: {limited}"
                raise forbidden(resource_type.group_resource, obj["metadata"]["name"], text)

    def _quota_changed(self, change: Change) -> None:
        if change.kind != "DELETED":
            self._follow(change.entry)

    def _follow(self, entry: Entry) -> None:
        for key in {key for name in _hard(entry.obj) if (key := counted(name)) is not None} - self._followed:
            self._followed.add(key)
            self._store.collection(key).watchers.add(self._object_changed)
        self._count(entry.key)

    def _object_changed(self, change: Change) -> None:
        if not self._quotas.entries:
            return
        namespace = change.entry.obj["metadata"].get("namespace", "")
        for entry in list(self._quotas.scan(namespace)):
            self._count(entry.key)

    def _count(self, key: str) -> None:
        entry = self._quotas.entries.get(key)
        if entry is None or not (hard := _hard(entry.obj)):
            return
        used = self.used(entry.obj["metadata"]["namespace"], list(hard))
        status = {"hard": hard, "used": {name: format_amount(used[name], name) for name in hard}}
        if entry.obj.get("status") != status:
            obj = entry.copy()
            obj["status"] = status
            self._quotas.put(key, obj)


def _must_specify(pod: Object, quota: str, names: list[str]) -> None:
    """A quota on a compute resource obliges every container to say how much it wants."""
    missing: dict[str, list[str]] = {}
    containers: list[dict[str, Any]] = [
        *(pod["spec"].get("containers") or ()),
        *(pod["spec"].get("initContainers") or ()),
    ]
    for name in names:
        part, _, resource = name.rpartition(".")
        if resource not in _COMPUTE:
            continue
        for container in containers:
            if resource not in ((container.get("resources") or {}).get(part or "requests") or {}):
                missing.setdefault(name, []).append(container["name"])
    if missing:
        listed = "; ".join(f"{name} for: {','.join(sorted(found))}" for name, found in sorted(missing.items()))
        text = f"failed quota: {quota}: must specify {listed}"
        raise forbidden("pods", pod["metadata"]["name"], text)
