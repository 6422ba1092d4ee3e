# SPDX-License-Identifier: Apache-2.0
"""What a verb tells while it works, as sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.app import events

if TYPE_CHECKING:
    from backout.app.events import Event
    from backout.cli.render.screen import Screen

ALWAYS = (
    events.RepositoryOpened,
    events.TagUnpushed,
    events.Unapplied,
    events.StillBroken,
    events.AuditUnsigned,
    events.AuditDiffers,
)
"""Nobody may miss these, so they are told beside a document too."""


def show_event(screen: Screen, event: Event) -> None:
    """The lines of one event; none for what is shown in other ways."""
    match event:
        case events.Unseen(what=what):
            screen.told("Not everything could be looked at: {what}", what=screen.say(what))
        case events.LeftOut(failed=failed):
            why = screen.say(failed.error.template, **failed.error.arguments)
            screen.told("Left out: {target}: {why}", target=str(failed.target or failed.cluster), why=why)
        case events.Unfinished(run=run, begun=begun):
            screen.told(
                "Run {run} on {target} in {namespace} of {cluster} stopped half-way. `backout resume "
                "{run}` finishes it; when it is over, `backout undo {run}` takes it back."
                if begun
                else "Run {run} on {target} in {namespace} of {cluster} stopped before it changed anything. `backout resume "
                "{run}` goes on with it, `backout abort {run}` ends it.",
                run=run.id,
                target=run.target,
                namespace=run.namespace,
                cluster=run.cluster,
            )
        case events.NotLetGo(run=run):
            screen.told(
                "Run {run} on {target} in {namespace} of {cluster} has ended, and what it locked may still be locked. `backout "
                "resume {run}` lets it go, and does nothing else.",
                run=run.id,
                target=run.target,
                namespace=run.namespace,
                cluster=run.cluster,
            )
        case events.LocksLeft(error=error):
            screen.told("Locks of the restore could not be let go, and run out by themselves: {why}", why=error.message)
        case events.Watching(seconds=seconds):
            screen.told("Watching for {seconds} s …", seconds=f"{seconds:g}")
        case events.StateAway(error=error):
            from backout.model.message import of_error

            screen.told("{why} Trying again for some seconds …", why=of_error(error))
        case events.NotReady(error=error):
            from backout.cli.failures import error_lines

            error_lines(screen, error)
        case events.Unapplied(codes=codes):
            screen.told("--approve {codes}: no risk of this plan asks for that.", codes=", ".join(codes))
        case events.StillBroken(problem=problem):
            screen.told(
                "Still broken, and nothing was done about it: {target}: {cause}",
                target=str(problem.target),
                cause=problem.cause,
            )
        case events.SnapshotUnreadable(id=id_, error=problem):
            screen.told("Snapshot {id} can't be read: {reason}", id=id_[:8], reason=str(problem))
        case events.GitUnread(error=error):
            screen.told("The Git commit is not in the snapshot: {why}", why=error.message)
        case events.AuditUnsigned(error=error):
            screen.told("The audit has the run, and no signature of its end: {why}", why=error.message)
        case events.AuditDiffers(where=where):
            screen.told(
                "The audit is not the one that was seen here before ({where}): `backout audit verify` says what differs.",
                where=where,
            )
        case events.StateKept(snapshot=snapshot):
            screen.told("The present state is kept in snapshot {id}.", id=snapshot)
        case _:
            _of_snapshots(screen, event)


def _of_snapshots(screen: Screen, event: Event) -> None:
    match event:
        case events.RepositoryOpened():
            _repository(screen, event)
        case events.TagUnpushed(tag=tag, command=command):
            screen.told("The tag {tag} was not pushed; this does it: {command}", tag=tag, command=command)
        case events.KeyTaken():
            screen.told("What it could open until now, it may have copied: change those secrets if it has leaked.")
        case events.KeyReplaced(path=path):
            screen.told("Your new key is the first in {path}; older files need the older ones below it.", path=path)
            screen.told("Keep a copy of {path} in a safe place now.", path=path)


def _repository(screen: Screen, found: events.RepositoryOpened) -> None:
    """What was made. A key that was made just now is explained: losing it loses the snapshots."""
    if found.key_made or found.created:
        if found.key_made:
            screen.told("A key for your snapshots was made: {path}", path=found.identity, style="warn")
        else:
            screen.told("Your snapshots are encrypted with your key {path}", path=found.identity, style="warn")
        screen.told("Whoever has this file can read them; without it nobody can. Losing it loses the snapshots.", 2)
        screen.told("Keep a copy of it in a safe place now, such as a password manager.", 2)
        screen.told("Its public half is {recipient}", 2, recipient=found.public)
        screen.told("To let a second key open them: backout snapshot key add RECIPIENT", 2)
    if found.created:
        screen.told("A new repository of snapshots was made in {where}", where=found.where)
    elif found.first_seen:
        screen.told(
            "This machine sees the repository in {where} for the first time; its fingerprint is {fingerprint}",
            where=found.where,
            fingerprint=found.fingerprint,
        )
