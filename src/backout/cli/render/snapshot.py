# SPDX-License-Identifier: Apache-2.0
"""Snapshots as text. Names in them come from clusters and archives: never trusted by a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backout.cli.render.screen import Screen, paint
from backout.locales import N_
from backout.model.snapshot import Entry, Snapshot

if TYPE_CHECKING:
    from backout.app.results import Pruned, Report
    from backout.app.snapshots.keys import Keys


KINDS = {"manual": N_("manual"), "run": N_("before a run"), "incident": N_("incident")}


def bytes_(count: int) -> str:
    """``812 B``, ``4.2 KiB``, ``1.3 MiB``."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024 or unit == "GiB":
            return f"{size:.1f} {unit}"
    raise AssertionError("unreachable")


def show_list(screen: Screen, snapshots: Sequence[Snapshot], total: int) -> None:
    """One line a snapshot."""
    if not snapshots:
        screen.told("There are no snapshots.")
        return
    rows = [
        (
            s.short,
            screen.ago(s.taken_at),
            screen.say(KINDS[s.kind]),
            s.cluster or "-",
            s.namespace or "*",
            str(s.objects),
            bytes_(s.size),
            state(screen, s),
            ", ".join(s.tags) or "-",
            s.message,
        )
        for s in snapshots
    ]
    screen.table(("id", "taken", "kind", "cluster", "namespace", "objects", "size", "state", "tags", "message"), rows)
    if total > len(snapshots):
        screen.told("{count} more; see --limit", count=total - len(snapshots), style="dim")


def state(screen: Screen, snapshot: Snapshot) -> str:
    """How well the namespace was, in one or two words."""
    if snapshot.incident or snapshot.kind == "incident":
        text = paint(screen.say("incident"), "bad")
    elif snapshot.healthy is None:
        text = paint(screen.say("health unknown"), "warn")
    else:
        text = paint(screen.say("healthy"), "good") if snapshot.healthy else paint(screen.say("not healthy"), "bad")
    return f"{text} {paint(screen.say('foreign'), 'warn')}" if snapshot.imported_from else text


def show_snapshot(screen: Screen, snapshot: Snapshot, kinds: Mapping[str, int], entries: Sequence[Entry]) -> None:
    """One snapshot in full."""
    place = f"{snapshot.cluster} · {snapshot.namespace or '*'}"
    screen.line(paint(f"{snapshot.id}   {place}", "head"))
    screen.told(
        "taken {when}, {kind}, by {actor}",
        2,
        when=screen.ago(snapshot.taken_at),
        kind=screen.say(KINDS[snapshot.kind]),
        actor=snapshot.actor or "-",
    )
    screen.line(state(screen, snapshot), 2)
    if snapshot.imported_from:
        screen.told("imported from the foreign repository {id}", 2, id=snapshot.imported_from, style="warn")
    if snapshot.tags:
        screen.told("tags: {tags}", 2, tags=", ".join(snapshot.tags))
    if snapshot.message:
        screen.line(snapshot.message, 2)
    if snapshot.run:
        screen.told("taken before the first write of run {run}", 2, run=snapshot.run)
    screen.line()
    screen.told("Objects: {count}; {size}", 2, count=snapshot.objects, size=bytes_(snapshot.size))
    screen.table(("kind", "objects"), [(kind, str(count)) for kind, count in sorted(kinds.items())], 4)
    if entries:
        screen.line()
        screen.table(
            ("object", "namespace", "size", "owner"),
            [
                (str(e.ref), e.ref.namespace or "-", bytes_(e.size), e.owner or "-")
                for e in sorted(entries, key=lambda e: e.ref)
            ],
            4,
        )
    _pointers(screen, snapshot)
    if snapshot.skipped:
        screen.line()
        screen.told("left out:", 2)
        screen.table(("object", "count", "why"), skipped_rows(screen, snapshot), 4)


def skipped_rows(screen: Screen, snapshot: Snapshot) -> list[tuple[str, str, str]]:
    """What was left out and why; ``*`` stands for a whole kind, whose objects were not counted."""
    rows = [
        (
            str(s.ref) if s.ref.name else s.ref.kind,
            str(s.count) if s.ref.name or s.count > 1 else "*",
            screen.say(s.reason),
        )
        for s in snapshot.skipped
    ]
    # One kind may be served by two groups, such as Event.
    return list(dict.fromkeys(rows))


