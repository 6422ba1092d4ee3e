# SPDX-License-Identifier: Apache-2.0
"""What differs between two objects, field by field, in paths that a person can read, and without secrets.

List elements are matched by the key that Kubernetes merges them by, so that a container that moved is not a change:
``spec.template.spec.containers[name=web].image``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from backout.kube.names import LAST_APPLIED, REVISION_NUMBER
from backout.model.change import FieldChange
from backout.model.redaction import HIDDEN, asks_for_secret, names_secret, redact_text

MAX_VALUE = 4096

MERGE_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "ephemeralContainers": (("name",),),
    "volumes": (("name",),),
    "env": (("name",),),
    "imagePullSecrets": (("name",),),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "hostAliases": (("ip",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "secrets": (("name",),),
}
"""By which fields list elements are matched (patchMergeKey and list-map-keys of the published Kubernetes schema)."""

_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_BOOKKEEPING = (LAST_APPLIED, REVISION_NUMBER, "deprecated.daemonset.template.generation")
_PLAIN = re.compile(r"^[A-Za-z0-9_\-]+$")
_QUANTITY = re.compile(r"^([+-]?[0-9.]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?$")
_SCALE = (
    {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)}
    | {unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
    | {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
)
_QUANTITY_PARENTS = frozenset({"limits", "requests", "capacity", "hard"})

_STRUCTURAL = frozenset({"name", "key", "path", "secretName", "serviceAccountName", "audience", "kind", "type"})
"""Fields of the API whose name or place sounds secret, but which only name things."""

_ABSENT = object()
_SALT = secrets.token_bytes(32)


def keyed_digest(value: Any) -> str:
    """Tells equal from different without telling what: keyed anew in each process, so nothing can be looked up."""
    return hmac.new(_SALT, json.dumps(value, default=str).encode(), "sha256").hexdigest()[:12]


def strip(obj: dict[str, Any]) -> dict[str, Any]:
    """``obj`` without status and what the server or a controller keeps for itself."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    meta = {key: value for key, value in (kept.get("metadata") or {}).items() if key not in _SERVER}
    notes = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in _BOOKKEEPING}
    meta.pop("annotations", None)
    if notes:
        meta["annotations"] = notes
    kept["metadata"] = meta
    return kept


