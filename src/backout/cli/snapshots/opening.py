# SPDX-License-Identifier: Apache-2.0
"""The repository of a session. A key that was made just now is explained: losing it loses the snapshots."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from backout.cli.session import Session

if TYPE_CHECKING:
    from backout.cluster.port import Cluster
    from backout.model.snapshot import Snapshot
    from backout.snapshots.repository import Repository
    from backout.snapshots.repository.opening import Opened


@asynccontextmanager
async def opened(session: Session, *, create: bool = False) -> AsyncIterator[Repository]:
    """The repository of the configuration; ``create`` makes it, and a key, at the first use."""
    from backout.snapshots.repository.opening import open_repository

    found = await open_repository(session.settings.snapshots, create=create)
    try:
        explain(session, found)
        yield found.repository
    finally:
        await found.repository.close()


def explain(session: Session, found: Opened) -> None:
    """Says what was made; on stderr, in every output format, since nobody may miss it."""
    import click

    from backout.snapshots.repository.keys import read_identities, recipients_of

    page = session.page()
    if found.key_made or found.created:
        public = recipients_of(read_identities(found.identity))[0]
        if found.key_made:
            page.told("A key for your snapshots was made: {path}", path=str(found.identity), style="warn")
        else:
            page.told("Your snapshots are encrypted with your key {path}", path=str(found.identity), style="warn")
        page.told("Whoever has this file can read them; without it nobody can. Losing it loses the snapshots.", 2)
        page.told("Keep a copy of it in a safe place now, such as a password manager.", 2)
        page.told("Its public half is {recipient}", 2, recipient=public)
        page.told("To let a second key open them: backout snapshot key add RECIPIENT", 2)
    if found.created:
        page.told("A new repository of snapshots was made in {where}", where=found.repository.backend.where)
    elif found.first_seen:
        page.told(
            "This machine sees the repository in {where} for the first time; its fingerprint is {fingerprint}",
            where=found.repository.backend.where,
            fingerprint=found.repository.keyring.fingerprint,
        )
    if page.lines:
        click.echo("\n".join(page.lines), err=True)


async def find(session: Session, repository: Repository, name: str) -> Snapshot:
    """The snapshot that the user means, within `-n` and `--context` where these were given."""
    return await repository.load(name, namespace=chosen_namespace(session), cluster=chosen_cluster(session))


def chosen_namespace(session: Session) -> str | None:
    """`-n`, or None for every namespace."""
    value = session.values.get("namespace")
    return str(value) if value and not session.all_namespaces else None


def chosen_cluster(session: Session) -> str | None:
    """`--context`, or None for every cluster."""
    return session.contexts[0] or None


def warn_unreadable(session: Session, repository: Repository) -> None:
    """Says which summaries could not be read."""
    for id_, error in repository.unreadable.items():
        session.note("Snapshot {id} can't be read: {reason}", id=id_[:8], reason=str(error))


@asynccontextmanager
async def cluster_of(session: Session, snapshot: Snapshot) -> AsyncIterator[Cluster]:
    """The cluster that a snapshot is of: the chosen one, else the context of the snapshot's own name.

    Raises:
        WrongCluster: it leads to another cluster.
    """
    from backout.errors import UnknownContext, WrongCluster

    async with AsyncExitStack() as stack:
        try:
            cluster = await stack.enter_async_context(session.cluster(session.contexts[0] or snapshot.cluster))
        except UnknownContext:
            if session.contexts[0]:
                raise
            cluster = await stack.enter_async_context(session.cluster())
        found = await cluster.identity()
        if not found.same_as(snapshot.identity):
            raise WrongCluster(
                "Snapshot {id} is of another cluster than the one that {context} leads to.",
                id=snapshot.short,
                context=cluster.name,
                expected="{name}, kube-system with uid {wanted}",
                found="uid {actual}",
                name=snapshot.cluster,
                wanted=snapshot.identity.uid or "?",
                actual=found.uid or "?",
                hint="choose its context with --context",
            )
        yield cluster
