# SPDX-License-Identifier: Apache-2.0
"""CustomResourceDefinitions at work: accepted names, established types, cleanup of instances."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver import bootstrap, clock
from kubetwin.apiserver import schema as schemas
from kubetwin.apiserver.fields import managed
from kubetwin.apiserver.lifecycle import CRD_CLEANUP
from kubetwin.apiserver.resources import Registry, ResourceType, Subresource, version_priority
from kubetwin.apiserver.store import Change, Object, Store

KEY = ("apiextensions.k8s.io", "customresourcedefinitions")
CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_API_SERVICES = ("apiregistration.k8s.io", "apiservices")


def resource_types(crd: Object) -> list[ResourceType]:
    """The types that an established definition serves."""
    spec, names = crd["spec"], crd["status"]["acceptedNames"]
    storage = next((v["name"] for v in spec["versions"] if v.get("storage")), spec["versions"][0]["name"])
    return [_type(spec, names, version, storage) for version in spec["versions"] if version.get("served")]


def _type(spec: dict[str, Any], names: dict[str, Any], version: dict[str, Any], storage: str) -> ResourceType:
    group, name, kind = spec["group"], version["name"], names["kind"]
    subresources = {}
    declared = version.get("subresources") or {}
    if "status" in declared:
        subresources["status"] = Subresource("status", group, name, kind, ("get", "patch", "update"))
    if "scale" in declared:
        subresources["scale"] = Subresource("scale", "autoscaling", "v1", "Scale", ("get", "patch", "update"), True)
    raw = (version.get("schema") or {}).get("openAPIV3Schema")
    return ResourceType(
        group=group,
        version=name,
        resource=names["plural"],
        kind=kind,
        singular=names.get("singular") or kind.lower(),
        namespaced=spec["scope"] == "Namespaced",
        list_kind=names.get("listKind") or f"{kind}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=subresources,
        verbs=CUSTOM_VERBS,
        storage_group=group,
        storage_version=storage,
        selectable=tuple(f["jsonPath"].removeprefix(".") for f in version.get("selectableFields") or ()),
        crd_version=version,
        schema=schemas.from_crd(raw) if raw is not None else schemas.metadata_only(),
        deprecation=_deprecation(spec, version) if version.get("deprecated") else "",
    )


def _deprecation(spec: dict[str, Any], version: dict[str, Any]) -> str:
    """The author's words, or which later version to use instead."""
    if (own := version.get("deprecationWarning")) is not None:
        return str(own)
    group, kind, name = spec["group"], spec["names"]["kind"], version["name"]
    text = f"{group}/{name} {kind} is deprecated"
    served = (v["name"] for v in spec["versions"] if v.get("served") and not v.get("deprecated"))
    later = [other for other in served if version_priority(other) < version_priority(name)]
    return f"{text}; use {group}/{min(later, key=version_priority)} {kind}" if later else text