def _pointers(screen: Screen, snapshot: Snapshot) -> None:
    pointers = snapshot.pointers
    rows = [(f"helm/{r.name}", screen.say("revision {number}", number=r.revision), r.chart) for r in pointers.releases]
    for workload in pointers.workloads:
        ready = screen.say("{ready} of {replicas} ready", ready=workload.ready, replicas=workload.replicas)
        rows.append((str(workload.ref), screen.say("revision {number}", number=workload.revision), ready))
    rows += [
        (f"app/{a.name}", screen.say("history {number}", number=a.history), a.commit[:12])
        for a in pointers.applications
    ]
    rows += [(str(claim.ref), claim.volume, claim.handle) for claim in pointers.claims]
    rows += [(image.workload or image.image, image.image, image.digest) for image in pointers.images]
    rows += [(git.url, git.commit[:12], git.tag) for git in pointers.git]
    if rows:
        screen.line()
        screen.told("the state around it:", 2)
        screen.table(("what", "at", "detail"), rows, 4)


def show_verified(screen: Screen, report: Report) -> None:
    """What was checked, and everything that is wrong."""
    for problem in report.problems:
        screen.line(f"{screen.mark('bad')} {problem.name}")
        screen.line(problem.reason, 4)
        for name in problem.needed_by:
            screen.told("needed by {name}", 4, name=name)
    for name in report.unknown_files:
        screen.told("{name} is no file of a repository; it was not looked at.", name=name, style="warn")
    screen.told(
        "Snapshots: {snapshots}; objects: {objects}; packs: {packs}; {size}",
        snapshots=report.snapshots,
        objects=report.objects,
        packs=report.packs,
        size=bytes_(report.bytes),
    )
    if report.packs_read:
        screen.told(
            "read and decrypted: {read} of {packs} packs, {size}",
            2,
            read=report.packs_read,
            packs=report.packs,
            size=bytes_(report.bytes_read),
        )
    elif report.packs:
        screen.told("contents were not read; --read-data does", 2, style="dim")
    if report.unused:
        screen.told(
            "Objects that no snapshot needs: {count}; backout snapshot prune removes them", 2, count=report.unused
        )
    if report.problems:
        screen.told("Problems: {count}", count=len(report.problems), style="bad")
    elif report.packs_read == report.packs:
        screen.told("Every snapshot is whole.", style="good")
    else:
        screen.told("No problem was found.", style="good")


def show_pruned(screen: Screen, result: Pruned, *, done: bool) -> None:
    """What goes, what stays and why."""
    rows = [
        (s.short, screen.ago(s.taken_at), s.cluster, s.namespace, state(screen, s), ", ".join(s.tags))
        for s in result.removed
    ]
    if rows:
        screen.told("Removed:" if done else "To be removed:")
        screen.table(("id", "taken", "cluster", "namespace", "state", "tags"), rows, 2)
    screen.told("Snapshots that stay: {count}", count=len(result.kept))
    said = (
        "Objects removed: {objects}; packs removed: {packs}, written anew: {rewritten}; freed: {size}"
        if done
        else "Objects to be removed: {objects}; packs: {packs}, written anew: {rewritten}; about {size} freed"
    )
    screen.told(
        said,
        objects=result.objects_removed,
        packs=result.packs_removed,
        rewritten=result.packs_rewritten,
        size=bytes_(result.freed),
    )
    for name in result.left_alone:
        screen.told("{name} is damaged and was left alone.", name=name, style="warn")


def show_keys(screen: Screen, keys: Keys) -> None:
    """Who can open the snapshots."""
    screen.told("The snapshots in {where} can be opened by:", where=keys.where)
    rows = [
        ("*" if item.recipient in keys.own else "", item.recipient, item.name or "-", screen.ago(item.added))
        for item in keys.recipients
    ]
    screen.table(("", "recipient", "name", "added"), rows, 2)
    screen.told("* is your own; its secret half is in {path}", 2, path=keys.identity)
    screen.told(
        "fingerprint: {fingerprint}; generation of the key: {generations}",
        2,
        fingerprint=keys.fingerprint,
        generations=keys.generations,
    )
    for text in keys.missing:
        screen.told(
            "The configuration names {recipient}, which can't open them yet: backout snapshot key add",
            2,
            recipient=text,
            style="warn",
        )
