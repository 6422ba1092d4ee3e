# SPDX-License-Identifier: Apache-2.0
"""Who owns which field of an object: the record that every write keeps, and server-side apply built on it.

``update`` is called after decoding and defaulting and before the resource's own preparation (allocated addresses,
generation …), as the server's handlers do: what the server adds itself is owned by nobody.

Source: apimachinery's pkg/util/managedfields and structured-merge-diff's merge package."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from kubetwin.apiserver.fields import sets
from kubetwin.apiserver.fields.entries import Entries, Entry, Identity, MalformedEntries, cap, decode, encode
from kubetwin.apiserver.fields.merging import merge, remove, schema_errors, with_named_fields
from kubetwin.apiserver.fields.reset import reset_fields
from kubetwin.apiserver.fields.sets import FieldSet
from kubetwin.apiserver.fields.walk import Comparison, UnkeyedItem, compare, field_set
from kubetwin.apiserver.schema import FREE, Schema, clone, metadata_only
from kubetwin.apiserver.schema import decode as decode_object
from kubetwin.apiserver.status import ApiError, Cause
from kubetwin.decoding import UNREADABLE

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY = "before-first-apply"

# kubectl's own manager name for server-side apply: only for it, what client-side apply set may be taken over.
_KUBECTL = "kubectl"

_STRIPPED_METADATA = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
_STRIPPED = sets.of(
    ("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in _STRIPPED_METADATA)
)

Object = dict[str, Any]


class _Conflicts(Exception):
    """Fields that an apply sets and others own: (owner, path) in the order of the message."""

    def __init__(self, conflicts: list[tuple[Entry, tuple[str, ...]]]) -> None:
        super().__init__("conflicts")
        self.conflicts = conflicts


def update(
    old: Object | None,
    new: Object,
    *,
    manager: str,
    operation: str = "Update",
    schema: Schema | None,
    api_version: str,
    subresource: str = "",
    now: str | datetime,
    has_status: bool = True,
) -> None:
    """Set ``new.metadata.managedFields``: what differs from ``old`` (None: a create) is the manager's from now on.

    A request may carry its own list: it then is the base; an empty list (or one empty entry) ends the tracking of the
    object. ``has_status``: whether a custom resource has the status subresource.
    """
    node = schema or metadata_only()
    entries, tracked = _base(old, new, subresource)
    new_metadata = new.setdefault("metadata", {})
    new_metadata.pop("managedFields", None)
    if not tracked:
        return
    live = _empty(api_version, new.get("kind", ""), schema) if old is None else _bare(old)
    try:
        comparison = compare(live, new, node)
    except UnkeyedItem:
        # A list that cannot be keyed is refused by validation; until then nothing is recorded.
        return
    hidden = reset_fields(new.get("kind", ""), subresource, custom=_is_custom(schema), has_status=has_status)
    if subresource == "scale" and (new.get("spec") or {}).get("replicas") == 0:
        # The Scale of the request drops a zero, and with it goes the ownership.
        comparison = Comparison(sets.union(comparison.removed, comparison.modified), {}, {})
    _record(entries, _without(comparison, hidden), manager, operation, api_version, subresource, _stamp(now))
    if entries:
        new_metadata["managedFields"] = encode(entries)
    if old is not None:
        keep_timestamps(old, new)


def apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    schema: Schema | None,
    api_version: str,
    subresource: str = "",
    now: str | datetime,
    has_status: bool = True,
    kind_of_resource: str = "",
) -> Object:
    """Server-side apply: the merged object with its managedFields; ``live`` None: there is no object yet.

    ``kind_of_resource`` is the kind that the resource expects, by default the live object's.

    Raises ApiError: 400 for another kind or version, or managedFields in the configuration, 409 with one cause for
    every field that another manager owns, 500 for what the schema does not know (as the server does).
    """
    node = schema or metadata_only()
    kind = str(applied.get("kind") or "")
    expected = kind_of_resource or str((live or {}).get("kind") or kind)
    if kind != expected or not kind or applied.get("apiVersion") != api_version:
        raise ApiError(400, "BadRequest", f"invalid object type: {_group_version_kind(applied)}")
    if applied.get("metadata", {}).get("managedFields") is not None:
        raise ApiError(400, "BadRequest", "metadata.managedFields must be nil")
    errors = schema_errors(applied, node)
    if errors:
        raise _not_typed(applied, errors)
    empty = _empty(api_version, kind, schema)
    base = empty if live is None else _bare(live)
    stamp = _stamp(now)
    hidden = reset_fields(kind, subresource, custom=_is_custom(schema), has_status=has_status)
    try:
        entries = decode((live or {}).get("metadata", {}).get("managedFields"), trusted=True)
    except MalformedEntries as error:
        raise ApiError(500, "", f"failed to decode managed fields: {error}") from None
    if not entries and live is not None:
        before = _without(compare(empty, base, node), hidden)
        _record(entries, before, BEFORE_FIRST_APPLY, "Update", api_version, subresource, stamp)
    step = _Apply(node, api_version, subresource, hidden, manager)
    try:
        merged, entries = step.run(base, applied, entries, force=force)
    except _Conflicts as found:
        left = found.conflicts
        if manager == _KUBECTL:
            allowed = _client_side(base, node, api_version)
            left = [(entry, path) for entry, path in left if allowed is None or not sets.has(allowed, path)]
        if left:
            raise _conflict_error(left) from None
        merged, entries = step.run(base, applied, entries, force=True)
    result = _finish(live, merged, base, entries, step.identity, stamp)
    if manager == _KUBECTL and result["metadata"].get("annotations", {}).get(LAST_APPLIED):
        annotations = {**result["metadata"]["annotations"], LAST_APPLIED: _last_applied(applied)}
        result["metadata"]["annotations"] = annotations
    return result


def keep_timestamps(old: Object, new: Object) -> None:
    """Give ``new`` the times of ``old`` when nothing but them changed, so that the write is none."""
    before, after = old.get("metadata", {}).get("managedFields"), new.get("metadata", {}).get("managedFields")
    if not before or not after or len(before) != len(after) or before == after:
        return
    for one, other in zip(before, after, strict=True):
        if {**one, "time": None} != {**other, "time": None}:
            return
    if _bare(old) == _bare(new):
        new["metadata"]["managedFields"] = before


class _Apply:
    """One apply: merge, prune what is no longer applied, find the conflicts."""

    def __init__(self, node: Schema, api_version: str, subresource: str, hidden: FieldSet, manager: str) -> None:
        self.node = node
        self.api_version = api_version
        self.hidden = hidden
        self.entry = Entry(manager or "unknown", "Apply", api_version, subresource, None, {})
        self.identity: Identity = self.entry.identity

    def run(self, live: Object, applied: Object, before: Entries, *, force: bool) -> tuple[Object, Entries]:
        """(merged object, entries). Raises _Conflicts, ApiError."""
        entries = dict(before)
        last = entries.get(self.identity)
        try:
            merged = merge(live, applied, self.node)
            applied_fields = sets.recursive_difference(field_set(applied, self.node), self.hidden)
            time = last.time if last else None
            entries[self.identity] = Entry(
                self.entry.manager, "Apply", self.api_version, self.entry.subresource, time, applied_fields
            )
            if last is not None:
                merged = self._prune(merged, entries, last.fields)
            comparison = _without(compare(live, merged, self.node), self.hidden)
        except UnkeyedItem as error:
            raise _not_typed(applied, [str(error)]) from None
        changed = sets.union(comparison.modified, comparison.added)
        conflicts: list[tuple[Entry, tuple[str, ...]]] = []
        for identity in sorted(entries):
            entry = entries[identity]
            if identity == self.identity:
                continue
            taken = sets.intersection(entry.fields, changed)
            conflicts += [(entry, path) for path in sets.paths(taken)]
        if conflicts and not force:
            raise _Conflicts(conflicts)
        _give_up(entries, comparison, keep=self.identity)
        own = sets.difference(entries[self.identity].fields, _STRIPPED)
        if own:
            entries[self.identity] = entries[self.identity].with_fields(own)
        else:
            del entries[self.identity]
        return merged, entries

    def _prune(self, merged: Object, entries: Entries, last: FieldSet) -> Object:
        """Take out what this manager applied last time, no longer does, and nobody else owns."""
        node = self.node
        named_last = with_named_fields(last, node)
        owned: FieldSet = {}
        for entry in entries.values():
            owned = sets.union(owned, entry.fields)
        if not sets.difference(named_last, with_named_fields(entries[self.identity].fields, node)):
            return merged
        pruned: Object = remove(merged, named_last, node) or {}
        everything = with_named_fields(field_set(merged, node), node)
        kept = sets.union(with_named_fields(field_set(pruned, node), node), with_named_fields(owned, node))
        pruned = remove(merged, sets.difference(everything, kept), node) or {}
        gone = sets.difference(everything, with_named_fields(field_set(pruned, node), node))
        result: Object = remove(merged, sets.intersection(gone, named_last), node) or {}
        return result


def _record(
    entries: Entries,
    comparison: Comparison,
    manager: str,
    operation: str,
    api_version: str,
    subresource: str,
    stamp: str,
) -> None:
    """Move what changed to the manager of an update; nothing happens when nothing changed."""
    if comparison.same:
        return
    _give_up(entries, comparison, keep=None)
    own = sets.difference(sets.union(comparison.modified, comparison.added), _STRIPPED)
    if own:
        # The scale subresource's handler loses the time on its way back to the parent.
        time = None if subresource == "scale" else stamp
        fresh = Entry(manager or "unknown", operation, api_version, subresource, time, own)
        previous = entries.get(fresh.identity)
        if previous is not None:
            fresh = fresh.with_fields(sets.union(own, previous.fields))
        entries[fresh.identity] = fresh
    cap(entries)


def _give_up(entries: Entries, comparison: Comparison, *, keep: Identity | None) -> None:
    """Every other manager loses what was changed or removed; who owns nothing more is forgotten."""
    changed = sets.union(comparison.modified, comparison.added)
    for identity, entry in list(entries.items()):
        fields = entry.fields
        if identity != keep:
            fields = sets.difference(sets.difference(fields, changed), comparison.removed)
        if not fields:
            del entries[identity]
        elif fields is not entry.fields:
            entries[identity] = entry.with_fields(fields)


def _without(comparison: Comparison, hidden: FieldSet) -> Comparison:
    if not hidden:
        return comparison
    return Comparison(*(sets.recursive_difference(fields, hidden) for fields in comparison))


def _base(old: Object | None, new: Object, subresource: str) -> tuple[Entries, bool]:
    """(entries to start from, whether the object is tracked at all)."""
    live = (old or {}).get("metadata", {}).get("managedFields")
    asked = new.get("metadata", {}).get("managedFields")
    entries: Entries | None = None
    if not subresource and asked is not None:
        if not asked or asked == [{}]:
            entries = {}
        elif asked != live:
            try:
                entries = decode(asked, trusted=False) or None
            except (MalformedEntries, AttributeError):
                entries = None
    if entries is None:
        try:
            entries = decode(live, trusted=True)
        except MalformedEntries:
            entries = {}
    # An object that exists without a record stays without one until somebody applies to it.
    return entries, bool(entries) or old is None


def _finish(
    live: Object | None, merged: Object, base: Object, entries: Entries, identity: Identity, stamp: str
) -> Object:
    changed = live is None or merged != base
    if changed and identity in entries:
        entry = entries[identity]
        entries[identity] = Entry(
            entry.manager, entry.operation, entry.api_version, entry.subresource, stamp, entry.fields
        )
    result = {**merged, "metadata": dict(merged.get("metadata") or {})}
    if entries:
        result["metadata"]["managedFields"] = encode(entries)
    if live is not None:
        keep_timestamps(live, result)
    return result


def _bare(obj: Object) -> Object:
    """The object without its managedFields; shares everything else."""
    metadata = obj.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


def _is_custom(schema: Schema | None) -> bool:
    return schema is None or not schema.definition


@cache
def _empty_built_in(api_version: str, kind: str, schema: Schema) -> Object:
    obj: Object = {"apiVersion": api_version, "kind": kind}
    decode_object(obj, schema)
    return obj


def _empty(api_version: str, kind: str, schema: Schema | None) -> Object:
    """What a create is compared with: the zero value of the type; parts of it end up in the created object."""
    if schema is None or schema is FREE or not schema.definition:
        return {"apiVersion": api_version, "kind": kind}
    return clone(_empty_built_in(api_version, kind, schema))


def _client_side(live: Object, node: Schema, api_version: str) -> FieldSet | None:
    """The fields that client-side apply set and that still are as it set them; None when it never did."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return {}
    try:
        last = msgspec.json.decode(text)
    except UNREADABLE:
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != api_version or schema_errors(last, node):
        return {}
    changes = compare(last, live, node)
    fields = field_set(last, node)
    for changed in changes:
        fields = sets.difference(fields, changed)
    return fields


