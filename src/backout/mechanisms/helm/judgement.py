# SPDX-License-Identifier: Apache-2.0
"""Which revisions were good. Pure: the same records and the same evidence always give the same verdicts.

Helm's own status proves little: without ``--wait`` an upgrade whose pods never start is ``deployed`` and later
``superseded``, and a rollback whose apply fails marks its base superseded though that had failed. So the workloads are
asked: which templates run steadily now, and which one did every pod of a set reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from backout.errors import BackoutError
from backout.helm.customs import CustomId, CustomResource
from backout.helm.payload import Release
from backout.helm.records import PENDING, Record
from backout.helm.text import duration, first_line
from backout.helm.workloads import Workload
from backout.mechanisms.common.evidence import Evidence, WorkloadId
from backout.mechanisms.common.findings import Finding, Span, findings
from backout.mechanisms.helm.children import Custom, custom_findings
from backout.model.message import Message, joined, msg
from backout.model.revision import Goodness

STOOD = timedelta(hours=24)
"""In force for that long and then replaced in the ordinary way: good, when nothing in the cluster says otherwise."""


BRIEF = timedelta(minutes=10)
"""In force for less, and replaced: of what nothing is seen any more nothing good is assumed then."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One revision as it was read. ``release`` is None when its record can't be read, and ``unreadable`` says why."""

    record: Record
    release: Release | None
    digest: str = ""
    workloads: tuple[Workload, ...] = ()
    customs: tuple[CustomResource, ...] = ()
    """The custom resources of which something was made, or of which somebody is to say how they are."""
    started: datetime | None = None
    ended: datetime | None = None
    unreadable: BackoutError | None = None
    left_for: int = 0
    """The revision to which somebody rolled back from this one; 0 when the next one was no rollback."""
    gap: bool = False
    """The next revision is not known, so how long this one was in force is not either."""
    vouched: Message | None = None
    """What a good snapshot says for it."""


class Judged(msgspec.Struct, frozen=True):
    """How good a revision was, and why."""

    goodness: Goodness
    reasons: tuple[Message, ...]


def judge(
    history: Sequence[Facts], evidence: Evidence, customs: Mapping[CustomId, Custom] | None = None
) -> list[Judged]:
    """A verdict for each revision of ``history`` (oldest first). ``customs``: what is live of its custom resources, whose
    workloads are in ``evidence`` too."""
    if not history:
        return []
    spans = [Span(number=f.record.revision, started=f.started, ended=f.ended) for f in history]
    found: dict[WorkloadId, dict[tuple[int, str], Finding]] = {}
    for identity in {workload.id for facts in history for workload in facts.workloads}:
        seen = evidence.workloads.get(identity)
        if seen is None:
            continue
        versions = [next((w for w in facts.workloads if w.id == identity), None) for facts in history]
        found[identity] = findings(seen, versions, spans)
    for identity, custom in (customs or {}).items():
        described = [next((c for c in facts.customs if c.id == identity), None) for facts in history]
        found[identity] = custom_findings(custom, evidence, described, spans)
    head = {part.id: part.key for part in _parts(history[-1])}
    left = _left(history)
    barren = frozenset(identity for identity, custom in (customs or {}).items() if not custom.children)
    lost = () if evidence.blind else tuple(w for w in history[-1].workloads if w.id not in evidence.workloads)
    verdicts = [
        _vouched(
            facts,
            _one(facts, index == len(history) - 1, head, found, evidence, left, barren),
            lost if index == len(history) - 1 else (),
        )
        for index, facts in enumerate(history)
    ]
    return _share(history, verdicts)


def _vouched(facts: Facts, judged: Judged, lost: Sequence[Workload] = ()) -> Judged:
    """A good snapshot decides where the cluster does not; what fails now is bad now, whatever it once was: but not while the
    cluster lacks some of its workloads (``lost``), since others may fail for want of them."""
    if facts.vouched is None:
        return judged
    if lost and judged.goodness == "bad" and not _is_failed(facts):
        names = ", ".join(f"{one.kind.lower()}/{one.name}" for one in lost[:3]) + (" …" if len(lost) > 3 else "")
        note = msg("The cluster lacks {objects} of it, so what fails now may fail for want of that.", objects=names)
        return Judged("good", (facts.vouched, note, *judged.reasons))
    if judged.goodness == "unknown" and not _is_failed(facts):
        return Judged("good", (facts.vouched,))
    return Judged(judged.goodness, (*judged.reasons, facts.vouched))