def diff_objects(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[FieldChange, ...]:
    """Every field that differs; None stands for an object that does not exist."""
    kind = str((after or before or {}).get("kind") or "")
    left, right = strip(before) if before else {}, strip(after) if after else {}
    for side in (left, right):
        for key in ("apiVersion", "kind"):
            side.pop(key, None)
    return tuple(_diff(left, right, (), kind == "Secret"))


def same(before: Any, after: Any, parent: str = "") -> bool:
    """Equal in meaning: quantities by value, and an empty list or map like an absent one."""
    if before is _ABSENT or after is _ABSENT:
        present = after if before is _ABSENT else before
        return present is _ABSENT or present is None or present == {} or present == []
    if before == after:
        return True
    if parent in _QUANTITY_PARENTS:
        left, right = quantity(before), quantity(after)
        return left is not None and left == right
    return (before is None or before == {} or before == []) and (after is None or after == {} or after == [])


def quantity(value: Any) -> Decimal | None:
    """A resource quantity as a number; None when it is none."""
    match = _QUANTITY.match(str(value)) if isinstance(value, str | int | float) else None
    if match is None:
        return None
    number, unit = match.group(1), match.group(2) or ""
    try:
        if unit[:1] in {"e", "E"} and len(unit) > 1 and unit not in _SCALE:
            return Decimal(number + unit)
        return Decimal(number) * _SCALE[unit]
    except (InvalidOperation, KeyError):
        return None


def element_key(field: str, element: Any, siblings: list[Any]) -> tuple[tuple[str, Any], ...] | None:
    """How an element of list ``field`` is told from its siblings; None when only its position tells."""
    for names in MERGE_KEYS.get(field, ()):
        if all(isinstance(item, dict) and names[0] in item for item in siblings):
            # protocol is TCP where it is not said, in containers and in Services
            return tuple((n, element[n]) for n in names if n in element and (n, element[n]) != ("protocol", "TCP"))
    if field == "volumeClaimTemplates" and isinstance(element, dict):
        return (("metadata.name", (element.get("metadata") or {}).get("name")),)
    if field not in MERGE_KEYS and siblings and all(isinstance(item, dict) and "name" in item for item in siblings):
        return (("name", element["name"]),)
    return None


def index(field: str, items: list[Any]) -> dict[Any, Any]:
    """Elements by key, or by position where they have no key or the key is not unique."""
    keys = [element_key(field, item, items) for item in items]
    if all(key is not None for key in keys):
        try:
            if len(set(keys)) == len(keys):
                return dict(zip(keys, items, strict=True))
        except TypeError:
            pass
    return dict(enumerate(items))


def _diff(before: Any, after: Any, path: tuple[Any, ...], secret: bool) -> Iterator[FieldChange]:
    field = next((part for part in reversed(path) if isinstance(part, str)), "")
    parent = path[-2] if len(path) > 1 and isinstance(path[-2], str) else ""
    if same(before, after, parent):
        return
    empty_before, empty_after = before in (_ABSENT, None), after in (_ABSENT, None)
    if (isinstance(before, dict) or empty_before) and (isinstance(after, dict) or empty_after):
        left, right = before if isinstance(before, dict) else {}, after if isinstance(after, dict) else {}
        for key in [*left, *(key for key in right if key not in left)]:
            yield from _diff(left.get(key, _ABSENT), right.get(key, _ABSENT), (*path, key), secret)
        return
    if (isinstance(before, list) or empty_before) and (isinstance(after, list) or empty_after):
        left_list, right_list = before if isinstance(before, list) else [], after if isinstance(after, list) else []
        left, right = index(field, left_list), index(field, right_list)
        if left and right and (isinstance(next(iter(left)), int) != isinstance(next(iter(right)), int)):
            left, right = dict(enumerate(left_list)), dict(enumerate(right_list))
        for key in [*left, *(key for key in right if key not in left)]:
            step = ("list", key)
            if isinstance(key, int) and key and any(asks_for_secret(side.get(key - 1)) for side in (left, right)):
                if not same(left.get(key, _ABSENT), right.get(key, _ABSENT)):
                    marks = _mark(left.get(key, _ABSENT)), _mark(right.get(key, _ABSENT))
                    yield FieldChange(render((*path, step)), *marks, secret=True)
                continue
            yield from _diff(left.get(key, _ABSENT), right.get(key, _ABSENT), (*path, step), secret)
        return
    yield _change(before, after, path, secret)


def _change(before: Any, after: Any, path: tuple[Any, ...], secret: bool) -> FieldChange:
    if secret and path[:1] in {("data",), ("stringData",)}:
        return FieldChange(render(path), _mark(before), _mark(after), secret=True)
    if any(isinstance(side, str) for side in (before, after)) and _named_secret(path):
        return FieldChange(render(path), _mark(before), _mark(after), secret=True)
    return FieldChange(render(path), _show(before), _show(after))


def _named_secret(path: tuple[Any, ...]) -> bool:
    if len(path) > 1 and path[-1] == "value" and isinstance(path[-2], tuple):
        # env[name=DB_PASSWORD].value: the name stands in the element's key
        key = path[-2][1]
        return isinstance(key, tuple) and any(names_secret(str(value)) for _, value in key)
    return bool(path) and isinstance(path[-1], str) and path[-1] not in _STRUCTURAL and names_secret(path[-1])


def _mark(value: Any) -> Any:
    return None if value is _ABSENT or value is None else f"{HIDDEN} {keyed_digest(value)}"


def _show(value: Any) -> Any:
    if value is _ABSENT:
        return None
    if isinstance(value, str):
        value = redact_text(value)
        if len(value) > MAX_VALUE:
            return f"<{len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]}>"
        return value
    if isinstance(value, dict | list):
        text = json.dumps(value, default=str)
        return json.loads(redact_text(text)) if len(text) <= MAX_VALUE and redact_text(text) == text else HIDDEN
    return value


def render(path: tuple[Any, ...]) -> str:
    """The path in words: ``metadata.annotations["example.org/team"]``, ``ports[containerPort=80]``, ``args[1]``."""
    text = ""
    for part in path:
        if isinstance(part, tuple):
            key = part[1]
            inner = ",".join(f"{name}={value}" for name, value in key) if isinstance(key, tuple) else str(key)
            text += f"[{inner}]"
        elif _PLAIN.match(str(part)):
            text += f".{part}" if text else str(part)
        else:
            text += f'["{part}"]'
    return text
