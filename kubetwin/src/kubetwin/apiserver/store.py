# SPDX-License-Identifier: Apache-2.0
"""Objects, versions and history: what etcd and the watch cache are to a real API server.

One counter numbers every write of the cluster. Each collection keeps its objects, a bounded history of changes (for
watches and for reads at an older version) and its watchers. An :class:`Entry` is immutable: writers put a new one.
"""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from kubetwin.apiserver import status
from kubetwin.decoding import UNREADABLE

Object = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Entry:
    """One version of one object. ``obj`` must not be changed; :meth:`copy` gives a copy to work on."""

    __slots__ = ("_tail", "key", "obj", "version")

    def __init__(self, key: str, obj: Object, version: int) -> None:
        self.key = key
        self.obj = obj
        self.version = version
        self._tail: bytes | None = None

    @property
    def tail(self) -> bytes:
        """The object as JSON without its opening brace, kind and apiVersion: encoded once, joined into every answer."""
        if self._tail is None:
            self._tail = encode_tail(self.obj)
        return self._tail

    def copy(self) -> Object:
        obj: Object = {"kind": self.obj["kind"], "apiVersion": self.obj["apiVersion"]}
        obj.update(_decode(b"{" + self.tail))
        return obj


def encode_tail(obj: Object) -> bytes:
    """JSON of ``obj`` without the opening brace, ``kind`` and ``apiVersion``."""
    return _escaped(_encode({k: v for k, v in obj.items() if k != "kind" and k != "apiVersion"})[1:])


# Go's encoder writes these escaped (they stand in strings only); clients compare raw parts of objects byte by byte, as
# `kubectl rollout undo` does with the data of a ControllerRevision.
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def _escaped(text: bytes) -> bytes:
    for plain, escape in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escape)
    return text


def head(kind: str, api_version: str) -> bytes:
    """The JSON that goes before a tail for an object of this kind."""
    return b'{"kind":"' + kind.encode() + b'","apiVersion":"' + api_version.encode() + b'",'


class Change:
    """One write: ``kind`` is ADDED, MODIFIED or DELETED; a deletion carries the last state under the new version."""

    __slots__ = ("encoded", "entry", "kind", "previous", "version")

    def __init__(self, kind: str, entry: Entry, previous: Entry | None, version: int) -> None:
        self.kind = kind
        self.entry = entry
        self.previous = previous
        self.version = version
        self.encoded: dict[object, bytes] = {}


def object_key(namespace: str, name: str) -> str:
    """The key of an object in its collection; keys sort as etcd's do."""
    return f"{namespace}/{name}" if namespace else name


class Collection:
    """All objects of one stored resource."""

    def __init__(self, store: Store, floor: int) -> None:
        self._store = store
        self.entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self.history: deque[Change] = deque()
        self.floor = floor
        """Reads and watches at versions below this one are no longer possible."""
        self.watchers: set[Callable[[Change], None]] = set()

    def get(self, namespace: str, name: str) -> Entry | None:
        return self.entries.get(object_key(namespace, name))

    def scan(self, namespace: str = "") -> Iterator[Entry]:
        """The objects of a namespace (or all), in key order."""
        if not namespace:
            return map(self.entries.__getitem__, self._keys)
        first, last = bisect_left(self._keys, namespace + "/"), bisect_left(self._keys, namespace + "0")
        return map(self.entries.__getitem__, self._keys[first:last])

    def at(self, version: int, namespace: str = "") -> list[Entry]:
        """The objects as they were at ``version``.

        Raises ApiError 410 when that version is below :attr:`floor`.
        """
        if version < self.floor:
            raise status.expired("The resourceVersion for the provided list is too old.")
        prefix = namespace + "/" if namespace else ""
        later = [change for change in self.since(version) if change.entry.key.startswith(prefix)]
        if not later:
            return list(self.scan(namespace))
        state = {entry.key: entry for entry in self.scan(namespace)}
        for change in reversed(later):
            if change.previous is None:
                state.pop(change.entry.key, None)
            else:
                state[change.entry.key] = change.previous
        return [state[key] for key in sorted(state)]

    def since(self, version: int) -> list[Change]:
        """The changes after ``version``, oldest first; raises ApiError 410 when some are no longer known."""
        if version < self.floor:
            raise status.too_old(version, self.floor)
        found: list[Change] = []
        for change in reversed(self.history):
            if change.version <= version:
                break
            found.append(change)
        found.reverse()
        return found

    def put(self, key: str, obj: Object) -> Entry:
        """Create or replace; takes ownership of ``obj`` and sets its resourceVersion."""
        version = self._store.next_version()
        obj["metadata"]["resourceVersion"] = str(version)
        entry = Entry(key, obj, version)
        previous = self.entries.get(key)
        if previous is None:
            insort(self._keys, key)
        self.entries[key] = entry
        self._publish(Change("ADDED" if previous is None else "MODIFIED", entry, previous, version))
        return entry

    def remove(self, key: str, last: Object | None = None) -> Entry:
        """Remove; returns the last state (``last`` if given) under the version of the removal."""
        previous = self.entries.pop(key)
        del self._keys[bisect_left(self._keys, key)]
        version = self._store.next_version()
        obj = dict(last if last is not None else previous.obj)
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(version)}
        entry = Entry(key, obj, version)
        self._publish(Change("DELETED", entry, previous, version))
        return entry

    def _publish(self, change: Change) -> None:
        self.history.append(change)
        if len(self.history) > self._store.history_limit:
            self.floor = self.history.popleft().version
        self._store.deliver(self, change)

    def compact(self) -> None:
        self.history.clear()
        self.floor = self._store.version

    def load(self, entries: Iterable[Entry]) -> None:
        """Replace the objects without telling the watchers."""
        self.entries = {entry.key: entry for entry in entries}
        self._keys = sorted(self.entries)


