# SPDX-License-Identifier: Apache-2.0
"""What differs between two snapshots, or between one and the cluster as it is. Values of Secrets never appear."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from backout.cluster.port import ClusterReader, Object, Resource
from backout.kube.diff import diff_objects
from backout.kube.sanitise import helm_record, sanitise
from backout.model.change import FieldChange
from backout.model.message import Message, msg
from backout.model.redaction import redact_text
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef
from backout.snapshots.collect import encode
from backout.snapshots.known import learn_from
from backout.snapshots.repository import Repository
from backout.snapshots.walk import Skips, walk

Key = tuple[str, str, str]
"""Group, kind and name: a snapshot is of one namespace, and versions of an API come and go."""
AT_ONCE = 200
CONTEXT = 2
"""Lines around a change in a text of several lines."""


class TextChange(msgspec.Struct, frozen=True):
    """A text of several lines that changed: the lines of a unified diff, without credentials."""

    path: str
    lines: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object. ``added``: only the later state has it; ``gone``: only the earlier one."""

    ref: ObjectRef
    change: Literal["added", "gone", "changed"]
    fields: tuple[FieldChange, ...] = ()
    texts: tuple[TextChange, ...] = ()
    owner: str = ""


class Comparison(msgspec.Struct, frozen=True):
    """All differences. ``notes`` say what could not be compared."""

    differences: tuple[Difference, ...]
    compared: int
    notes: tuple[Message, ...] = ()


Wanted = Callable[[Entry], bool]


def key_of(ref: ObjectRef) -> Key:
    """By what objects of two states are matched."""
    group, slash, _ = ref.api_version.partition("/")
    return (group if slash else "", ref.kind, ref.name)


def describe(before: Object | None, after: Object | None) -> tuple[tuple[FieldChange, ...], tuple[TextChange, ...]]:
    """What differs: short values as fields, texts of several lines as lines."""
    if before is None or after is None:
        return (), ()
    left, right = _placeless(before), _placeless(after)
    if helm_record(before) or helm_record(after):
        # A record holds the values of its release, in a ConfigMap as in a Secret.
        left, right = {**left, "kind": "Secret"}, {**right, "kind": "Secret"}
    texts = []
    if left.get("kind") == "ConfigMap":
        old, new = dict(left.get("data") or {}), dict(right.get("data") or {})
        for name in sorted(old.keys() & new.keys()):
            if old[name] != new[name] and "\n" in old[name].strip() + new[name].strip():
                texts.append(TextChange(f"data.{name}", _lines(old.pop(name), new.pop(name))))
        left, right = {**left, "data": old}, {**right, "data": new}
    return diff_objects(left, right), tuple(texts)


def _placeless(obj: Object) -> Object:
    meta = {key: value for key, value in obj["metadata"].items() if key != "namespace"}
    return {**obj, "metadata": meta}


def _lines(before: str, after: str) -> tuple[str, ...]:
    old, new = redact_text(before).splitlines(), redact_text(after).splitlines()
    found = tuple(difflib.unified_diff(old, new, lineterm="", n=CONTEXT))[2:]
    return found or ("~",)


async def between(
    repository: Repository, before: Snapshot, after: Snapshot, wanted: Wanted = lambda entry: True
) -> Comparison:
    """What changed from one snapshot to another; contents are read only where addresses differ.

    Raises:
        RepositoryDamaged: something of either is missing or altered.
    """
    old_entries = [entry async for entry in repository.entries(before)]
    new_entries = [entry async for entry in repository.entries(after)]
    await learn_from(repository, {entry.address: entry for entry in (*old_entries, *new_entries)}.values())
    earlier = {key_of(entry.ref): entry for entry in old_entries if wanted(entry)}
    found: list[Difference] = []
    pairs: list[tuple[Entry, Entry]] = []
    compared = 0
    for entry in filter(wanted, new_entries):
        compared += 1
        old = earlier.pop(key_of(entry.ref), None)
        if old is None:
            found.append(Difference(entry.ref, "added", owner=entry.owner))
        elif old.address != entry.address:
            pairs.append((old, entry))
    found += [Difference(entry.ref, "gone", owner=entry.owner) for entry in earlier.values()]
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        left = await repository.get_many([old for old, _ in some])
        right = await repository.get_many([new for _, new in some])
        for (_, entry), one, other in zip(some, left, right, strict=True):
            found += _changed(entry, msgspec.json.decode(one), msgspec.json.decode(other))
    return Comparison(_sorted(found), compared + len(earlier))


async def with_live(
    cluster: ClusterReader, repository: Repository, snapshot: Snapshot, wanted: Wanted = lambda entry: True
) -> Comparison:
    """What changed from a snapshot to the cluster as it is now.

    Raises:
        RepositoryDamaged: something of the snapshot is missing or altered.
    """
    kept = [entry async for entry in repository.entries(snapshot)]
    await learn_from(repository, kept)
    earlier = {key_of(entry.ref): entry for entry in kept if wanted(entry)}
    total = len(earlier)
    found: list[Difference] = []
    skips = Skips()

    async def compare(resource: Resource, page: list[Object]) -> None:
        pairs = []
        for obj in page:
            ref = ObjectRef(resource.api_version, resource.kind, obj["metadata"]["name"], snapshot.namespace)
            plain = sanitise(obj)
            entry = earlier.pop(key_of(ref), None)
            if entry is None:
                if wanted(Entry(ref=ref, address="", size=0, plural=resource.plural)):
                    found.append(Difference(ref, "added"))
            elif repository.address(encode(plain)) != entry.address:
                pairs.append((entry, plain))
        for (entry, plain), content in zip(
            pairs, await repository.get_many([entry for entry, _ in pairs]), strict=True
        ):
            found.extend(_changed(entry, msgspec.json.decode(content), plain))

    await walk(cluster, snapshot.namespace, compare, skips)
    notes: list[Message] = []
    blind: dict[str, int] = {}
    for key, entry in earlier.items():
        if (key[0], key[1]) in skips.unread or (key[0], "*") in skips.unread:
            blind[entry.ref.kind] = blind.get(entry.ref.kind, 0) + 1
        else:
            found.append(Difference(entry.ref, "gone", owner=entry.owner))
    notes += [
        msg("{kind}: they could not be read, so {count} objects were not compared.", kind=kind, count=count)
        for kind, count in sorted(blind.items())
    ]
    return Comparison(_sorted(found), total - sum(blind.values()), tuple(notes))


def _changed(entry: Entry, before: Any, after: Any) -> list[Difference]:
    fields, texts = describe(before, after)
    return [Difference(entry.ref, "changed", fields, texts, entry.owner)] if fields or texts else []


def _sorted(found: list[Difference]) -> tuple[Difference, ...]:
    return tuple(sorted(found, key=lambda d: (d.ref.kind, d.ref.name, d.ref.api_version)))
