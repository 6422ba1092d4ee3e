# SPDX-License-Identifier: Apache-2.0
"""Owners of objects, and pods made for them from templates (pkg/controller/controller_utils.go)."""

from __future__ import annotations

import copy

from kubetwin.client import Obj
from kubetwin.informer import Informer
from kubetwin.meta import controller_of, name_of, namespace_of, owner_reference, uid_of


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
