# SPDX-License-Identifier: Apache-2.0
"""Where the live objects of a release are not what its newest revision says: no revision of Helm's knows that. Pure.

It comes from an upgrade that was killed or failed half-way, or from changes past Helm. A rollback resets it, so that
taking the rollback back needs more than Helm: the objects as they were captured.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from backout.helm.merge import Object, three_way
from backout.kube.diff import diff_objects
from backout.kube.intent import drift
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.model.change import FieldChange
from backout.model.target import ObjectRef

_SIMPLE = re.compile(r"(spec|data|webhooks|rules)(\.[A-Za-z0-9_\-]+)*")
_PART = re.compile(r"([A-Za-z0-9_\-]+)(?:\.([A-Za-z0-9_\-]+))?")


class Stray(msgspec.Struct, frozen=True):
    """An object, and the parts of it (``spec.template``, ``data``) that are not as the newest revision has them.

    ``remade``: the rollback deletes it or makes it anew, so that it will have another uid.
    """

    ref: ObjectRef
    parts: tuple[str, ...]
    remade: bool = False


def strayed(item: Item) -> tuple[FieldChange, ...]:
    """The fields in which the live object differs from the newest revision's manifest."""
    if item.live is None or item.base is None:
        return ()
    return reset(item.live, item.base)


def reset(live: Object, manifest: Object) -> tuple[FieldChange, ...]:
    """What would change if everything that ``manifest`` says were written over ``live``.

    Zero values, defaults and other ways to write the same are no change (`backout.kube.intent`); neither is what ``live`` says
    beyond the manifest, since Helm leaves that.
    """
    written = diff_objects(live, over(live, manifest))
    meant = [change.path for change in drift(manifest, live)] if written else []
    return tuple(change for change in written if any(_touch(change.path, path) for path in meant))


def _touch(one: str, other: str) -> bool:
    return one == other or one.startswith((f"{other}.", f"{other}[")) or other.startswith((f"{one}.", f"{one}["))


def over(live: Object, manifest: Object) -> Object:
    """``live`` with everything that ``manifest`` says."""
    return three_way({}, manifest, live)


def leftovers(item: Item) -> tuple[FieldChange, ...]:
    """Fields that the newest revision set, that the target does not have, and that the API server would keep all the same.

    A field that can't be changed once set is kept in silence where a write leaves it out (kubernetes
    pkg/registry/core/service/strategy.go: clusterIP); one that somebody else applied as well stays his.
    """
    if item.base is None or item.target is None or item.live is None or item.refusal is not None or not item.asked:
        return ()
    if stays_headless(item):
        return ()
    dropped = {change.path: change.before for change in diff_objects(item.base, item.target) if change.after is None}
    return tuple(
        FieldChange(path, None, before)
        for path, before in dropped.items()
        if _SIMPLE.fullmatch(path) and part(item.after or {}, path) == part(item.base, path)
    )


def stays_headless(item: Item) -> bool:
    """A Service that the newest revision made headless, and that would not get an address again in place."""
    specs = [(obj or {}).get("spec") or {} for obj in (item.base, item.live, item.after)]
    return (
        item.ref.kind == "Service"
        and item.target is not None
        and all(spec.get("clusterIP") == "None" for spec in specs)
        and not (item.target.get("spec") or {}).get("clusterIP")
    )


def strays(analysis: Analysis, remade: Iterable[ObjectRef] = ()) -> list[Stray]:
    """What only a capture can bring back; ``remade`` are the objects that the rollback makes anew."""
    anew = set(remade)
    found = []
    for item in analysis.items:
        parts = parts_of(strayed(item))
        if parts:
            found.append(Stray(item.ref, parts, remade=item.ref in anew or (item.gone and not item.kept)))
    return found


def missing(analysis: Analysis) -> list[ObjectRef]:
    """Objects that the newest revision has, and the cluster lacks: taken back by Helm, they would be there."""
    return [
        item.ref
        for item in analysis.items
        if item.live is None and item.base is not None and item.resource is not None and item.refusal is None
    ]


def parts_of(fields: Iterable[FieldChange]) -> tuple[str, ...]:
    """The parts that hold the fields: two levels of ``spec``, one of all else. Metadata is not among them."""
    found: dict[str, None] = {}
    for field in fields:
        match = _PART.match(field.path)
        if match is None or match.group(1) in {"metadata", "status"}:
            continue
        first, second = match.groups()
        found[f"spec.{second}" if first == "spec" and second else first] = None
    return tuple(found)


def part(obj: Object, name: str) -> Any:
    """The value of a part; None when it is absent."""
    value: Any = obj
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def part_digest(obj: Object, name: str) -> str:
    """Names the content of a part."""
    return hashlib.sha256(json.dumps(part(obj, name), sort_keys=True).encode()).hexdigest()
