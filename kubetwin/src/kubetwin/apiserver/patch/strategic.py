# SPDX-License-Identifier: Apache-2.0
"""Strategic merge patch: lists merge by key, and directives say what a plain merge cannot.

Source: apimachinery's pkg/util/strategicpatch. Directives: ``$patch: replace|delete|merge``, ``$retainKeys``,
``$deleteFromPrimitiveList/FIELD`` and ``$setElementOrder/FIELD``."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.golang import text_of, type_of
from kubetwin.apiserver.schema import FREE, Schema, clone
from kubetwin.apiserver.status import ApiError

_MARKER = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_SET_ORDER = "$setElementOrder/"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ORDER = "invalid patch format of setElementOrder list"

_Object = dict[str, Any]
_DROPPED = object()


def apply(doc: _Object, patch: _Object, schema: Schema) -> _Object:
    """The patched document; neither argument is changed.

    Raises ApiError: 400 for a malformed directive, 422 for lists of lists, 500 for a list item without its merge key,
    as the server does.
    """
    return _merge_map(clone(doc), clone(patch), schema)


def _bad(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def _failed(message: str) -> ApiError:
    return ApiError(500, "", message)


def _merge_map(original: _Object, patch: _Object, schema: Schema) -> _Object:
    if _MARKER in patch:
        directive = patch.pop(_MARKER)
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        raise _failed(f"unknown patch type: {directive} in map: {text_of({_MARKER: directive, **patch})}")
    _retain_keys(original, patch)
    _ordered_lists(original, patch, schema)
    for name, value in patch.items():
        deletes = name.startswith(_DELETE_FROM)
        if deletes:
            name = name[len(_DELETE_FROM) :]
        if value is None:
            original.pop(name, None)
            continue
        before = original.get(name, _DROPPED)
        if before is _DROPPED or _shape(before) is not _shape(value):
            if not deletes:
                _put(original, name, _without_directives(_without_nulls(value)))
            continue
        child = schema.child(name) or FREE
        if isinstance(value, dict):
            replaces = "replace" in child.patch_strategies
            original[name] = value if replaces else _merge_map(before, value, child)
        elif isinstance(value, list):
            if "merge" in child.patch_strategies or deletes:
                original[name] = _merge_list(before, value, child, deletes=deletes)
            else:
                original[name] = value
        else:
            original[name] = value
    return original


def _shape(value: Any) -> type:
    """What decides whether two values can merge: number kinds are one."""
    return float if type(value) is int else type(value)


def _put(target: _Object, name: str, value: Any) -> None:
    if value is _DROPPED:
        target.pop(name, None)
    else:
        target[name] = value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _without_directives(value: Any) -> Any:
    """What remains of a patch where there was nothing to patch."""
    if isinstance(value, dict):
        if _MARKER in value:
            return _DROPPED
        kept = {
            name: _without_directives(item)
            for name, item in value.items()
            if name != _RETAIN_KEYS and not name.startswith((_DELETE_FROM, _SET_ORDER))
        }
        return {name: item for name, item in kept.items() if item is not _DROPPED}
    if isinstance(value, list):
        kept_items = [_without_directives(item) for item in value]
        return [item for item in kept_items if item is not _DROPPED]
    return value


def _retain_keys(original: _Object, patch: _Object) -> None:
    if _RETAIN_KEYS not in patch:
        return
    retained = patch.pop(_RETAIN_KEYS)
    if not isinstance(retained, list):
        raise _bad(_BAD_RETAIN_KEYS)
    for name, value in patch.items():
        if value is not None and not name.startswith((_DELETE_FROM, _SET_ORDER)) and name not in retained:
            raise _bad(_BAD_RETAIN_KEYS)
    for name in [name for name in original if name not in retained]:
        del original[name]


def _ordered_lists(original: _Object, patch: _Object, schema: Schema) -> None:
    """Handle each ``$setElementOrder`` together with the list that it orders."""
    for directive in [name for name in patch if name.startswith(_SET_ORDER)]:
        order = patch.pop(directive)
        name = directive[len(_SET_ORDER) :]
        before, change = original.get(name), patch.get(name)
        for value in (order, before if before is not None else [], change if change is not None else []):
            if not isinstance(value, list):
                raise _failed(f"expected a []interface {{}}, but received a {type_of(value)}")
        child = schema.child(name) or FREE
        key = child.patch_merge_key
        _check_order(change or [], order, key)
        if name in original and name in patch:
            if change is None:
                continue
            merging = "merge" in child.patch_strategies
            merged = _merge_list(before or [], change, child, deletes=False) if merging else change
        elif name in original:
            merged = before
        elif name in patch:
            merged = _without_directives(change)
        else:
            continue
        patch.pop(name, None)
        original[name] = _arranged(merged or [], order, before or [], key)


def _check_order(change: list[Any], order: list[Any], key: str | None) -> None:
    """A list in the patch has to be in the order that the directive gives."""
    if not change or not order:
        return
    position = 0
    kept = [item for item in change if not (isinstance(item, dict) and _MARKER in item)]
    for item in order:
        if position < len(kept) and _identity(kept[position], key) == _identity(item, key):
            position += 1
    if position < len(kept):
        raise _failed(
            f"The order in patch list:\n{text_of(change)}\n doesn't match {_SET_ORDER[:-1]} list:\n{text_of(order)}\n"
        )


def _identity(item: Any, key: str | None) -> Any:
    if not isinstance(item, dict):
        return item
    if not key or key not in item:
        raise _failed(f"map: {text_of(item)} does not contain declared merge key: {key or ''}")
    return item[key]


def _merge_list(original: list[Any], patch: list[Any], schema: Schema, *, deletes: bool) -> list[Any]:
    if not original and not patch:
        return original
    shapes = {type(item) for item in (*original, *patch)}
    if list in shapes:
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})
    if dict not in shapes:
        if deletes:
            return [item for item in original if item not in patch]
        return _arranged(list(dict.fromkeys([*original, *patch])), patch, original, None)
    key = schema.patch_merge_key
    if not key:
        raise _failed("cannot merge lists without merge key for struct")
    kept, changes = _special_items(original, patch, key)
    before = list(kept)
    places: dict[Any, int] = {}
    for index, item in enumerate(kept):
        places.setdefault(item.get(key), index)
    for item in changes:
        identity = _identity(item, key)
        index = places.get(identity, -1)
        if index >= 0:
            kept[index] = _merge_map(kept[index], item, schema.items or FREE)
        else:
            places[identity] = len(kept)
            kept.append(item)
    return _arranged(kept, changes, before, key)


def _special_items(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Items with ``$patch`` done: (what remains of the original, the other items of the patch)."""
    changes: list[Any] = []
    replaces = False
    for item in patch:
        directive = item.get(_MARKER)
        if directive is None:
            changes.append(item)
        elif directive == "delete":
            identity = _identity(item, key)
            original = [other for other in original if other.get(key, _DROPPED) != identity]
        elif directive == "replace":
            replaces = True
        elif directive == "merge":
            raise _failed("merging lists cannot yet be specified in the patch")
        else:
            raise _failed(f"unknown patch type: {directive} in map: {text_of(item)}")
    return (changes, []) if replaces else (original, changes)


def _arranged(merged: list[Any], order: list[Any], before: list[Any], key: str | None) -> list[Any]:
    """Items of the patch in its order, the server's own in theirs, woven by their places before."""
    wanted = {_identity(item, key): index for index, item in reversed(list(enumerate(order)))}
    known = {_identity(item, key): index for index, item in reversed(list(enumerate(before)))}
    mine = [item for item in merged if _identity(item, key) in wanted]
    others = [item for item in merged if _identity(item, key) not in wanted]
    mine.sort(key=lambda item: wanted[_identity(item, key)])
    others.sort(key=lambda item: known.get(_identity(item, key), len(known)))
    out: list[Any] = []
    left, right = 0, 0
    while left < len(others) and right < len(mine):
        a, b = known.get(_identity(others[left], key)), known.get(_identity(mine[right], key))
        if a is not None and b is not None and a < b:
            out.append(others[left])
            left += 1
        else:
            out.append(mine[right])
            right += 1
    return [*out, *others[left:], *mine[right:]]
