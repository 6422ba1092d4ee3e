# SPDX-License-Identifier: Apache-2.0
"""Starts, finds and ends embedded clusters. Their process outlives the command that started it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetwin.errors import RefusedError, TimedOut, TwinError, TwinNotFound

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Twin:
    """Running embedded clusters: their directory, process and kubeconfig."""

    directory: Path
    pid: int
    clusters: tuple[str, ...]
    keep: bool
    ingress: dict[str, int] = field(default_factory=dict)
    """Cluster → the loopback port where its Ingresses are served over HTTP."""
    argocd: dict[str, str] = field(default_factory=dict)
    """Cluster → the URL of its Argo CD; a token of its admin is in :meth:`argocd_token`."""

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig with one context a cluster."""
        return self.directory / "kubeconfig"

    def argocd_token(self, cluster: str) -> Path:
        """The file with a token for the Argo CD of a cluster, readable by its owner only."""
        return self.directory / f"{cluster}.argocd-token"


def default_directory() -> Path:
    """``$BACKOUT_TWIN_DIR``, else ``~/.local/state/backout/twin``."""
    given = os.environ.get("BACKOUT_TWIN_DIR")
    return Path(given) if given else Path.home() / ".local" / "state" / "backout" / "twin"


def cluster_names(count: int) -> tuple[str, ...]:
    """``cluster-01``, ``cluster-02``, …"""
    return tuple(f"cluster-{number:02d}" for number in range(1, count + 1))


def up(
    directory: Path,
    clusters: tuple[str, ...],
    *,
    keep: bool = False,
    kubelet: dict[str, Any] | None = None,
    gitops: tuple[str, ...] = (),
    programs: dict[str, str] | None = None,
) -> Twin:
    """Starts the clusters, and returns when they answer.

    ``keep``: the state is saved when they go down, and is there again the next time. ``kubelet``: fields of
    KubeletSettings. ``gitops``: ``argocd``, ``flux``, both or neither; ``programs``: the paths of git, helm and kubectl,
    which they call.

    Raises:
        RefusedError: clusters of this directory are up already.
        TimedOut: they did not answer in time.
        TwinError: the process ended; its last words are in the message.
    """
    if find(directory) is not None:
        raise RefusedError(
            "Embedded clusters are up already in {directory}.",
            directory=str(directory),
            hint="`backout twin status` shows them, `backout twin down` ends them.",
        )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    spec: dict[str, Any] = {"clusters": list(clusters), "keep": keep, "kubelet": kubelet or {}}
    if gitops:
        spec["gitops"] = {"tools": list(gitops), "programs": programs or {}}
    (directory / "spec.json").write_text(json.dumps(spec))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kubetwin.daemon", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    _wait_ready(process, directory)
    return Twin(directory, process.pid, clusters, keep, _told(directory, "ingress"), _told(directory, "argocd"))


def _told(directory: Path, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / f"{what}.json").read_text())
    return found


def _wait_ready(process: subprocess.Popen[bytes], directory: Path) -> None:
    import selectors

    assert process.stdout is not None
    with selectors.DefaultSelector() as selector, process.stdout as out:
        selector.register(out, selectors.EVENT_READ)
        answered = selector.select(START_TIMEOUT)
        line = out.readline() if answered else b""
    if line == b"ready\n":
        return
    if answered:
        process.wait()
        last = (directory / "log").read_text(errors="replace").strip().splitlines()[-1:]
        raise TwinError(
            "The embedded clusters did not start: {reason}",
            reason="".join(last) or "no reason given",
            hint="The whole log: {log}",
            log=str(directory / "log"),
        )
    process.terminate()
    raise TimedOut(
        "The embedded clusters did not answer within {seconds} s.",
        seconds=int(START_TIMEOUT),
        hint="Their log: {log}",
        log=str(directory / "log"),
    )


def find(directory: Path) -> Twin | None:
    """The clusters that are up in ``directory``, if any."""
    try:
        pid = int((directory / "pid").read_text())
        spec = json.loads((directory / "spec.json").read_text())
        ports, argocd = _told(directory, "ingress"), _told(directory, "argocd")
    except (OSError, ValueError):
        return None
    twin = Twin(directory, pid, tuple(spec["clusters"]), bool(spec["keep"]), ports, argocd)
    return twin if _locked(directory) else None


def _locked(directory: Path) -> bool:
    """True while the process lives: the kernel drops its lock with it, whatever became of the pid."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def get(directory: Path) -> Twin:
    """The clusters that are up.

    Raises:
        TwinNotFound: none are.
    """
    twin = find(directory)
    if twin is None:
        raise TwinNotFound(
            "No embedded clusters are up in {directory}.",
            directory=str(directory),
            hint="Start some with: backout twin up",
        )
    return twin


def down(directory: Path) -> None:
    """Ends the clusters; their files go too, unless they were started to be kept.

    Raises:
        TwinNotFound: none are up.
        TimedOut: the process does not end.
    """
    twin = get(directory)
    os.kill(twin.pid, signal.SIGTERM)
    _wait_gone(twin)
    for name in ("pid", "lock", "kubeconfig", "ingress.json", "argocd.json"):
        (directory / name).unlink(missing_ok=True)
    if not twin.keep:
        shutil.rmtree(directory)


def _wait_gone(twin: Twin) -> None:
    """Until the kernel drops the lock that the process holds; looked at often, since no portable call waits for it."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while _locked(twin.directory):
        if time.monotonic() > deadline:
            raise TimedOut(
                "The embedded clusters (process {pid}) do not end.",
                pid=twin.pid,
                log=str(twin.directory / "log"),
                hint="Look at {log}; end them with: kill -9 {pid}",
            )
        time.sleep(0.02)
    with _reaping():
        os.waitpid(twin.pid, 0)


def _reaping() -> Any:
    """Only the process that started the clusters is their parent; to others waitpid is an error that means nothing."""
    import contextlib

    return contextlib.suppress(ChildProcessError)
