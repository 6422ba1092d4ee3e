# SPDX-License-Identifier: Apache-2.0
"""Where a scenario is played: embedded clusters that end with it, or a cluster of the user's."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backout.lab.embedded import twin_errors

if TYPE_CHECKING:
    from backout.lab.player import Stage

STACK_NAMESPACE = "monitoring"
QUICK_KUBELET = {
    "start_delay": 0.3,
    "backoff_initial": 1.0,
    "backoff_max": 5.0,
    "volume_sync": 1.0,
    "traffic_interval": 1.0,
    "object_storage_interval": 1.0,
    "initial_sync_timeout": 3.0,
}
"""Seconds. A real kubelet waits 10 s to 5 min between restarts; a rehearsal need not."""


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace of a cluster.

    ``own``: the cluster is the user's, so everything made there is removed again. ``quiet``: snapshots and state are
    those of the rehearsal and go with it, so nobody need hear of their key.
    """

    kubeconfig: str
    context: str
    namespace: str
    own: bool
    quiet: bool = False


@contextmanager
def embedded_place(stage: Stage, *, clusters: int, keep: bool) -> Iterator[Place]:
    """The second of several embedded clusters: one of several breaks, as it happens.

    Raises:
        BackoutError: they don't come up.
    """
    with embedded_places(stage, clusters=clusters, keep=keep) as places:
        yield places[min(1, len(places) - 1)]


@contextmanager
def embedded_places(stage: Stage, *, clusters: int, keep: bool) -> Iterator[list[Place]]:
    """Embedded clusters, which end with the rehearsal unless they are kept.

    Raises:
        BackoutError: they don't come up.
    """
    with twin_errors():
        from kubetwin import process

    directory = Path(tempfile.mkdtemp(prefix="backout-demo-"))
    began = time.monotonic()
    with twin_errors():
        twin = process.up(directory, process.cluster_names(clusters), kubelet=QUICK_KUBELET)
    stage.note(
        "{count} embedded clusters are up after {seconds} s: {names}",
        count=clusters,
        seconds=f"{time.monotonic() - began:.1f}",
        names=", ".join(twin.clusters),
    )
    try:
        with _own_state(directory, keep=keep):
            if not keep:
                stage.note("Snapshots go into a repository of this rehearsal, which is removed with it.")
            yield [
                Place(str(twin.kubeconfig), name, STACK_NAMESPACE, own=False, quiet=not keep) for name in twin.clusters
            ]
    finally:
        if keep:
            stage.note("Left up: export KUBECONFIG={file}", file=str(twin.kubeconfig))
            stage.note("End them with: backout twin down --directory {directory}", directory=str(directory))
        else:
            process.down(directory)
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _own_state(directory: Path, *, keep: bool) -> Iterator[None]:
    """A rehearsal leaves nothing in the user's own state and captures; kept clusters keep theirs."""
    places = {
        "BACKOUT_STATE": directory / "state.db",
        "BACKOUT_DATA": directory / "data",
        "KUBECACHEDIR": directory / "cache",
        "XDG_STATE_HOME": directory / "state",
    }
    before = {name: os.environ.get(name) for name in places}
    if not keep:
        os.environ.update({name: str(path) for name, path in places.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
