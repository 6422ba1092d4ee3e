# SPDX-License-Identifier: Apache-2.0
"""What client-side apply makes of a live object, so that the server can be asked about it before Helm does it.

Built-in kinds: what the base manifest had and the target lacks goes, what the target says is set, the rest stays (three
sides). Custom resources: only what differs between the two manifests is touched; the live object is not looked at, so
drift in fields that both manifests agree on survives (helm pkg/kube/client.go createPatch).
"""

from __future__ import annotations

import copy
from typing import Any

from backout.kube.diff import MERGE_KEYS, index
from backout.kube.groups import BUILT_IN
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE, MANAGED_BY

Object = dict[str, Any]


def built_in(group: str, kind: str) -> bool:
    """True for kinds that are merged with the live object; CRDs and custom resources are not."""
    return group in BUILT_IN and kind != "CustomResourceDefinition"


def owned(obj: Object, release: str, namespace: str) -> Object:
    """``obj`` with the marks that Helm puts on everything it writes (helm pkg/action/validate.go)."""
    marked = copy.deepcopy(obj)
    meta = marked.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), MANAGED_BY: "Helm"}
    meta["annotations"] = {**(meta.get("annotations") or {}), HELM_RELEASE: release, HELM_NAMESPACE: namespace}
    return marked


def three_way(base: Object, target: Object, live: Object) -> Object:
    """The live object after a client-side apply of a built-in kind."""
    merged: Object = _merge(base, target, live, "")
    return merged


def two_way(base: Object, target: Object, live: Object) -> Object:
    """The live object after the JSON merge patch from ``base`` to ``target``; lists are replaced whole."""
    merged: Object = _patch(live, base, target)
    return merged


def _merge(base: Any, target: Any, live: Any, field: str) -> Any:
    if isinstance(target, dict) and isinstance(live, dict):
        before = base if isinstance(base, dict) else {}
        result = {key: value for key, value in live.items() if key in target or key not in before}
        for key, value in target.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merge(before.get(key), value, live.get(key), str(key))
        return result
    if isinstance(target, list) and isinstance(live, list) and (field in MERGE_KEYS or field == "volumeClaimTemplates"):
        before_items = index(field, base) if isinstance(base, list) else {}
        wanted, found = index(field, target), index(field, live)
        if all(isinstance(key, tuple) for key in (*wanted, *found)):
            merged = [_merge(before_items.get(key), value, found.get(key), "") for key, value in wanted.items()]
            # Elements that neither manifest knows were put there by somebody else, such as an injected sidecar.
            return merged + [value for key, value in found.items() if key not in wanted and key not in before_items]
    return copy.deepcopy(target)


def _patch(live: Any, base: Any, target: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(target, dict)):
        return copy.deepcopy(target)
    result = copy.deepcopy(live) if isinstance(live, dict) else {}
    for key in base:
        if key not in target:
            result.pop(key, None)
    for key, value in target.items():
        if key not in base or base[key] != value:
            result[key] = _patch(result.get(key), base.get(key), value)
    return result
