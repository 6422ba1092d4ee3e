# SPDX-License-Identifier: Apache-2.0
"""Sets of field paths, kept in the very form of the wire (``FieldsV1``).

A node is a dictionary from path element to node. Elements: ``f:NAME`` a field, ``k:{…}`` a list item by its keys,
``v:VALUE`` an item of a set, ``i:N`` an index. A path is a member of the set when its node is empty or has a ``.``;
so ``{"f:spec": {"f:replicas": {}}}`` holds only ``.spec.replicas``.

Source: structured-merge-diff's fieldpath package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kubetwin.decoding import UNREADABLE

FieldSet = dict[str, Any]

SELF = "."


class MalformedSet(ValueError):
    """Fields of an entry that are no set of paths."""


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of either; the arguments are left alone."""
    out = dict(left)
    for element, node in right.items():
        before = out.get(element)
        out[element] = node if before is None else _union(before, node)
    return out


def _union(left: FieldSet, right: FieldSet) -> FieldSet:
    if left is right or left == right:
        return left
    if not left:
        return right if SELF in right else {SELF: {}, **right}
    if not right:
        return left if SELF in left else {SELF: {}, **left}
    return union(left, right)


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of ``left`` that are no members of ``right`` (children of a removed member stay); ``left`` itself when
    nothing of it goes."""
    out: FieldSet | None = None
    for element, other in right.items():
        node = left.get(element) if element != SELF else None
        if node is None:
            continue
        kept = _difference(node, other)
        if kept is node:
            continue
        if out is None:
            out = dict(left)
        if kept is None:
            del out[element]
        else:
            out[element] = kept
    return left if out is None else out


def _difference(node: FieldSet, other: FieldSet) -> FieldSet | None:
    removed = not other or SELF in other
    if not node:
        return None if removed else node
    kept = difference(node, other)
    if removed and SELF in kept:
        kept = {element: below for element, below in kept.items() if element != SELF}
    if not kept:
        return None
    return {} if len(kept) == 1 and SELF in kept else kept


def recursive_difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of ``left`` that are neither members of ``right`` nor below one."""
    if not right:
        return left
    out = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            out[element] = node
        elif other and SELF not in other:
            kept = recursive_difference(node, other)
            if kept or not node:
                out[element] = kept
    return out


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths that both have as members."""
    out: FieldSet = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            continue
        member = (not node or SELF in node) and (not other or SELF in other)
        children = intersection(node, other)
        if member:
            out[element] = {SELF: {}, **children} if children else {}
        elif children:
            out[element] = children
    return out


def paths(fields: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member, in order: of each node first those that stand in it, then those below."""
    elements = [element for element in sorted(fields) if element != SELF]
    for element in elements:
        if not fields[element] or SELF in fields[element]:
            yield (*prefix, element)
    for element in elements:
        if fields[element]:
            yield from paths(fields[element], (*prefix, element))


def has(fields: FieldSet, path: tuple[str, ...]) -> bool:
    """Whether ``path`` is a member."""
    node: FieldSet | None = fields
    for element in path:
        node = node.get(element) if node else None
        if node is None:
            return False
    return node is not None and (not node or SELF in node)


def of(*members: tuple[str, ...]) -> FieldSet:
    """The set of these paths, each a tuple of elements."""
    out: FieldSet = {}
    for path in members:
        single: FieldSet = {}
        for element in reversed(path):
            single = {element: single}
        out = union(out, single)
    return out


def encode(fields: FieldSet) -> FieldSet:
    """The set with its elements in order, as a server writes it."""
    return {element: encode(fields[element]) if fields[element] else {} for element in sorted(fields)}


def decode(fields: Any) -> FieldSet:
    """The set of an entry that came from outside, in its canonical form. Raises MalformedSet."""
    if not isinstance(fields, dict):
        raise MalformedSet(f"expected object, found {fields!r}")
    out: FieldSet = {}
    for element, node in fields.items():
        if element == SELF:
            out[SELF] = {}
            continue
        out[_canonical(element)] = decode(node)
    if len(out) == 1 and SELF in out:
        return {}
    return out


def _canonical(element: str) -> str:
    kind, colon, rest = element.partition(":")
    if not colon:
        raise MalformedSet(f"missing colon: {element}")
    if kind == "f":
        return element
    try:
        if kind == "i":
            return f"i:{int(rest)}"
        value = msgspec.json.decode(rest)
    except (ValueError, *UNREADABLE) as error:
        raise MalformedSet(f"{element}: {error}") from None
    if kind == "v":
        return f"v:{_json(value)}"
    if kind == "k" and isinstance(value, dict) and value:
        return key_element(value)
    raise MalformedSet(f"unknown path element type: {element}")


def key_element(keys: dict[str, Any]) -> str:
    """The element of a list item with these keys."""
    return f"k:{_json(dict(sorted(keys.items())))}"


def value_element(value: Any) -> str:
    """The element of an item of a set."""
    return f"v:{_json(value)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def text(path: tuple[str, ...]) -> str:
    """A path as messages print it: ``.spec.template.spec.containers[name="app"].image``."""
    return "".join(element_text(element) for element in path)


def element_text(element: str) -> str:
    """One element of a path as messages print it."""
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "i":
        return f"[{rest}]"
    if kind == "v":
        return f"[={rest}]"
    return f"[{','.join(f'{name}={_json(value)}' for name, value in msgspec.json.decode(rest).items())}]"