class Definitions:
    """Follows the definitions in the store and keeps the registry in step."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._collection = store.collection(KEY)
        self._collection.watchers.add(self._changed)
        self._waiting: dict[str, Any] = {}

    def reload(self) -> None:
        """Serve what a loaded state defines."""
        for entry in self._collection.scan():
            self._serve(entry.obj)

    def _changed(self, change: Change) -> None:
        crd = change.entry.obj
        if change.kind == "DELETED":
            self._registry.replace_custom(crd["spec"]["group"], crd["spec"]["names"]["plural"], [])
            self._retire_groups(crd["spec"]["group"])
            return
        current = self._collection.entries.get(change.entry.key)
        if current is None or current.version != change.version:
            return
        status = self._status(crd)
        if status != crd.get("status"):
            obj = current.copy()
            obj["status"] = status
            managed.update(
                current.obj,
                obj,
                manager="kube-apiserver",
                schema=schemas.for_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
                api_version="apiextensions.k8s.io/v1",
                subresource="status",
                now=clock.now(),
            )
            self._collection.put(current.key, obj)
            return
        previous = change.previous.obj if change.previous is not None else None
        if previous is None or previous["spec"] != crd["spec"] or previous.get("status") != crd.get("status"):
            self._serve(crd)
        if crd["metadata"].get("deletionTimestamp") and CRD_CLEANUP in (crd["metadata"].get("finalizers") or ()):
            self._clean_up(crd)

    def _status(self, crd: Object) -> dict[str, Any]:
        """The status with names accepted (or not), conditions and stored versions as they should be."""
        names = crd["spec"]["names"]
        status = dict(crd.get("status") or {})
        conflict = self._conflict(crd)
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        if conflict:
            _set(conditions, "NamesAccepted", "False", *conflict)
            _set(conditions, "Established", "False", "NotAccepted", "not all names are accepted")
            status.setdefault("acceptedNames", {"plural": "", "kind": ""})
        else:
            status["acceptedNames"] = names
            _set(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
            _set(conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted")
        status["conditions"] = list(conditions.values())
        stored = list(status.get("storedVersions") or ())
        storage = next((v["name"] for v in crd["spec"]["versions"] if v.get("storage")), "")
        if storage and storage not in stored:
            stored.append(storage)
        status["storedVersions"] = stored
        return status

    def _conflict(self, crd: Object) -> tuple[str, str] | None:
        """Reason and message when another definition of the group has one of the names."""
        names, uid = crd["spec"]["names"], crd["metadata"]["uid"]
        for entry in self._collection.scan():
            other = entry.obj
            if other["metadata"]["uid"] == uid or other["spec"]["group"] != crd["spec"]["group"]:
                continue
            accepted = (other.get("status") or {}).get("acceptedNames") or {}
            taken = {accepted.get("plural"), accepted.get("singular"), *(accepted.get("shortNames") or ())}
            for field, reason in (("plural", "PluralConflict"), ("singular", "SingularConflict")):
                if names.get(field) and names[field] in taken:
                    return reason, f'"{names[field]}" is already in use'
            for short in names.get("shortNames") or ():
                if short in taken:
                    return "ShortNamesConflict", f'"{short}" is already in use'
            kinds = {accepted.get("kind"), accepted.get("listKind")}
            for field, reason in (("kind", "KindConflict"), ("listKind", "ListKindConflict")):
                if names.get(field) and names[field] in kinds:
                    return reason, f'"{names[field]}" is already in use'
        return None

    def _serve(self, crd: Object) -> None:
        conditions = (crd.get("status") or {}).get("conditions") or ()
        established = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
        types = resource_types(crd) if established else []
        group = crd["spec"]["group"]
        self._registry.replace_custom(group, crd["spec"]["names"]["plural"], types)
        services = self._store.collection(_API_SERVICES)
        for item in types:
            if services.get("", f"{item.version}.{group}") is None:
                service = bootstrap.api_service(group, item.version)
                service["metadata"]["labels"] = {"kube-aggregator.kubernetes.io/automanaged": "true"}
                service["spec"].update(groupPriorityMinimum=1000, versionPriority=100)
                bootstrap.put(self._store, *_API_SERVICES, service)

    def _retire_groups(self, group: str) -> None:
        services = self._store.collection(_API_SERVICES)
        for entry in list(services.scan()):
            spec = entry.obj["spec"]
            served = self._registry.has_group_version(spec.get("group", ""), spec["version"])
            if spec.get("group") == group and not served and "service" not in spec:
                services.remove(entry.key)

    def _clean_up(self, crd: Object) -> None:
        """Delete the instances; when the last is gone the definition goes too."""
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        name = crd["metadata"]["name"]
        collection = self._store.collection(key)
        for entry in list(collection.scan()):
            if not entry.obj["metadata"].get("finalizers"):
                collection.remove(entry.key)
            elif "deletionTimestamp" not in entry.obj["metadata"]:
                obj = entry.copy()
                obj["metadata"].update(deletionTimestamp=clock.now(), deletionGracePeriodSeconds=0)
                collection.put(entry.key, obj)
        if not collection.entries:
            self._finish(name)
        elif name not in self._waiting:

            def on_change(change: Change) -> None:
                if not collection.entries:
                    collection.watchers.discard(on_change)
                    self._waiting.pop(name, None)
                    self._finish(name)

            self._waiting[name] = on_change
            collection.watchers.add(on_change)

    def _finish(self, name: str) -> None:
        entry = self._collection.entries.get(name)
        if entry is None:
            return
        obj = entry.copy()
        finalizers = [f for f in obj["metadata"].get("finalizers") or () if f != CRD_CLEANUP]
        if finalizers:
            obj["metadata"]["finalizers"] = finalizers
            self._collection.put(entry.key, obj)
        else:
            obj["metadata"].pop("finalizers", None)
            self._collection.remove(entry.key, obj)


def _set(conditions: dict[str, dict[str, Any]], kind: str, status: str, reason: str, message: str) -> None:
    known = conditions.get(kind)
    if known is not None and known["status"] == status and known["reason"] == reason:
        return
    conditions[kind] = {
        "type": kind,
        "status": status,
        "lastTransitionTime": clock.now(),
        "reason": reason,
        "message": message,
    }
