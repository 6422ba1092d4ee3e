# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot create`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session
from backout.cli.snapshots.git import DEFAULT, heads, places, tag_all, tag_name, tell_tags

if TYPE_CHECKING:
    from backout.cluster.port import Cluster
    from backout.model.snapshot import GitPointer, SnapshotKind
    from backout.snapshots.collect import Taken
    from backout.snapshots.repository import Repository

RESERVED = ("latest", "good", "live")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,127}", re.ASCII)


@click.command("create")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A name to find it by, such as v1.0.0; repeatable.")
@click.option("--message", "-m", default="", help="Why it was taken.")
@click.option(
    "--git-tag",
    metavar="[NAME]",
    is_flag=False,
    flag_value=DEFAULT,
    default=None,
    help="Tag the commit in the configured Git repository, too (else: the first --tag).",
)
@click.option("--push", is_flag=True, help="Push the Git tag.")
@common_options
@with_session
async def command(session: Session, tags: tuple[str, ...], message: str, git_tag: str | None, push: bool) -> None:
    """Takes an encrypted snapshot of the namespace: every kind that you may list, Secrets too.

    The namespace is diagnosed at the same time: `good` only ever means a snapshot that was taken while it was healthy.
    Where the configuration names the stack's Git repository, the newest commit of its branch is noted down.
    """
    from backout.cli.output import versioned
    from backout.cli.snapshots.opening import opened
    from backout.cli.views.snapshot import as_item
    from backout.cli.views.snapshot_work import show_taken
    from backout.errors import UsageError

    if session.all_namespaces:
        raise UsageError("A snapshot is of one namespace, so -A can't go with it.", hint="Say -n NAMESPACE.")
    check_tags(tags)
    if push and git_tag is None:
        raise UsageError("There is no Git tag to push.", expected="--git-tag")
    found = []
    async with opened(session, create=True) as repository:
        for name in session.contexts:
            async with session.cluster(name) as cluster:
                namespace = session.namespace_of(cluster)
                where = places(session, namespace, cluster.name)
                git: tuple[GitPointer, ...] | None = None
                if git_tag is not None:
                    git = await tag_all(session, where, tag_name(git_tag, tags, namespace), namespace, push=push)
                    tell_tags(session, where, git)
                found.append(await taken(session, cluster, repository, namespace, tags=tags, message=message, git=git))
    if session.text:
        page = session.page()
        for one in found:
            show_taken(page, one)
        page.show()
        return
    items = [
        as_item(one.snapshot)
        | {"written": one.written, "kinds": one.kinds, "skipped": one.snapshot.skipped}
        | {"git": one.snapshot.pointers.git}
        for one in found
    ]
    session.document(
        versioned("SnapshotCreated", **items[0]) if len(items) == 1 else versioned("SnapshotCreatedList", items=items)
    )


def check_tags(tags: tuple[str, ...]) -> None:
    """
    Raises:
        UsageError: a tag would be taken for something else, or has letters that no tag has.
    """
    from backout.errors import UsageError

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
    session: Session,
    cluster: Cluster,
    repository: Repository,
    namespace: str,
    *,
    kind: SnapshotKind = "manual",
    tags: tuple[str, ...] = (),
    message: str = "",
    incident: bool = False,
    git: tuple[GitPointer, ...] | None = None,
) -> Taken:
    """Takes a snapshot of a namespace with its health, and says how far it is.

    ``incident`` marks a state that somebody is about to leave, however healthy it looks. ``git`` is looked up when it
    is None.
    """
    import asyncio
    import sys

    from backout.cli.running import actor
    from backout.diagnosis.diagnose import diagnose
    from backout.snapshots.collect import About, take

    terminal = session.text and sys.stderr.isatty()

    def progress(objects: int) -> None:
        if terminal:
            click.echo(f"\r\033[K{session.page().say('Objects: {count}', count=objects)}", err=True, nl=False)

    diagnosis, found = await asyncio.gather(
        diagnose(cluster, namespace),
        heads(session, [] if git is not None else places(session, namespace, cluster.name)),
    )
    about = About(
        kind=kind,
        tags=tags,
        message=message,
        actor=actor(),
        incident=incident or bool(diagnosis.problems),
        # What was hidden from view may be broken: that is neither healthy nor known to be broken.
        healthy=False if diagnosis.problems else None if diagnosis.blind else True,
        git=found if git is None else git,
    )
    try:
        return await take(cluster, repository, namespace, about, progress)
    finally:
        if terminal:
            click.echo("\r\033[K", err=True, nl=False)
