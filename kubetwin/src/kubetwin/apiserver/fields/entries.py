# SPDX-License-Identifier: Apache-2.0
"""``metadata.managedFields``: its entries read, capped, ordered and written.

Source: apimachinery's pkg/util/managedfields/internal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from kubetwin.apiserver.fields import sets
from kubetwin.apiserver.fields.sets import FieldSet

#: More entries of updates than this are merged, the oldest first, into ``ancient-changes``.
MAX_UPDATE_MANAGERS = 10
_ANCIENT = "ancient-changes"

#: (manager, operation, apiVersion, subresource); appliers are told apart without their version.
Identity = tuple[str, str, str, str]


class MalformedEntries(ValueError):
    """A list that is no valid ``managedFields``."""


@dataclass(slots=True, frozen=True)
class Entry:
    """What one manager owns."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str | None
    fields: FieldSet
    raw: dict[str, Any] | None = None
    """The entry as it was read, while it still says the same."""

    @property
    def identity(self) -> Identity:
        """What makes it the same entry the next time."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.manager, self.operation, version, self.subresource)

    @property
    def applied(self) -> bool:
        """It came from a server-side apply."""
        return self.operation == "Apply"

    def with_fields(self, fields: FieldSet) -> Entry:
        """The same manager, owning something else."""
        return replace(self, fields=fields, raw=None)

    def describe(self) -> str:
        """As a conflict names it: ``"kubectl-client-side-apply" using apps/v1``."""
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return text if self.applied else f"{text} using {self.api_version}"


Entries = dict[Identity, Entry]


def decode(raw: Any, *, trusted: bool) -> Entries:
    """The entries of a list; ``trusted``: it is the server's own and in canonical form. Raises MalformedEntries."""
    out: Entries = {}
    for index, item in enumerate(raw or ()):
        operation = item.get("operation")
        if operation not in ("Apply", "Update"):
            raise MalformedEntries("operation must be `Apply` or `Update`")
        if not item.get("apiVersion"):
            raise MalformedEntries("apiVersion must not be empty")
        fields_type = item.get("fieldsType", "")
        if fields_type != "FieldsV1":
            problem = f'invalid fieldsType "{fields_type}"' if fields_type else "missing fieldsType"
            raise MalformedEntries(f"{problem} in managed fields entry {index}")
        fields = item.get("fieldsV1") or {}
        if not trusted:
            try:
                fields = sets.decode(fields)
            except sets.MalformedSet as error:
                raise MalformedEntries(f"error decoding set: {error}") from None
        entry = Entry(
            item.get("manager", ""),
            operation,
            item["apiVersion"],
            item.get("subresource", ""),
            item.get("time"),
            fields,
            item if trusted else None,
        )
        out[entry.identity] = entry
    return out


def encode(entries: Entries) -> list[dict[str, Any]]:
    """The list as stored: appliers first, then by time, manager, version and subresource."""
    ordered = sorted(
        entries.values(), key=lambda e: (e.operation, e.time or "", e.manager, e.api_version, e.subresource)
    )
    out = []
    for entry in ordered:
        if entry.raw is not None:
            out.append(entry.raw)
            continue
        item: dict[str, Any] = {"manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version}
        if entry.time is not None:
            item["time"] = entry.time
        item["fieldsType"] = "FieldsV1"
        item["fieldsV1"] = sets.encode(entry.fields)
        if entry.subresource:
            item["subresource"] = entry.subresource
        out.append(item)
    return out


def cap(entries: Entries) -> None:
    """Merge the oldest entries of updates, version by version, until there are few enough."""
    updaters = [entry for entry in entries.values() if not entry.applied]
    excess = len(updaters) - MAX_UPDATE_MANAGERS
    if excess <= 0:
        return
    updaters.sort(key=lambda e: (e.time or "", e.identity))
    first: dict[str, Identity] = {}
    for entry in updaters:
        if excess <= 0:
            return
        version = entry.api_version
        if version not in first:
            first[version] = entry.identity
            continue
        bucket: Identity = (_ANCIENT, "Update", version, "")
        if bucket not in entries:
            oldest = entries.pop(first[version])
            entries[bucket] = Entry(_ANCIENT, "Update", version, "", oldest.time, oldest.fields)
        merged = sets.union(entry.fields, entries[bucket].fields)
        entries[bucket] = Entry(_ANCIENT, "Update", version, "", entry.time, merged)
        if entry.identity != bucket:
            del entries[entry.identity]
        excess -= 1
