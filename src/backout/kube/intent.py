# SPDX-License-Identifier: Apache-2.0
"""Whether a live object is what a manifest asks for: the one comparison of both. Pure.

A server never stores a manifest as it was sent: it fills in defaults, leaves out zero values (``hostNetwork: false``,
``initialDelaySeconds: 0``, empty lists and maps), chooses addresses, and prunes. None of that is a difference; what somebody
edited, added or removed by hand is.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any

from backout.kube.defaults import CHOSEN, fill
from backout.kube.diff import diff_objects, strip
from backout.kube.groups import custom
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE, MANAGED_BY
from backout.kube.sanitise import controllers_note
from backout.model.change import FieldChange

Object = dict[str, Any]

_MEANT_ZERO = frozenset(
    {
        "replicas",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
        "terminationGracePeriodSeconds",
        "backoffLimit",
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "tolerationSeconds",
        "ttlSecondsAfterFinished",
        "activeDeadlineSeconds",
        "maxSurge",
        "maxUnavailable",
        "minAvailable",
        "defaultMode",
        "mode",
        "completions",
        "parallelism",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
        "minReplicas",
        "maxReplicas",
        "stabilizationWindowSeconds",
        "attachRequired",
        "apiGroup",
        "storageClassName",
        "expirationSeconds",
        "startingDeadlineSeconds",
    }
)
"""Fields whose zero is not the same as their absence: pointers in the API's types, with another default or none."""

_TEXTS = frozenset(
    {
        "labels",
        "annotations",
        "data",
        "binaryData",
        "stringData",
        "matchLabels",
        "nodeSelector",
        "parameters",
        "hard",
        "limits",
        "requests",
        "capacity",
        "volumeAttributes",
        "default",
        "defaultRequest",
        "min",
        "max",
    }
)
"""Maps of texts: a key with an empty value is a key."""


_EVERYTHING = {"matches": "everything"}
"""Of a selector that is empty: it is not one that is missing."""


def same_intent(manifest: Object, live: Object, *, schema: Mapping[str, Any] | None = None) -> bool:
    """True when ``live`` is what the server makes of ``manifest``, and nobody changed it since."""
    return not drift(manifest, live, schema=schema)


def drift(manifest: Object, live: Object, *, schema: Mapping[str, Any] | None = None) -> tuple[FieldChange, ...]:
    """What was changed, added or removed since ``manifest`` was applied: ``before`` as it says, ``after`` as it is live.

    ``schema`` is the OpenAPI schema of a custom resource's version, whose defaults the server fills in. The status, and what
    server and controllers note down in metadata, do not count.
    """
    wanted, found = canonical(manifest, schema=schema), canonical(live, schema=schema)
    group, kind = _group_kind(live)
    _forget_marks(found.get("metadata") or {}, wanted.get("metadata") or {})
    for path in CHOSEN.get((group, kind), ()):
        _forget(found, wanted, path.split(".") if "[" not in path.partition("[]")[0] else [path])
    return diff_objects(wanted, found)


def _forget_marks(found: Object, wanted: Object) -> None:
    """Of metadata, what whoever applies writes by itself: the namespace, Helm's marks, notes of controllers and clients."""
    for part in ("labels", "annotations"):
        said = wanted.get(part) or {}
        kept = {key: value for key, value in (found.get(part) or {}).items() if key in said or not _mark(key, value)}
        if kept or said:
            found[part] = kept
        else:
            found.pop(part, None)
    for name in (
        "namespace",
        "generateName",
        "ownerReferences",
        "finalizers",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ):
        if name not in wanted:
            found.pop(name, None)


def _mark(key: str, value: Any) -> bool:
    return controllers_note(key) or key in (HELM_RELEASE, HELM_NAMESPACE) or (key == MANAGED_BY and value == "Helm")


def canonical(obj: Object, *, schema: Mapping[str, Any] | None = None) -> Object:
    """``obj`` with every default filled in and without zero values: two that mean the same are equal then."""
    group, kind = _group_kind(obj)
    plain = _copied(strip(obj))
    if (group, kind) == ("", "Secret") and plain.get("stringData"):
        coded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.pop("stringData").items()}
        plain["data"] = {**(plain.get("data") or {}), **coded}
    if custom(str(obj.get("apiVersion", ""))):
        if schema is not None:
            _fill_schema(plain, schema)
        kept = _without_zero(plain, "", built_in=False)
    else:
        fill(plain, group, kind)
        kept = _without_zero(plain, "", built_in=True)
    return kept if isinstance(kept, dict) else {}