def _one(
    facts: Facts,
    is_head: bool,
    head: dict[WorkloadId, str],
    found: dict[WorkloadId, dict[tuple[int, str], Finding]],
    evidence: Evidence,
    left: frozenset[tuple[CustomId, str]],
    barren: frozenset[CustomId] = frozenset(),
) -> Judged:
    """``barren``: custom resources of which no workload is made. What they said of a revision that is not in force any more is
    nowhere, and was nothing that pods depended on as far as one sees."""
    if facts.release is None:
        return Judged(
            "bad", (msg("Its record can't be read: {why}", why=facts.unreadable.message if facts.unreadable else ""),)
        )
    against = _record_says_no(facts)
    relevant = [part for part in _parts(facts) if is_head or head.get(part.id) != part.key]
    relevant = relevant or list(_parts(facts))
    good: list[Message] = []
    bad: list[Message] = []
    silent: list[str] = []
    for part in relevant:
        seen = evidence.workloads.get(part.id)
        if seen is not None and seen.desired == 0:
            continue
        finding = found.get(part.id, {}).get((facts.record.revision, part.key))
        if finding is None and not is_head and part.id in barren:
            continue
        if finding is None:
            silent.append(f"{part.kind.lower()}/{part.name}")
        else:
            (good if finding.good else bad).append(finding.message)
    if against:
        if good and not bad and not silent:
            note = msg("Its pods became ready all the same; name it with --to if you know that it is good.")
            return Judged("unknown", (*against, *good) if is_head else (*against, *good, note))
        return Judged("bad", (*against, *bad))
    if bad:
        return Judged("bad", tuple(bad))
    if good and not silent:
        return Judged("good", tuple(good))
    if silent and evidence.blind and not facts.left_for:
        # That nothing speaks against it says nothing where nothing can be heard.
        hidden = msg("Not enough can be read to judge it: {why}", why=joined(evidence.blind))
        return Judged("unknown", (*good, hidden))
    if not is_head and (untold := _untold(facts, silent, head, found, left)):
        good = good or [
            finding.message
            for workload in facts.workloads
            if (finding := found.get(workload.id, {}).get((facts.record.revision, workload.key))) and finding.good
        ]
        if good:
            return Judged("good", (*good, untold))
    return _by_time(facts, is_head, good, silent)


def _record_says_no(facts: Facts) -> tuple[Message, ...]:
    """What Helm itself holds against a revision."""
    assert facts.release is not None
    status, info = facts.record.status, facts.release.info
    words = first_line(info.description)
    reasons: list[Message] = []
    if status in PENDING:
        reasons.append(msg("Helm never finished it ({status}).", status=status))
    elif status not in {"deployed", "superseded"}:
        reasons.append(msg("Helm records it as {status}: {description}", status=status, description=words))
    elif " failed:" in info.description:
        # A rollback whose apply fails marks its base superseded, whatever it was (helm pkg/action/rollback.go).
        reasons.append(msg("Helm says {status}, but it had failed: {description}", status=status, description=words))
    elif info.status in PENDING or info.status == "failed":
        reasons.append(
            msg("Its label says {status}, but the record itself says {inner}.", status=status, inner=info.status)
        )
    reasons.extend(
        msg("Its hook {hook} failed.", hook=hook.name)
        for hook in facts.release.hooks or ()
        if hook.last_run.phase == "Failed" and set(hook.events or ()) - {"test", "test-success"}
    )
    return tuple(reasons)


