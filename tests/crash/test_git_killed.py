# SPDX-License-Identifier: Apache-2.0
"""`backout run` and `backout undo` of an application are killed at each of their steps, then resumed: one commit, and the same end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "contract" / "mechanisms"))
sys.path.insert(0, str(Path(__file__).parent.parent / "unit" / "git"))

import git_servers
from argocd_player import answering, application, serve_applications, synced
from git_repositories import Put, content, put, repository, run, tip
from test_a2_killed import killed_at
from test_customs_killed import ended
from test_objects_killed import NS, World

from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.port import LEASES
from backout.engine.store.sqlite.runs import SqliteRunStore
from kubetwin import process

GOOD, BAD = "replicas: 3", "replicas: 5"
SETTINGS = "[user]\n\tname = Jane\n\temail = jane@example.org\n[credential]\n\thelper = "
HELPER = '"!echo username=jane; echo password=hunter@2; true"\n'


@pytest.fixture(scope="module")
def there() -> Iterator[Path]:
    """A repository behind a server, with an application in it."""
    with tempfile.TemporaryDirectory(prefix="backout-git-") as folder:
        files = {"overlays/a/kustomization.yaml": "resources: [q.yaml]\n", "overlays/a/q.yaml": GOOD}
        yield repository(Path(folder) / "ops.git", [Put("first", files)])


@pytest.fixture(scope="module")
def world(there: Path) -> Iterator[World]:
    """One embedded cluster with the application, and an Argo CD that syncs when it is asked."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            patch.delenv(name)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backout-git-")))
        (folder / ".gitconfig").write_text(SETTINGS + HELPER)
        url = stack.enter_context(git_servers.https(there, patch))
        twin = process.up(folder / "twin", ("cluster-01",), kubelet={"start_delay": 0.2})
        stack.callback(process.down, folder / "twin")
        found = World(twin.kubeconfig, {**os.environ, "HOME": str(folder)})

        async def build(cluster: KubernetesCluster) -> None:
            await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
            await serve_applications(cluster)
            await cluster.create(application("a", NS, url))
            await synced(cluster, NS, "a", tip(there))

        found.use(build)
        stack.enter_context(playing(found, there))
        yield found


@contextlib.contextmanager
def playing(world: World, there: Path) -> Iterator[None]:
    """Argo CD in a thread."""
    over = threading.Event()

    async def play() -> None:
        async with connect(str(world.kubeconfig), "cluster-01") as cluster, answering(cluster, NS, there, "a"):
            while not over.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.1)

    thread = threading.Thread(target=asyncio.run, args=(play(),))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def broken(world: World, there: Path, folder: Path) -> str:
    """A bad commit that is synced; the number of the commit before."""
    (folder / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 1}\n")
    if content(there, "overlays/a/q.yaml") != GOOD:
        put(there, [Put("mended", {"overlays/a/q.yaml": GOOD})])
    before = tip(there)
    put(there, [Put("bad", {"overlays/a/q.yaml": BAD})])
    world.use(lambda cluster: synced(cluster, NS, "a", tip(there), "Degraded"))
    return before


def left(world: World) -> list[str]:
    async def look(cluster: KubernetesCluster) -> list[str]:
        return [lease["metadata"]["name"] for lease in await cluster.list_all(LEASES, NS)]

    return world.use(look)


@pytest.mark.parametrize(
    ("kind", "step"), [("step-started", "push"), ("step-done", "push"), ("step-started", "sync"), ("step-done", "sync")]
)
def test_killed_then_resumed(world: World, there: Path, tmp_path: Path, kind: str, step: str) -> None:
    good = broken(world, there, tmp_path)
    commits = int(run(there, "rev-list", "--count", "main"))

    running = world.backout(tmp_path, "run", "app/a", "--to", good, "--yes")
    found = killed_at(tmp_path, running, kind, step)
    ended(world, tmp_path, found, running.returncode)

    assert content(there, "overlays/a/q.yaml") == GOOD
    # It was pushed once, however often the run began anew.
    assert int(run(there, "rev-list", "--count", "main")) == commits + 1
    assert f"Backout-Run: {found}/push" in run(there, "log", "-1", "--format=%B", "main")
    assert left(world) == []


def test_an_undo_that_is_killed(world: World, there: Path, tmp_path: Path) -> None:
    good = broken(world, there, tmp_path)
    world.told(tmp_path, "run", "app/a", "--to", good, "--yes")
    commits = int(run(there, "rev-list", "--count", "main"))
    with SqliteRunStore(tmp_path / "state.db", create=False) as store:
        done = store.summaries(1)[0].id

    running = world.backout(tmp_path, "undo", done, "--yes")
    undo = killed_at(tmp_path, running, "step-started", "undo-push")
    ended(world, tmp_path, undo, running.returncode)

    assert content(there, "overlays/a/q.yaml") == BAD
    assert int(run(there, "rev-list", "--count", "main")) == commits + 1
    assert left(world) == []