def _copied(node: Any) -> Any:
    """A copy of what JSON can hold: `copy.deepcopy`, which is ready for anything, takes several times as long."""
    if isinstance(node, dict):
        return {key: _copied(value) for key, value in node.items()}
    return [_copied(item) for item in node] if isinstance(node, list) else node


def canonical_template(template: Object) -> Object:
    """A pod template in the same form."""
    return dict(
        canonical({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"template": template}})["spec"]["template"]
    )


def _group_kind(obj: Object) -> tuple[str, str]:
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    return (group if slash else ""), str(obj.get("kind", ""))


def _without_zero(node: Any, field: str, *, built_in: bool) -> Any:
    if isinstance(node, dict):
        if field in _TEXTS:
            return {key: value for key, value in node.items() if value is not None}
        kept = {}
        for key, value in node.items():
            inner = _without_zero(value, str(key), built_in=built_in)
            if inner == {} and str(key).endswith("Selector") and key not in _TEXTS:
                kept[key] = _EVERYTHING
            elif not _zero(inner, str(key), built_in=built_in):
                kept[key] = inner
        return kept
    if isinstance(node, list):
        return [_without_zero(item, "", built_in=built_in) for item in node]
    return node


def _zero(value: Any, field: str, *, built_in: bool) -> bool:
    """Whether a field of this value says no more than a field that is not there."""
    if value is None or value == []:
        return True
    if value == {}:
        return built_in
    if field in _MEANT_ZERO:
        return False
    return value is False or value == "" or (value == 0 and not isinstance(value, bool))


def _forget(found: Any, wanted: Any, path: list[str]) -> None:
    """Takes out of ``found`` what ``wanted`` does not say at ``path``; lists are matched by position, names where they have them."""
    step, rest = path[0], path[1:]
    if not isinstance(found, dict):
        return
    said = wanted if isinstance(wanted, dict) else {}
    if step.endswith("[]"):
        items, others = found.get(step[:-2]) or [], said.get(step[:-2]) or []
        for number, item in enumerate(items):
            _forget(item, _partner(item, number, others), rest)
    elif rest:
        _forget(found.get(step), said.get(step), rest)
        if found.get(step) == {} and step not in said:
            del found[step]
    elif step.endswith('"]'):
        _forget_key(found, said, step)
    elif step not in said:
        found.pop(step, None)


def _forget_key(found: dict[str, Any], said: dict[str, Any], step: str) -> None:
    """``metadata.labels["a.b/c"]``: a key of a map of texts."""
    head, _, tail = step.partition("[")
    *fields, key = [*head.split("."), tail.strip('"]')]
    for field in fields:
        found, said = found.get(field) or {}, said.get(field) or {}
    if key not in said:
        found.pop(key, None)


def _partner(item: Any, number: int, others: list[Any]) -> Any:
    name = item.get("name") if isinstance(item, dict) else None
    if name is not None:
        return next((other for other in others if isinstance(other, dict) and other.get("name") == name), None)
    return others[number] if number < len(others) else None


def _fill_schema(node: Any, schema: Mapping[str, Any]) -> None:
    """Structural defaulting (apiextensions pkg/apiserver/schema/defaulting): absent and null fields, also of what was filled in."""
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    if isinstance(node, dict):
        for name, inner in properties.items():
            if (
                node.get(name) is None
                and isinstance(inner, Mapping)
                and "default" in inner
                and not inner.get("nullable")
            ):
                node[name] = copy.deepcopy(inner["default"])
            if name in node and isinstance(inner, Mapping):
                _fill_schema(node[name], inner)
        if isinstance(more, Mapping):
            for name, value in node.items():
                if name not in properties:
                    _fill_schema(value, more)
    elif isinstance(node, list) and isinstance(schema.get("items"), Mapping):
        for item in node:
            _fill_schema(item, schema["items"])
