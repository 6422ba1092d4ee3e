# SPDX-License-Identifier: Apache-2.0
"""Who wrote which fields of an object, in the paths that differences are told in. Pure.

A field belongs to whoever set it last; one that was removed belongs to nobody, so the writer nearest in time is asked
(kubernetes.io/docs/reference/using-api/server-side-apply: field ownership; times are whole seconds).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.writers import By, Entry, kind_of
from backout.kube.diff import render

_ENTRIES = list[Entry]


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """One writer of an object, the time of its last change, and the fields that are its own."""

    manager: str
    at: datetime
    by: By
    paths: frozenset[str]

    def owns(self, path: str) -> bool:
        """True for a field of its own, for one inside of it, and for one that holds some of its own."""
        return path in self.paths or any(_inside(path, mine) or _inside(mine, path) for mine in self.paths)


def authors(obj: dict[str, Any]) -> tuple[Author, ...]:
    """All who wrote ``obj`` (as the API gives it) otherwise than its status, the last one first."""
    entries = msgspec.convert(
        [
            {**entry, "fieldsV1": msgspec.Raw(msgspec.json.encode(entry.get("fieldsV1") or {}))}
            for entry in (obj.get("metadata") or {}).get("managedFields") or ()
        ],
        _ENTRIES,
    )
    return of_entries(entries)


def of_entries(entries: Iterable[Entry]) -> tuple[Author, ...]:
    """The same of decoded entries."""
    found = [
        Author(manager=e.manager, at=e.time, by=kind_of(e.manager), paths=frozenset(_paths(e.fields, ())))
        for e in entries
        if e.time is not None and e.subresource != "status"
    ]
    # Of two in one second, a person's write came after the program's that made the object.
    return tuple(sorted(found, key=lambda author: (author.at, author.by == "other"), reverse=True))


def author_of(found: Iterable[Author], path: str, around: datetime | None = None) -> Author | None:
    """Who set the field last; where nobody owns it any more, the writer nearest to ``around``, controllers left out."""
    people = [author for author in found if author.by != "cluster"]
    owning = [author for author in people if author.owns(path)]
    if owning:
        return owning[0]
    if around is None or not people:
        return people[0] if people else None
    return min(people, key=lambda author: (abs((author.at - around).total_seconds()), author.by != "other"))


def _inside(path: str, outer: str) -> bool:
    return path.startswith(outer) and path[len(outer) : len(outer) + 1] in (".", "[")


def _paths(node: Any, path: tuple[Any, ...]) -> Iterator[str]:
    for step, inner in node.items() if isinstance(node, dict) else ():
        if step == ".":
            continue
        here = (*path, _step(step))
        if isinstance(inner, dict) and any(key != "." for key in inner):
            yield from _paths(inner, here)
        else:
            yield render(here)


def _step(step: str) -> Any:
    kind, _, rest = step.partition(":")
    if kind == "f":
        return rest
    if kind == "k":
        try:
            keys = json.loads(rest)
        except ValueError:
            return ("list", rest)
        # Ports are told apart by number and protocol, which is TCP where it is not said.
        return ("list", tuple((n, v) for n, v in keys.items() if (n, v) != ("protocol", "TCP")))
    return ("list", rest.strip('"'))


def written_at(live: dict[str, Any]) -> datetime | None:
    """When somebody last wrote the object, by the server's clock: whole seconds."""
    times = [entry.get("time") for entry in live["metadata"].get("managedFields") or () if not entry.get("subresource")]
    newest = max((time for time in times if time), default=live["metadata"].get("creationTimestamp"))
    return msgspec.convert(newest, datetime) if newest else None
