# SPDX-License-Identifier: Apache-2.0
"""ConfigMaps and Secrets that a pod refers to: what is missing, in the kubelet's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubetwin.client import Obj
from kubetwin.meta import namespace_of

Lookup = Callable[[str, str, str], Obj | None]
"""(ConfigMap or Secret, namespace, name) -> object."""

_FROM = (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))
_KEYS = (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef"))


@dataclass(frozen=True, slots=True)
class Missing:
    """``kind`` and ``name`` tell what to wait for."""

    message: str
    kind: str
    name: str


def _keys(obj: Obj) -> set[str]:
    return set(obj.get("data") or ()) | set(obj.get("binaryData") or ())


def missing_for_container(pod: Obj, container: Obj, lookup: Lookup) -> Missing | None:
    """The first reference of the environment that cannot be resolved: CreateContainerConfigError."""
    namespace = namespace_of(pod)
    for source in container.get("envFrom") or ():
        for kind, field in _FROM:
            ref = source.get(field)
            if ref and not ref.get("optional") and lookup(kind, namespace, ref["name"]) is None:
                return Missing(f'{kind.lower()} "{ref["name"]}" not found', kind, ref["name"])
    for variable in container.get("env") or ():
        value_from = variable.get("valueFrom") or {}
        for kind, field in _KEYS:
            ref = value_from.get(field)
            if not ref or ref.get("optional"):
                continue
            found = lookup(kind, namespace, ref["name"])
            if found is None:
                return Missing(f'{kind.lower()} "{ref["name"]}" not found', kind, ref["name"])
            if ref["key"] not in _keys(found):
                text = f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}"
                return Missing(text, kind, ref["name"])
    return None


def missing_for_volumes(pod: Obj, lookup: Lookup) -> list[tuple[str, Missing]]:
    """(volume, what it misses): the pod stays in ContainerCreating with FailedMount."""
    out: list[tuple[str, Missing]] = []
    namespace = namespace_of(pod)
    for volume in pod["spec"].get("volumes") or ():
        missing = missing_in_volume(namespace, volume, lookup)
        if missing is not None:
            out.append((volume["name"], missing))
    return out


def missing_in_volume(namespace: str, volume: Obj, lookup: Lookup) -> Missing | None:
    """The first thing that a volume needs and that is not there."""
    for kind, name, source in sources_of(volume):
        missing = _missing_source(kind, namespace, name, source, lookup)
        if missing is not None:
            return missing
    return None


def references_of(pod: Obj) -> frozenset[tuple[str, str, str]]:
    """(kind, namespace, name) of every ConfigMap and Secret that the pod names, needed or optional."""
    spec, namespace = pod["spec"], namespace_of(pod)
    out = {(kind, name) for volume in spec.get("volumes") or () for kind, name, _ in sources_of(volume)}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for source in container.get("envFrom") or ():
            out.update((kind, source[field]["name"]) for kind, field in _FROM if source.get(field))
        for variable in container.get("env") or ():
            refs = variable.get("valueFrom") or {}
            out.update((kind, refs[field]["name"]) for kind, field in _KEYS if refs.get(field))
    return frozenset((kind, namespace, name) for kind, name in out)


def sources_of(volume: Obj) -> Iterator[tuple[str, str, Obj]]:
    """(kind, name, source) of the ConfigMaps and Secrets behind a volume."""
    if volume.get("configMap"):
        yield "ConfigMap", volume["configMap"].get("name", ""), volume["configMap"]
    if volume.get("secret"):
        yield "Secret", volume["secret"].get("secretName", ""), volume["secret"]
    for source in (volume.get("projected") or {}).get("sources") or ():
        if source.get("configMap"):
            yield "ConfigMap", source["configMap"].get("name", ""), source["configMap"]
        if source.get("secret"):
            yield "Secret", source["secret"].get("name", ""), source["secret"]


def _missing_source(kind: str, namespace: str, name: str, source: Obj, lookup: Lookup) -> Missing | None:
    if source.get("optional"):
        return None
    found = lookup(kind, namespace, name)
    if found is None:
        return Missing(f'{kind.lower()} "{name}" not found', kind, name)
    keys = _keys(found)
    for item in source.get("items") or ():
        if item["key"] not in keys:
            if kind == "ConfigMap":
                return Missing(f"configmap references non-existent config key: {item['key']}", kind, name)
            return Missing(f"references non-existent secret key: {item['key']}", kind, name)
    return None


def a_referenced_key(pod: Obj, container: Obj) -> tuple[str, str]:
    """(ConfigMap, key) that a simulated missing key is about: one the container uses, where there is one."""
    for variable in container.get("env") or ():
        ref = (variable.get("valueFrom") or {}).get("configMapKeyRef")
        if ref:
            return str(ref["name"]), str(ref["key"])
    for source in container.get("envFrom") or ():
        if source.get("configMapRef"):
            return str(source["configMapRef"]["name"]), "config"
    return f"{container['name']}-config", "config"
