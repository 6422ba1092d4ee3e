# SPDX-License-Identifier: Apache-2.0
"""What source-controller has stored: for each source the files of its last revision, until there is a newer one.

Facts: source-controller internal/controller/storage.go, api/v1 artifact. They are handed over in the process; the URL in a
status names where they would be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubetwin.client import Obj
from kubetwin.gitops.programs import Programs
from kubetwin.meta import stamp

Changed = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files of a source at one revision; the folder is shared and must not be written to."""

    revision: str
    folder: Path


class Artifacts:
    """The artifacts of one cluster, by kind and ``namespace/name`` of their source."""

    def __init__(self, directory: Path, programs: Programs) -> None:
        self.directory = directory
        self.programs = programs
        self._stored: dict[tuple[str, str], Artifact] = {}
        self._handlers: list[Changed] = []

    def on_change(self, changed: Changed) -> None:
        """Call ``changed`` with kind and key of a source that has a new artifact."""
        self._handlers.append(changed)

    def get(self, kind: str, key: str) -> Artifact | None:
        return self._stored.get((kind, key))

    def store(self, kind: str, key: str, artifact: Artifact, status: Obj) -> None:
        """Keeps it, and says so in the status of its source."""
        known = self._stored.get((kind, key))
        if known is None or known.revision != artifact.revision or not status.get("artifact"):
            digest = _digest(artifact.folder)
            path = f"{kind.lower()}/{key}/{digest[:12]}.tar.gz"
            status["artifact"] = {
                "digest": f"sha256:{digest}",
                "lastUpdateTime": stamp(),
                "path": path,
                "revision": artifact.revision,
                "size": sum(each.stat().st_size for each in artifact.folder.rglob("*") if each.is_file()),
                "url": f"http://source-controller.flux-system.svc.cluster.local./{path}",
            }
        self._stored[kind, key] = artifact

    def announce(self, kind: str, key: str) -> None:
        """Tells whoever uses that source; called once its status says the same."""
        for changed in self._handlers:
            changed(kind, key)

    def drop(self, kind: str, key: str) -> None:
        self._stored.pop((kind, key), None)


def _digest(folder: Path) -> str:
    """One number for names and contents of all files."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
