# SPDX-License-Identifier: Apache-2.0
"""Snapshots as text. Names in them come from clusters and archives: never trusted by a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backout.cli.render.page import Page, paint
from backout.locales import N_
from backout.model.snapshot import Entry, Snapshot

if TYPE_CHECKING:
    from backout.app.results import Pruned, Report
    from backout.app.snapshots.keys import Keys


KINDS = {"manual": N_("manual"), "run": N_("before a run"), "incident": N_("incident")}


def clean(text: str) -> str:
    """Without anything that a terminal would obey."""
    return "".join("?" if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") else letter for letter in text)


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


def show_list(page: Page, snapshots: Sequence[Snapshot], total: int) -> None:
    """One line a snapshot."""
    if not snapshots:
        page.told("There are no snapshots.")
        return
    rows = [
        (
            s.short,
            page.ago(s.taken_at),
            page.say(KINDS[s.kind]),
            clean(s.cluster) or "-",
            clean(s.namespace) or "*",
            str(s.objects),
            bytes_(s.size),
            state(page, s),
            clean(", ".join(s.tags)) or "-",
            clean(s.message),
        )
        for s in snapshots
    ]
    page.table(("id", "taken", "kind", "cluster", "namespace", "objects", "size", "state", "tags", "message"), rows)
    if total > len(snapshots):
        page.told("{count} more; see --limit", count=total - len(snapshots), style="dim")


def state(page: Page, snapshot: Snapshot) -> str:
    """How well the namespace was, in one or two words."""
    if snapshot.incident or snapshot.kind == "incident":
        text = paint(page.say("incident"), "bad")
    elif snapshot.healthy is None:
        text = paint(page.say("health unknown"), "warn")
    else:
        text = paint(page.say("healthy"), "good") if snapshot.healthy else paint(page.say("not healthy"), "bad")
    return f"{text} {paint(page.say('foreign'), 'warn')}" if snapshot.imported_from else text


def show_snapshot(page: Page, snapshot: Snapshot, kinds: Mapping[str, int], entries: Sequence[Entry]) -> None:
    """One snapshot in full."""
    place = f"{clean(snapshot.cluster)} · {clean(snapshot.namespace) or '*'}"
    page.line(paint(f"{snapshot.id}   {place}", "head"))
    page.told(
        "taken {when}, {kind}, by {actor}",
        2,
        when=page.ago(snapshot.taken_at),
        kind=page.say(KINDS[snapshot.kind]),
        actor=clean(snapshot.actor) or "-",
    )
    page.line(state(page, snapshot), 2)
    if snapshot.imported_from:
        page.told("imported from the foreign repository {id}", 2, id=snapshot.imported_from, style="warn")
    if snapshot.tags:
        page.told("tags: {tags}", 2, tags=clean(", ".join(snapshot.tags)))
    if snapshot.message:
        page.line(clean(snapshot.message), 2)
    if snapshot.run:
        page.told("taken before the first write of run {run}", 2, run=snapshot.run)
    page.line()
    page.told("Objects: {count}; {size}", 2, count=snapshot.objects, size=bytes_(snapshot.size))
    page.table(("kind", "objects"), [(clean(kind), str(count)) for kind, count in sorted(kinds.items())], 4)
    if entries:
        page.line()
        page.table(
            ("object", "namespace", "size", "owner"),
            [
                (clean(str(e.ref)), clean(e.ref.namespace) or "-", bytes_(e.size), clean(e.owner) or "-")
                for e in sorted(entries, key=lambda e: e.ref)
            ],
            4,
        )
    _pointers(page, snapshot)
    if snapshot.skipped:
        page.line()
        page.told("left out:", 2)
        page.table(("object", "count", "why"), skipped_rows(page, snapshot), 4)


def skipped_rows(page: Page, snapshot: Snapshot) -> list[tuple[str, str, str]]:
    """What was left out and why; ``*`` stands for a whole kind, whose objects were not counted."""
    rows = [
        (
            clean(str(s.ref) if s.ref.name else s.ref.kind),
            str(s.count) if s.ref.name or s.count > 1 else "*",
            clean(page.say(s.reason)),
        )
        for s in snapshot.skipped
    ]
    # One kind may be served by two groups, such as Event.
    return list(dict.fromkeys(rows))


def _pointers(page: Page, snapshot: Snapshot) -> None:
    pointers = snapshot.pointers
    rows = [(f"helm/{r.name}", page.say("revision {number}", number=r.revision), r.chart) for r in pointers.releases]
    for workload in pointers.workloads:
        ready = page.say("{ready} of {replicas} ready", ready=workload.ready, replicas=workload.replicas)
        rows.append((str(workload.ref), page.say("revision {number}", number=workload.revision), ready))
    rows += [
        (f"app/{a.name}", page.say("history {number}", number=a.history), a.commit[:12]) for a in pointers.applications
    ]
    rows += [(str(claim.ref), claim.volume, claim.handle) for claim in pointers.claims]
    rows += [(image.workload or image.image, image.image, image.digest) for image in pointers.images]
    rows += [(git.url, git.commit[:12], git.tag) for git in pointers.git]
    if rows:
        page.line()
        page.told("the state around it:", 2)
        page.table(("what", "at", "detail"), [tuple(map(clean, row)) for row in rows], 4)


def show_verified(page: Page, report: Report) -> None:
    """What was checked, and everything that is wrong."""
    for problem in report.problems:
        page.line(f"{page.mark('bad')} {clean(problem.name)}")
        page.line(clean(problem.reason), 4)
        for name in problem.needed_by:
            page.told("needed by {name}", 4, name=clean(name))
    for name in report.unknown_files:
        page.told("{name} is no file of a repository; it was not looked at.", name=clean(name), style="warn")
    page.told(
        "Snapshots: {snapshots}; objects: {objects}; packs: {packs}; {size}",
        snapshots=report.snapshots,
        objects=report.objects,
        packs=report.packs,
        size=bytes_(report.bytes),
    )
    if report.packs_read:
        page.told(
            "read and decrypted: {read} of {packs} packs, {size}",
            2,
            read=report.packs_read,
            packs=report.packs,
            size=bytes_(report.bytes_read),
        )
    elif report.packs:
        page.told("contents were not read; --read-data does", 2, style="dim")
    if report.unused:
        page.told(
            "Objects that no snapshot needs: {count}; backout snapshot prune removes them", 2, count=report.unused
        )
    if report.problems:
        page.told("Problems: {count}", count=len(report.problems), style="bad")
    elif report.packs_read == report.packs:
        page.told("Every snapshot is whole.", style="good")
    else:
        page.told("No problem was found.", style="good")


def show_pruned(page: Page, result: Pruned, *, done: bool) -> None:
    """What goes, what stays and why."""
    rows = [
        (s.short, page.ago(s.taken_at), clean(s.cluster), clean(s.namespace), state(page, s), clean(", ".join(s.tags)))
        for s in result.removed
    ]
    if rows:
        page.told("Removed:" if done else "To be removed:")
        page.table(("id", "taken", "cluster", "namespace", "state", "tags"), rows, 2)
    page.told("Snapshots that stay: {count}", count=len(result.kept))
    said = (
        "Objects removed: {objects}; packs removed: {packs}, written anew: {rewritten}; freed: {size}"
        if done
        else "Objects to be removed: {objects}; packs: {packs}, written anew: {rewritten}; about {size} freed"
    )
    page.told(
        said,
        objects=result.objects_removed,
        packs=result.packs_removed,
        rewritten=result.packs_rewritten,
        size=bytes_(result.freed),
    )
    for name in result.left_alone:
        page.told("{name} is damaged and was left alone.", name=name, style="warn")


def show_keys(page: Page, keys: Keys) -> None:
    """Who can open the snapshots."""
    page.told("The snapshots in {where} can be opened by:", where=keys.where)
    rows = [
        ("*" if item.recipient in keys.own else "", item.recipient, item.name or "-", page.ago(item.added))
        for item in keys.recipients
    ]
    page.table(("", "recipient", "name", "added"), rows, 2)
    page.told("* is your own; its secret half is in {path}", 2, path=keys.identity)
    page.told(
        "fingerprint: {fingerprint}; generation of the key: {generations}",
        2,
        fingerprint=keys.fingerprint,
        generations=keys.generations,
    )
    for text in keys.missing:
        page.told(
            "The configuration names {recipient}, which can't open them yet: backout snapshot key add",
            2,
            recipient=text,
            style="warn",
        )