class Store:
    """The state of one cluster; ``history_limit`` is the number of changes remembered for each resource."""

    def __init__(self, history_limit: int = 4096) -> None:
        self.version = 1
        self.history_limit = history_limit
        self._floor = 0
        self._undelivered: deque[tuple[Collection, Change]] = deque()
        self._delivering = False
        self.collections: dict[tuple[str, str], Collection] = {}

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def collection(self, storage_key: tuple[str, str]) -> Collection:
        found = self.collections.get(storage_key)
        if found is None:
            found = self.collections[storage_key] = Collection(self, self._floor)
        return found

    def deliver(self, collection: Collection, change: Change) -> None:
        """Tell the watchers, in the order of the writes even when a watcher itself writes."""
        self._undelivered.append((collection, change))
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                source, item = self._undelivered.popleft()
                for watcher in tuple(source.watchers):
                    watcher(item)
        finally:
            self._delivering = False

    def compact(self) -> None:
        """Forget all history: reads and watches at older versions answer 410 from now on."""
        self._floor = self.version
        for collection in self.collections.values():
            collection.compact()

    def dump(self) -> bytes:
        """Everything needed to :meth:`load` the same state again."""
        parts: list[bytes] = []
        for (group, resource), collection in sorted(self.collections.items()):
            name = _encode([group, resource])
            for entry in collection.scan():
                parts.append(name + b"\t" + head(entry.obj["kind"], entry.obj["apiVersion"]) + entry.tail)
        return b'{"format":1,"resourceVersion":%d}\n' % self.version + b"\n".join(parts)

    def load(self, data: bytes) -> None:
        """Replace the state by a dump; raises ValueError for data that is not one."""
        try:
            first, *lines = data.split(b"\n")
            header = _decode(first)
            if header["format"] != 1:
                raise ValueError(f"unknown format {header['format']} of the saved cluster state")
            version = int(header["resourceVersion"])
            loaded: dict[tuple[str, str], list[Entry]] = {}
            for line in filter(None, lines):
                name, _, body = line.partition(b"\t")
                group, resource = _decode(name)
                obj = _decode(body)
                meta = obj["metadata"]
                key = object_key(meta.get("namespace", ""), meta["name"])
                loaded.setdefault((group, resource), []).append(Entry(key, obj, int(meta["resourceVersion"])))
        except (KeyError, TypeError, *UNREADABLE) as error:
            raise ValueError(f"not a saved cluster state: {error}") from error
        self.version = version
        self._floor = version
        for storage_key in loaded.keys() | self.collections.keys():
            collection = self.collection(storage_key)
            collection.load(loaded.get(storage_key, ()))
            collection.compact()

    def save(self, path: Path) -> None:
        """Write the state to ``path``, whole or not at all, readable by the owner only."""
        data = self.dump()
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
