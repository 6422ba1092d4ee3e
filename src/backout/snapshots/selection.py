# SPDX-License-Identifier: Apache-2.0
"""Which objects of a snapshot people mean: all, those of kinds, or single ones as kubectl writes them."""

from __future__ import annotations

from collections.abc import Sequence

from backout.errors import ObjectNotFound, UsageError
from backout.model.kinds import called, plain
from backout.model.snapshot import Entry, Snapshot


class Selection:
    """Of nothing at all, it is everything."""

    def __init__(self, names: Sequence[str] = (), kinds: Sequence[str] = ()) -> None:
        self._kinds = {plain(kind): kind for kind in kinds}
        self._names: dict[tuple[str, str], str] = {}
        for text in names:
            kind, slash, name = text.partition("/")
            if not slash or not kind or not name or "/" in name:
                raise UsageError("{text} is not an object.", text=text, expected="KIND/NAME, such as configmap/web")
            self._names[plain(kind), name] = text
        self._met: set[str] = set()

    def __call__(self, entry: Entry) -> bool:
        """True when an entry is meant."""
        if not self._names and not self._kinds:
            return True
        found = False
        for kind in called(entry.ref.api_version, entry.ref.kind, entry.plural):
            for text in (self._names.get((kind, entry.ref.name)), self._kinds.get(kind)):
                if text is not None:
                    self._met.add(text)
                    found = True
        return found

    def require_all(self, snapshot: Snapshot) -> None:
        """To be called when every entry was seen.

        Raises:
            ObjectNotFound: something that was named is not in the snapshot.
        """
        missing = [text for text in (*self._names.values(), *self._kinds.values()) if text not in self._met]
        if missing:
            raise ObjectNotFound(
                "Snapshot {id} does not hold {names}.",
                id=snapshot.short,
                names=", ".join(missing),
                hint="backout snapshot show {id} --objects",
            )
