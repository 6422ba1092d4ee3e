# SPDX-License-Identifier: Apache-2.0
"""The revisions of an application: the commits of its branch that touch what it is made of, and how good each was."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied, NoGoodRevision, ObjectNotFound
from backout.git.history import Commit, History, read_history
from backout.git.inputs import Application, Inputs, Reach, read_reach
from backout.git.mirror import Mirror
from backout.git.resolve import is_ancestor
from backout.git.tree import read_tree
from backout.git.words import below, short, shown
from backout.mechanisms.git.params import API_VERSION, KIND, Wanted, state_digest
from backout.mechanisms.git.place import Place, place, synced
from backout.model.giturl import place_of
from backout.model.message import Message, msg
from backout.model.plaintext import one_line
from backout.model.revision import Goodness, Revision
from backout.model.snapshot import Snapshot
from backout.model.target import Target
from backout.ownership.sources import of_argocd
from backout.snapshots import source

FILES = 500
"""That are compared at most."""
MOST = 50
"""Revisions that are told of, the newest."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An application, its repository and its past, as read at one time."""

    app: Object
    resource: Resource
    place: Place
    history: History
    commits: tuple[Commit, ...]
    """Those of the branch itself that touch what the application is made of, oldest first; numbered from ``first``."""
    first: int
    digests: tuple[str, ...]
    inputs: Inputs
    reach: Reach
    others_read: bool
    """Whether every application of the cluster could be listed."""
    tags: dict[str, tuple[str, ...]] = {}
    vouching: dict[str, Snapshot] = {}
    """Commit → a good snapshot that was taken while the branch was there."""
    present: Wanted
    """The files that it is made of, as the branch has them."""
    at: str = ""
    """The commit that the application is at."""
    settled: bool = True

    def find(self, revision: Revision) -> int | None:
        """Where a revision is in ``commits``."""
        return next((n for n, one in enumerate(self.commits) if one.sha == revision.names[0]), None)


async def resource_of(reader: ClusterReader, target: Target) -> Resource:
    """How the cluster serves applications.

    Raises:
        ObjectNotFound: it does not.
    """
    try:
        return await reader.resource(API_VERSION, KIND)
    except ObjectNotFound as error:
        raise ObjectNotFound(
            "There is no Argo CD in this cluster: it does not serve applications.",
            target=str(target),
            hint="Name the cluster that Argo CD runs in with --context.",
        ) from error


async def read(reader: ClusterReader, target: Target) -> tuple[Mirror, Seen]:
    """Reads all of it once.

    Raises:
        ObjectNotFound: no such application.
        RefusedError: a commit would not reach it; says why.
        BackoutError: the repository can't be read.
    """
    resource = await resource_of(reader, target)
    app = await reader.get(resource, target.name, target.namespace)
    app = {**app, "apiVersion": API_VERSION, "kind": KIND}
    mirror, there = await place(target, app)
    history = await read_history(mirror, there.branch)
    applications, whole = await _applications(reader, resource, app, target)
    reach = await read_reach(mirror, history.head, applications, branch=there.branch, default=there.default)
    mine = next(one for one in reach.every if one.application == applications[0])
    touching = [one for one in history.touching(mine.files, mine.folders) if one.mainline][::-1]
    commits = touching[-MOST:]
    at = synced(app, there.index)
    return mirror, Seen(
        app=app,
        resource=resource,
        place=there,
        history=history,
        commits=tuple(commits),
        first=len(touching) - len(commits) + 1,
        digests=await _digests(mirror, commits, mine),
        inputs=mine,
        reach=reach,
        others_read=whole,
        tags=await _tags(mirror),
        vouching=await _vouching(reader, app, there),
        present=await _present(mirror, history.head, mine),
        at=at,
        settled=bool(commits) and bool(at) and await is_ancestor(mirror, commits[-1].sha, at),
    )


async def _present(mirror: Mirror, head: str, mine: Inputs) -> Wanted:
    """The files themselves; those in its folders are many, and any of them may matter."""
    tree = await read_tree(mirror, head)
    paths = [path for path in tree.entries if path in mine.files or below(path, mine.folders)]
    paths = sorted(path for path in paths if shown(path) == path)[:FILES]
    return Wanted(
        paths=tuple(paths), digest=state_digest([(p, tree.entries[p].mode, tree.entries[p].oid) for p in paths])
    )


async def _applications(
    reader: ClusterReader, resource: Resource, app: Object, target: Target
) -> tuple[list[Application], bool]:
    """The target's first; and whether all others could be listed."""
    whole = True
    try:
        every = await reader.list_all(resource)
    except AccessDenied:
        whole = False
        every = await reader.list_all(resource, target.namespace)
    others = [one for one in every if one["metadata"].get("uid") != app["metadata"].get("uid")]
    return [of_argocd(one, target.cluster) for one in (app, *others)], whole


async def _digests(mirror: Mirror, commits: Sequence[Commit], mine: Inputs) -> tuple[str, ...]:
    """What each commit has of all that the application is made of: two with the same are one state."""
    roots = sorted(path for path in mine.files | mine.folders if "\n" not in path)
    wanted = [f"{one.sha}:{path}" for one in commits for path in roots]
    if not wanted:
        return tuple(one.sha for one in commits)
    answer = await mirror.git(
        "cat-file",
        "--batch-check=%(objectname)",
        stdin="\n".join(wanted).encode("utf-8", "surrogateescape") + b"\n",
        output=64 * 1024 * 1024,
    )
    lines = ["" if line.endswith(" missing") else line for line in answer.stdout.splitlines()]
    count = len(roots)
    every = ["\n".join(lines[at * count : (at + 1) * count]) for at in range(len(commits))]
    return tuple(hashlib.sha256(one.encode("utf-8", "surrogateescape")).hexdigest() for one in every)


