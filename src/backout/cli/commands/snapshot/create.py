# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot create`."""

from __future__ import annotations

import click

from backout.app.snapshots.git import DEFAULT
from backout.cli.options import Command
from backout.cli.session import Session, with_session


@click.command("create", cls=Command)
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
@with_session
async def command(session: Session, tags: tuple[str, ...], message: str, git_tag: str | None, push: bool) -> None:
    """Takes an encrypted snapshot of the namespace: every kind that you may list, Secrets too.

    The namespace is diagnosed at the same time: `good` only ever means a snapshot that was taken while it was healthy.
    Where the configuration names the stack's Git repository, the newest commit of its branch is noted down.
    """
    from backout.app.snapshots.taking import create
    from backout.cli.render.snapshot_work import show_all_taken
    from backout.documents.snapshots import created_list

    found = await create(session.workspace, tags=tags, message=message, git_tag=git_tag, push=push)
    if session.text:
        session.show(lambda screen: show_all_taken(screen, found))
    else:
        session.document(created_list(found))
