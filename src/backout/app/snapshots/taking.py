# SPDX-License-Identifier: Apache-2.0
"""Takes snapshots of namespaces, with their health and the commit that they come from."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.app.events import ObjectsTaken
from backout.app.running import actor
from backout.app.snapshots.git import heads, places, tag_all, tag_name, tell_tags
from backout.app.snapshots.opening import opened
from backout.errors import UsageError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.snapshot import GitPointer, SnapshotKind
    from backout.snapshots.collect import Taken
    from backout.snapshots.repository import Repository

RESERVED = ("latest", "good", "live")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,127}", re.ASCII)


async def create(
    workspace: Workspace, *, tags: Sequence[str] = (), message: str = "", git_tag: str | None = None, push: bool = False
) -> list[Taken]:
    """A snapshot of the namespace on each cluster; the repository, and a key, are made at the first use.

    ``git_tag`` also tags the commit of the configured repository: a name, or `git.DEFAULT` for the first of ``tags``.

    Raises:
        UsageError: a tag can't be one, or no single namespace is meant.
        ConfigError: there is no repository to tag.
        BackoutError: the cluster or the repository can't be used.
    """
    if workspace.where.all_namespaces:
        raise UsageError("A snapshot is of one namespace, so -A can't go with it.", hint="Say -n NAMESPACE.")
    check_tags(tags)
    if push and git_tag is None:
        raise UsageError("There is no Git tag to push.", expected="--git-tag")
    found = []
    async with opened(workspace, create=True) as repository:
        for name in workspace.contexts:
            async with workspace.cluster(name) as cluster:
                namespace = workspace.namespace_of(cluster)
                where = places(workspace, namespace, cluster.name)
                git: tuple[GitPointer, ...] | None = None
                if git_tag is not None:
                    git = await tag_all(where, tag_name(git_tag, tags, namespace), namespace, push=push)
                    tell_tags(workspace, where, git)
                found.append(
                    await taken(workspace, cluster, repository, namespace, tags=tags, message=message, git=git)
                )
    return found


def check_tags(tags: Sequence[str]) -> None:
    """
    Raises:
        UsageError: a tag would be taken for something else, or has letters that no tag has.
    """
    for tag in tags:
        if tag in RESERVED:
            raise UsageError("{tag} has a meaning of its own, so it can't be a tag.", tag=tag)
        if not _TAG.fullmatch(tag):
            raise UsageError(
                "{tag} can't be a tag.",
                tag=repr(tag),
                expected="letters, digits and . _ + / -, up to 128, the first a letter or digit",
            )


async def taken(
    workspace: Workspace,
    cluster: Cluster,
    repository: Repository,
    namespace: str,
    *,
    kind: SnapshotKind = "manual",
    tags: Sequence[str] = (),
    message: str = "",
    incident: bool = False,
    git: tuple[GitPointer, ...] | None = None,
) -> Taken:
    """Takes a snapshot of a namespace with its health, and tells how far it is.

    ``incident`` marks a state that somebody is about to leave, however healthy it looks. ``git`` is looked up when it
    is None.
    """
    from backout.diagnosis.diagnose import diagnose
    from backout.snapshots.collect import About, take

    diagnosis, found = await asyncio.gather(
        diagnose(cluster, namespace),
        heads(workspace, [] if git is not None else places(workspace, namespace, cluster.name)),
    )
    about = About(
        kind=kind,
        tags=tuple(tags),
        message=message,
        actor=actor(),
        incident=incident or bool(diagnosis.problems),
        # What was hidden from view may be broken: that is neither healthy nor known to be broken.
        healthy=False if diagnosis.problems else None if diagnosis.blind else True,
        git=found if git is None else git,
    )
    try:
        return await take(cluster, repository, namespace, about, lambda count: workspace.tell(ObjectsTaken(count)))
    finally:
        workspace.tell(ObjectsTaken(None))