async def _tags(mirror: Mirror) -> dict[str, tuple[str, ...]]:
    """Commit → its tags."""
    form = "%(objectname) %(*objectname) %(refname:lstrip=2)"
    answer = await mirror.git("for-each-ref", f"--format={form}", "refs/tags/")
    found: dict[str, tuple[str, ...]] = {}
    for line in answer.stdout.splitlines():
        tag, _, rest = line.partition(" ")
        commit, _, name = rest.partition(" ")
        found[commit or tag] = (*found.get(commit or tag, ()), name)
    return found


async def _vouching(reader: ClusterReader, app: Object, there: Place) -> dict[str, Snapshot]:
    """Good snapshots of where it deploys to, in this cluster, by the commit that its repository was at."""
    namespace = ((app.get("spec") or {}).get("destination") or {}).get("namespace")
    if not isinstance(namespace, str) or not namespace:
        return {}
    async with source.opened() as repository:
        if repository is None:
            return {}
        snapshots = await repository.snapshots(await reader.identity(), namespace)
    me = app["metadata"]["name"], app["metadata"]["namespace"]
    return {commit: one for one in snapshots if one.vouches and (commit := _commit_of(one, me, place_of(there.url)))}


def _commit_of(snapshot: Snapshot, me: tuple[str, str], here: str) -> str:
    """The commit that a snapshot saw the application at; that of its repository where it saw no application."""
    for one in snapshot.pointers.applications:
        if (one.name, one.namespace) == me:
            return one.commit if (one.sync, one.health) == ("Synced", "Healthy") else ""
    return next((one.commit for one in snapshot.pointers.git if place_of(one.url) == here), "")


def revisions(seen: Seen) -> list[Revision]:
    """All of them, oldest first; the newest is in force in Git, whether the cluster is there or not."""
    proof = _proofs(seen)
    reverted = seen.history.reverted()
    found = []
    for number, (commit, digest) in enumerate(zip(seen.commits, seen.digests, strict=True)):
        current = number == len(seen.commits) - 1
        goodness, reason = _judged(seen, commit, proof.get(commit.sha), reverted, current=current)
        tags = seen.tags.get(commit.sha, ())
        found.append(
            Revision(
                number=seen.first + number,
                digest=digest,
                created=commit.committed,
                status=short(commit.sha),
                summary=one_line(commit.subject)[:120],
                change_cause=f"{one_line(commit.subject)[:80]} ({one_line(commit.author)[:40]})",
                current=current,
                settled=not current or seen.settled,
                goodness=goodness,
                reasons=(reason,),
                names=(commit.sha, *tags),
            )
        )
    return found


def _proofs(seen: Seen) -> dict[str, Snapshot]:
    """Revision → a good snapshot of the time when the branch had it and nothing newer of the application."""
    found: dict[str, Snapshot] = {}
    mine = {one.sha for one in seen.commits}
    last: list[Snapshot] = []
    # Newest first: a snapshot proves the first revision at or below its commit.
    for commit in seen.history.commits:
        if not commit.mainline:
            continue
        if (snapshot := seen.vouching.get(commit.sha)) is not None:
            last = [snapshot]
        if commit.sha in mine and last:
            found[commit.sha] = last.pop()
    return found


def _judged(
    seen: Seen, commit: Commit, proof: Snapshot | None, reverted: dict[str, str], *, current: bool
) -> tuple[Goodness, Message]:
    health = (seen.app.get("status") or {}).get("health") or {}
    if current and seen.settled and health.get("status") == "Degraded":
        return "bad", msg(
            "Argo CD calls it degraded: {why}", why=one_line(str(health.get("message") or "no reason"))[:200]
        )
    if commit.sha in reverted:
        return "bad", msg("Commit {commit} takes it back.", commit=short(reverted[commit.sha]))
    if proof is not None:
        return "good", msg("Snapshot {id} was taken of it while everything was healthy.", id=proof.short)
    if (when := _deployed(seen.app, commit.sha)) is not None:
        return "unknown", msg(
            "Argo CD deployed it at {when}; nobody measured whether it was healthy.", when=f"{when:%Y-%m-%d %H:%MZ}"
        )
    return "unknown", msg("Nothing says whether it was ever healthy.")


def _deployed(app: Object, commit: str) -> datetime | None:
    entries: Any = (app.get("status") or {}).get("history")
    for one in reversed(entries if isinstance(entries, list) else []):
        if isinstance(one, dict) and commit in (one.get("revision"), *(one.get("revisions") or ())):
            try:
                return datetime.fromisoformat(str(one.get("deployedAt")))
            except ValueError:
                return None
    return None


def no_good_revision(target: Target, found: Sequence[Revision]) -> NoGoodRevision:
    """The error where nothing proves a commit good."""
    return NoGoodRevision(
        "No commit of {target} is proven good, so none was chosen.",
        target=str(target),
        expected="a snapshot that was taken while everything was healthy, with its repository in the configuration",
        found="{count} commits of which nobody knows",
        count=len(found),
        hint="Look at `backout history {target}` and name one: --to COMMIT.",
    )