def _by_time(facts: Facts, is_head: bool, good: list[Message], silent: list[str]) -> Judged:
    """Nothing speaks against it, but the cluster does not (fully) speak for it."""
    known = tuple(good)
    if facts.left_for:
        note = msg("Somebody rolled back from it, to revision {revision}.", revision=facts.left_for)
        return Judged("unknown", (*known, note))
    if facts.started and facts.ended and not facts.gap and facts.ended - facts.started >= STOOD:
        held = msg(
            "It was in force for {duration} before the next change, and nothing speaks against it.",
            duration=duration(facts.ended - facts.started),
        )
        return Judged("good", (*known, held))
    if not _parts(facts):
        return Judged("unknown", (*known, msg("It has no workload that could show whether it was good.")))
    if is_head and silent and good:
        names = ", ".join(silent[:3]) + (" …" if len(silent) > 3 else "")
        return Judged("unknown", (msg("Nobody has said how {resources} is yet.", resources=names), *known))
    if is_head:
        unproven = msg("Helm says {status}, which does not prove that its pods are ready.", status=facts.record.status)
        return Judged("unknown", (*known, unproven))
    names = ", ".join(silent[:3]) + (" …" if len(silent) > 3 else "")
    if facts.started and facts.ended and not facts.gap:
        note = msg(
            "It was in force for {duration}; nothing in the cluster shows whether its pods were ready ({names}).",
            duration=duration(facts.ended - facts.started),
            names=names,
        )
    else:
        note = msg("Nothing in the cluster shows whether its pods were ready ({names}).", names=names)
    return Judged("unknown", (*known, note))


def _share(history: Sequence[Facts], verdicts: list[Judged]) -> list[Judged]:
    """Equal manifests are the same state: what proves one proves the other, where nothing speaks against that one."""
    proven = {
        facts.digest: facts.record.revision
        for facts, verdict in zip(history, verdicts, strict=True)
        if verdict.goodness == "good" and facts.digest
    }
    shared = []
    for facts, verdict in zip(history, verdicts, strict=True):
        twin = proven.get(facts.digest)
        if twin is not None and twin != facts.record.revision and verdict.goodness != "good":
            note = msg("Its content is that of revision {revision}, which was good.", revision=twin)
            goodness: Goodness = "good" if verdict.goodness == "unknown" and not _is_failed(facts) else verdict.goodness
            verdict = Judged(goodness, (note, *verdict.reasons) if goodness == "good" else (*verdict.reasons, note))
        shared.append(verdict)
    return shared


def _untold(
    facts: Facts,
    silent: Sequence[str],
    head: Mapping[WorkloadId, str],
    found: Mapping[WorkloadId, Mapping[tuple[int, str], Finding]],
    left: frozenset[tuple[CustomId, str]],
) -> Message | None:
    """What is said where only custom resources are silent: an operator replaces what it made, and what it made before is gone.
    Nothing speaks against them, and what comes of them is measured after a way back.

    None where others are silent too, where somebody rolled back from such a content, or where an earlier one is proven. None for
    a revision that was soon replaced, as a rule for a reason, unless just this resource fails now: then it was replaced by what fails.
    """
    customs = {custom.label: custom for custom in facts.customs}
    if not silent or not customs.keys() >= set(silent):
        return None
    brief = facts.started is None or facts.ended is None or facts.ended - facts.started < BRIEF
    for custom in (customs[label] for label in silent):
        told = found.get(custom.id, {})
        proven = [number for (number, key), one in told.items() if one.good and key != custom.key]
        if (custom.id, custom.key) in left or any(number < facts.record.revision for number in proven):
            return None
        fails = any(key == head.get(custom.id) and not one.good for (_, key), one in told.items())
        if brief and not fails:
            return None
    return msg(
        "How what {resources} made was then is not seen any more; nothing speaks against it.",
        resources=", ".join(silent),
    )


def _left(history: Sequence[Facts]) -> frozenset[tuple[CustomId, str]]:
    """Contents of custom resources from which somebody rolled back to another one."""
    by_number = {facts.record.revision: facts for facts in history}
    found: set[tuple[CustomId, str]] = set()
    for facts in history:
        to = by_number.get(facts.left_for)
        kept = {(custom.id, custom.key) for custom in to.customs} if to is not None else None
        if kept is not None:
            found.update((c.id, c.key) for c in facts.customs if (c.id, c.key) not in kept)
    return frozenset(found)


def _parts(facts: Facts) -> tuple[Workload | CustomResource, ...]:
    """What could show how good a revision was: its workloads, and the custom resources of which workloads are made."""
    return (*facts.workloads, *facts.customs)


def _is_failed(facts: Facts) -> bool:
    return facts.release is None or bool(_record_says_no(facts))
