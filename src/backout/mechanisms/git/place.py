# SPDX-License-Identifier: Apache-2.0
"""The repository that an application is made from, and its mirror here.

The URL stands in an object of the cluster, so it is data: a folder of this machine is none of its business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from backout.cluster.port import Object
from backout.errors import ConfigError, NotFoundError, RefusedError
from backout.git.inputs import Source
from backout.git.mirror import Mirror
from backout.git.resolve import is_ancestor
from backout.git.tree import read_tree
from backout.git.words import OBJECT
from backout.mechanisms.git.params import Wanted, state_digest
from backout.model.giturl import place_of, remote_of
from backout.model.target import Target
from backout.ownership.sources import argocd_sources
from backout.snapshots.place import data_folder


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The branch that is written to. ``default`` is the repository's own; ``sources``: what the application takes from it."""

    url: str
    branch: str
    default: str
    sources: tuple[Source, ...]
    index: int = -1
    """Which of the revisions that an application of several sources reports is of this repository; -1 for the only one."""


def mirror_of(url: str) -> Mirror:
    """The mirror of a repository.

    Raises:
        RefusedError: the URL leads to no repository, or to a folder of this machine.
    """
    try:
        remote = remote_of(url)
    except ConfigError as error:
        raise RefusedError("The application's repository can't be used: {why}", why=error.message) from None
    if remote.url.startswith("file:"):
        raise RefusedError(
            "The application's repository is a folder: {url}.",
            url=remote.url,
            expected="https:// or ssh:// or USER@HOST:PATH",
        )
    name = hashlib.sha256(place_of(remote.url).encode()).hexdigest()[:16]
    return Mirror(remote, data_folder() / "git" / f"{name}.mirror")


async def place(target: Target, app: Object) -> tuple[Mirror, Place]:
    """Where a commit reaches the application. The branch is fetched.

    Raises:
        RefusedError: it is not made from one repository, it follows no branch, or it is hydrated.
        BackoutError: the repository can't be read.
    """
    spec = app.get("spec") or {}
    if spec.get("sourceHydrator"):
        raise RefusedError(
            "{target} is rendered by Argo CD's source hydrator, which this way back does not know yet.",
            target=str(target),
            hint="Revert the commit in its dry repository by hand.",
        )
    annotations = (app["metadata"].get("annotations") or {}).get("argocd.argoproj.io/manifest-generate-paths", "")
    sources = argocd_sources(spec, annotations)
    written = [one for one in sources if not one.chart]
    if len({(place_of(one.url), one.revision) for one in written}) != 1:
        raise RefusedError(
            "{target} is made from {count} repositories of Git, so nothing tells where to go back.",
            target=str(target),
            count=len({(place_of(one.url), one.revision) for one in written}),
            expected="one repository and branch",
            hint="Revert the commit by hand." if written else "It is made from a chart: change its version.",
        )
    mirror = mirror_of(written[0].url)
    default = await mirror.default_branch()
    revision = written[0].revision.removeprefix("refs/heads/")
    branch = default if revision in ("", "HEAD") else revision
    if OBJECT.fullmatch(branch) or branch.startswith("refs/"):
        raise _pinned(target, branch)
    try:
        await mirror.fetch(branch)
    except NotFoundError as error:
        if "has no branch" in error.template:
            raise _pinned(target, branch) from error
        raise
    return mirror, Place(
        url=written[0].url, branch=branch, default=default, sources=tuple(written), index=place_index(app)
    )


def place_index(app: Object) -> int:
    """Which of the revisions that an application of several sources reports is of Git; -1 for the only one."""
    several = (app.get("spec") or {}).get("sources")
    if not isinstance(several, list) or not several:
        return -1
    return next((n for n, one in enumerate(several) if isinstance(one, dict) and not one.get("chart")), 0)


def synced(app: Object, index: int) -> str:
    """The commit that the application compared itself with last."""
    found = (app.get("status") or {}).get("sync") or {}
    return _revision(found, index)


def operated(app: Object, index: int) -> str:
    """The commit of its last sync that succeeded."""
    state = (app.get("status") or {}).get("operationState") or {}
    return _revision(state.get("syncResult") or {}, index) if state.get("phase") == "Succeeded" else ""


def _revision(found: Object, index: int) -> str:
    several: Sequence[str] = found.get("revisions") or ()
    text = several[index] if 0 <= index < len(several) else found.get("revision")
    return text if isinstance(text, str) and OBJECT.fullmatch(text) else ""


async def holds(mirror: Mirror, branch: str, commit: str, wanted: Wanted, since: str = "") -> bool:
    """Whether a commit came after ``since`` and has the files as they are to be. One that is not known here is fetched for.

    Raises:
        BackoutError: the repository can't be read.
    """
    known = await mirror.git("cat-file", "-e", f"{commit}^{{commit}}", check=False)
    if known.code:
        await mirror.fetch(branch)
        if (await mirror.git("cat-file", "-e", f"{commit}^{{commit}}", check=False)).code:
            return False
    if since and (commit == since or not await is_ancestor(mirror, since, commit)):
        return False
    tree = await read_tree(mirror, commit)
    found = []
    for path in wanted.paths:
        entry = tree.entries.get(path)
        found.append((path, entry.mode, entry.oid) if entry else (path, "000000", "0" * len(commit)))
    return state_digest(found) == wanted.digest


def _pinned(target: Target, revision: str) -> RefusedError:
    return RefusedError(
        "{target} follows {revision}, which is no branch: a commit would not reach it.",
        target=str(target),
        revision=revision,
        expected="a branch as its targetRevision",
        hint="Set its targetRevision to what it was before, where that is kept.",
    )
