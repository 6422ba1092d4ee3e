# SPDX-License-Identifier: Apache-2.0
"""The repositories that the configuration names for a namespace: their commit for a snapshot, and a tag on request."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backout.app.events import GitUnread, TagUnpushed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backout.app.workspace import Workspace
    from backout.model.snapshot import GitPointer
    from backout.snapshots.git import Place

DEFAULT = "*"
"""A tag without a name of its own."""


def places(workspace: Workspace, namespace: str, cluster: str) -> list[Place]:
    """The repositories of the stacks that are in this namespace of this cluster, each once."""
    from backout.model.giturl import remote_of
    from backout.snapshots.git import Place

    found = {}
    for stack in workspace.settings.stacks.values():
        if stack.namespace == namespace and stack.git.url and (not stack.clusters or cluster in ("", *stack.clusters)):
            place = Place(remote_of(stack.git.url), stack.git.branch)
            found[place.remote.url, place.branch] = place
    return list(found.values())


async def heads(workspace: Workspace, wanted: Sequence[Place]) -> tuple[GitPointer, ...]:
    """The commits; what can't be read is said, and takes no snapshot down."""
    from backout.errors import BackoutError
    from backout.snapshots.git import head

    async def one(place: Place) -> GitPointer | None:
        try:
            return await head(place)
        except BackoutError as error:
            workspace.tell(GitUnread(error))
            return None

    return tuple(pointer for pointer in await asyncio.gather(*map(one, wanted)) if pointer is not None)


async def tag_all(wanted: Sequence[Place], name: str, namespace: str, *, push: bool) -> tuple[GitPointer, ...]:
    """Tags the newest commit of each repository.

    Raises:
        ConfigError: no repository is configured.
        UsageError, RefusedError, NotFoundError, ToolMissing, ToolFailed: see `backout.snapshots.git.tagged`.
    """
    from backout.app.running import actor
    from backout.errors import ConfigError
    from backout.snapshots.git import tagged

    if not wanted:
        raise ConfigError(
            "No Git repository is configured for namespace {namespace}, so nothing can be tagged.",
            namespace=namespace,
            expected="stacks.NAME.git.url in the configuration, for a stack of this namespace",
        )
    who = actor()
    message = f"Backout took a snapshot of {namespace}."
    return tuple([await tagged(place, name, message, push=push, actor=who) for place in wanted])


def tag_name(given: str, tags: Sequence[str], namespace: str) -> str:
    """The name of the Git tag: as given, else the snapshot's first tag, else namespace and time."""
    if given != DEFAULT:
        return given
    return tags[0] if tags else f"{namespace}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def tell_tags(workspace: Workspace, wanted: Sequence[Place], made: Sequence[GitPointer]) -> None:
    """How the tags that were not pushed get out."""
    from backout.snapshots.git import push_command

    for place, pointer in zip(wanted, made, strict=True):
        if not pointer.pushed:
            workspace.tell(TagUnpushed(pointer.tag, push_command(place, pointer.tag)))
