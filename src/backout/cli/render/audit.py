# SPDX-License-Identifier: Apache-2.0
"""The audit, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.cli.render.screen import Screen, paint

if TYPE_CHECKING:
    from backout.app.audit.book import Checkpoint
    from backout.app.audit.checking import Verified

NAMED = 5


def show_verified(screen: Screen, found: Verified) -> None:
    """What is not as it was written; then what is, and who vouches for it."""
    for one in found.findings:
        screen.line(f"{screen.mark('bad')} {screen.say(one.message)}")
    if not found.entries:
        screen.told(
            "Nothing is in the audit, so nothing is proven: no run was made since there is one, or this is another database."
        )
        return
    screen.told(
        "{runs} runs with {records} records, {entries} entries of the log; {removed} runs were removed by `backout runs prune`.",
        runs=found.runs,
        records=found.records,
        entries=found.entries,
        removed=found.removed,
    )
    if found.former:
        screen.told("{count} events are from before there was an audit, and in no chain.", count=found.former)
    for key, good in found.signers.items():
        screen.told(
            "Signed by {key}, which is trusted here." if good else "Signed by {key}, which nobody here trusts.", key=key
        )
    if found.vouched >= 0:
        screen.told(
            "A trusted signature vouches for everything up to {when} (entry {n}).",
            when=found.vouched_at,
            n=found.vouched,
        )
    if not found.intact:
        screen.line(paint(screen.say("Not as it was written."), "bad"))
    elif found.proven:
        screen.line(paint(screen.say("Intact."), "good"))
    else:
        screen.line(paint(screen.say("Nothing changed is seen, and nobody trusted vouches for that."), "warn"))
        screen.told(
            "Not vouched for: {count} runs that ended ({runs}). `backout audit checkpoint` signs them, or --key names who did.",
            count=len(found.open),
            runs=", ".join(found.open[:NAMED]) + (", …" if len(found.open) > NAMED else ""),
        )


def show_checkpoint(screen: Screen, found: Checkpoint) -> None:
    """Where it is, and how to hold the database to it."""
    entry = found.entry
    screen.told(
        "Signed: everything up to entry {n} of the log."
        if found.new
        else "Nothing is new since checkpoint {n} of {when}.",
        n=entry.n,
        when=entry.at,
    )
    screen.told("Keep this elsewhere: {n}:{hash}", n=entry.n, hash=entry.hash)
    screen.told("Later: backout audit verify --head {n}:{hash}", n=entry.n, hash=entry.hash)


def show_key(screen: Screen, public: str, fingerprint: str, file: str) -> None:
    """The key as others name it."""
    screen.line(public)
    screen.told("{fingerprint}; the secret half is in {file}.", fingerprint=fingerprint, file=file, style="dim")
