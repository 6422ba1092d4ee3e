# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot export`."""

from __future__ import annotations

from pathlib import Path

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("snapshots", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All snapshots, or all of -n and --context.")
@click.option("--recipient", "recipients", multiple=True, metavar="KEY", help="Who else can open it; may be repeated.")
@common_options
@with_session
async def command(
    session: Session, file: Path, snapshots: tuple[str, ...], everything: bool, recipients: tuple[str, ...]
) -> None:
    """Writes SNAPSHOTS into a new FILE, encrypted with a key of its own for the recipients of the repository."""
    from backout.cli.output import with_kind
    from backout.cli.snapshots.opening import chosen_cluster, chosen_namespace, find, opened, warn_unreadable
    from backout.errors import UsageError
    from backout.snapshots.repository.keys import read_identities
    from backout.snapshots.repository.manifests import selected
    from backout.snapshots.repository.opening import identity_file
    from backout.snapshots.repository.transfer import export

    if bool(snapshots) == everything:
        raise UsageError("Which snapshots?", expected="their names, or --all")
    async with opened(session) as repository:
        if everything:
            every = await repository.snapshots()
            warn_unreadable(session, repository)
            chosen = selected(every, namespace=chosen_namespace(session), cluster=chosen_cluster(session))
        else:
            found = [await find(session, repository, name) for name in snapshots]
            chosen = list({snapshot.id: snapshot for snapshot in found}.values())
        identities = read_identities(identity_file(session.settings.snapshots))
        result = await export(repository, chosen, file, recipients=recipients, identities=identities)
    if not session.text:
        session.document(with_kind("SnapshotExport", result))
        return
    page = session.page()
    page.told(
        "In {file}: snapshots: {count}; objects: {objects}; bytes: {bytes}",
        count=len(result.snapshots),
        objects=result.objects,
        file=result.path,
        bytes=result.bytes,
    )
    page.told("It can be opened by:", 2)
    for recipient in result.recipients:
        page.line(recipient, 4)
    page.show()
