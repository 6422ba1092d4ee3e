# SPDX-License-Identifier: Apache-2.0
"""What one node knows of the ConfigMaps and Secrets that its pods refer to.

As in the kubelet (pkg/kubelet/util/manager/watch_based_manager.go): an object is followed while a pod of the node
refers to it; an immutable one is no longer followed once it was read. If it is then deleted and made anew, pods of this
node get the *old* content, even new pods, until no pod of the node refers to it any more.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubetwin.client import Obj
from kubetwin.kubelet.references import Lookup

Key = tuple[str, str, str]
"""(ConfigMap or Secret, namespace, name)."""


class ObjectCache:
    """One node's. ``source`` answers with what the API server holds now."""

    def __init__(self, source: Lookup) -> None:
        self._source = source
        self._readers: dict[Key, set[str]] = {}
        self._pinned: dict[Key, Obj] = {}

    def register(self, pod: str, keys: Iterable[Key]) -> None:
        """A pod (``namespace/name``) came to this node."""
        for key in keys:
            self._readers.setdefault(key, set()).add(pod)

    def unregister(self, pod: str, keys: Iterable[Key]) -> None:
        """It is gone."""
        for key in keys:
            readers = self._readers.get(key)
            if readers is None:
                continue
            readers.discard(pod)
            if not readers:
                del self._readers[key]
                self._pinned.pop(key, None)

    def readers(self, key: Key) -> tuple[str, ...]:
        """The pods that refer to an object."""
        return tuple(self._readers.get(key, ()))

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        """The object as pods of this node see it."""
        key = (kind, namespace, name)
        pinned = self._pinned.get(key)
        if pinned is not None:
            return pinned
        found = self._source(kind, namespace, name)
        if found is not None and found.get("immutable") and key in self._readers:
            self._pinned[key] = found
        return found
