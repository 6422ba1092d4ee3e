# SPDX-License-Identifier: Apache-2.0
"""What an apply would make of an object: the three-way merge of kubectl, and the patch that leads there. Pure.

Facts: kubernetes kubectl pkg/cmd/apply/patcher.go (fields of the last applied configuration that are no longer wanted are removed,
wanted ones are set, all others stay), and the merge keys of built-in kinds in k8s.io/api (``patchMergeKey``). Lists of custom
resources are replaced whole.
"""

from __future__ import annotations

import json
from typing import Any

from kubetwin.client import Obj
from kubetwin.meta import without_nulls

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "ports": ("containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "ownerReferences": ("uid",),
    "resourceClaims": ("name",),
}
_SETS = ("finalizers",)
_SERVER_META = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def is_builtin(obj: Obj) -> bool:
    """Whether the kind is Kubernetes' own, whose lists have merge keys."""
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def with_last_applied(target: Obj) -> Obj:
    """The target with the annotation that kubectl writes: the target itself as JSON, without that annotation."""
    meta = dict(target.get("metadata") or {})
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
    plain = {**target, "metadata": {**meta, "annotations": annotations}}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return {**target, "metadata": {**meta, "annotations": {**annotations, LAST_APPLIED: text}}}


def last_applied(live: Obj) -> Obj:
    """What was applied before; empty when that is not known."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def merged(target: Obj, live: Obj, *, last: Obj | None = None) -> Obj:
    """``live`` after ``target`` was applied to it. ``last``: the earlier target, by default that of the annotation."""
    before = last_applied(live) if last is None else last
    result: Obj = _merge(before, without_nulls(target), live, is_builtin(target))
    return result


def _merge(last: Any, target: Any, live: Any, keyed: bool) -> Any:
    before = last if isinstance(last, dict) else {}
    out = dict(live)
    for name in before:
        if name not in target:
            out.pop(name, None)
    for name, value in target.items():
        here = out.get(name)
        if isinstance(value, dict) and isinstance(here, dict):
            out[name] = _merge(before.get(name), value, here, keyed)
        elif isinstance(value, list) and isinstance(here, list):
            out[name] = _merge_list(name, before.get(name), value, here, keyed)
        else:
            out[name] = value
    return out


def _merge_list(name: str, last: Any, target: list[Any], live: list[Any], keyed: bool) -> list[Any]:
    before = last if isinstance(last, list) else []
    if name in _SETS:
        return [*target, *(each for each in live if each not in target and each not in before)]
    key = _key(name, target, live) if keyed else ""
    if not key:
        return target
    here = {each[key]: each for each in live}
    earlier = {each[key]: each for each in before if isinstance(each, dict) and key in each}
    out = [
        _merge(earlier.get(each[key]), each, here[each[key]], keyed) if each[key] in here else each for each in target
    ]
    wanted = {each[key] for each in target}
    return [*out, *(each for value, each in here.items() if value not in wanted and value not in earlier)]


def _key(name: str, target: list[Any], live: list[Any]) -> str:
    """The merge key that every element has, each its own; empty where there is none."""
    for key in _KEYS.get(name, ()):
        for items in (target, live):
            values = [each.get(key) for each in items if isinstance(each, dict)]
            if len(values) != len(items) or None in values or len(set(map(str, values))) != len(values):
                break
        else:
            return key
    return ""


def merge_patch(old: Obj, new: Obj) -> Obj:
    """The JSON merge patch (RFC 7386) that makes ``new`` of ``old``; empty when they are equal."""
    patch: Obj = {}
    for name in old.keys() - new.keys():
        patch[name] = None
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif isinstance(value, dict) and isinstance(old[name], dict):
            inner = merge_patch(old[name], value)
            if inner:
                patch[name] = inner
        elif value != old[name]:
            patch[name] = value
    return patch


def compared(obj: Obj) -> Obj:
    """The part of an object that a comparison looks at: without status, server's fields and kubectl's annotation."""
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _SERVER_META}
    annotations = {k: v for k, v in (meta.pop("annotations", None) or {}).items() if k != LAST_APPLIED}
    if annotations:
        meta["annotations"] = annotations
    return {**{k: v for k, v in obj.items() if k not in ("status", "metadata")}, "metadata": meta}