def _last_applied(applied: Object) -> str:
    metadata = dict(applied.get("metadata") or {})
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return msgspec.json.encode({**applied, "metadata": metadata}, order="sorted").decode() + "\n"


def _conflict_error(conflicts: list[tuple[Entry, tuple[str, ...]]]) -> ApiError:
    causes = [
        Cause(sets.text(path), "FieldManagerConflict", f"conflict with {entry.describe()}") for entry, path in conflicts
    ]
    if len(conflicts) == 1:
        entry, path = conflicts[0]
        message = f"Apply failed with 1 conflict: conflict with {entry.describe()}: {sets.text(path)}"
    else:
        lines: list[str] = []
        owner: Identity | None = None
        for entry, path in conflicts:
            if entry.identity != owner:
                owner = entry.identity
                lines.append(f"conflicts with {entry.describe()}:")
            lines.append(f"- {sets.text(path)}")
        listed = "\n".join(lines)
        message = f"Apply failed with {len(conflicts)} conflicts: {listed}"
    return ApiError(409, "Conflict", message, {"causes": [cause.to_dict() for cause in causes]})


def _not_typed(applied: Object, errors: list[str]) -> ApiError:
    metadata = applied.get("metadata") or {}
    where = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {_group_version_kind(applied)}"
    text = errors[0] if len(errors) == 1 else "\n  ".join(["errors:", *errors])
    return ApiError(500, "", f"failed to create typed patch object ({where}): {text}")


def _group_version_kind(obj: Object) -> str:
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    return f"{group}/{version}, Kind={obj.get('kind') or ''}"


def _stamp(now: str | datetime) -> str:
    if isinstance(now, str):
        return now
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
