# SPDX-License-Identifier: Apache-2.0
"""The revisions of a release, each with a verdict: records first, then what the live cluster says of them."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import BackoutError, RevisionNotFound
from backout.helm.customs import CustomId, custom_resources
from backout.helm.deployed import several, told
from backout.helm.manifest import digest, entries
from backout.helm.payload import Release
from backout.helm.records import Kept, Record, Records
from backout.helm.text import first_line
from backout.helm.workloads import workloads
from backout.kube.needs import NEEDED
from backout.mechanisms.common.evidence import Evidence, gather
from backout.mechanisms.common.reading_objects import missing_of, needs_what_is_gone
from backout.mechanisms.helm.children import Custom, read_customs
from backout.mechanisms.helm.judgement import Facts, Judged, judge
from backout.mechanisms.helm.settled import drifted, drifted_customs, unsettled
from backout.mechanisms.helm.snapshots import SnapshotRecords, records_in_snapshots
from backout.model.message import Message, msg
from backout.model.revision import UNREADABLE, Revision
from backout.model.target import ObjectRef, Target

PRUNED = "pruned"
"""The status of a revision whose record is in a snapshot only."""
_ROLLBACK = re.compile(r"Rollback to (\d+)$")


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read of one release."""

    facts: tuple[Facts, ...]
    evidence: Evidence
    verdicts: tuple[Judged, ...]
    unsettled: tuple[Message, ...] = ()
    """Why the cluster is not at the newest revision, although that is the current one."""
    kept: SnapshotRecords = SnapshotRecords()
    customs: dict[CustomId, Custom] = {}
    """What is live of its custom resources of which something was made, or of which somebody is to say how they are."""
    mute: frozenset[CustomId] = frozenset()
    """Custom resources of which nobody says anything: they only configure something."""
    now: datetime
    """When it was read, by the API server's clock."""

    def facts_of(self, number: int, target: Target) -> Facts:
        """What was read of one revision, its record included.

        Raises:
            RevisionNotFound: there is none of that number.
            TooLarge, Invalid: its record can't be read.
        """
        found = next((facts for facts in self.facts if facts.record.revision == number), None)
        if found is None:
            raise RevisionNotFound(
                "Revision {n} of {target} is not in its history.",
                n=number,
                target=str(target),
                found="revisions {first} to {last}",
                first=self.facts[0].record.revision,
                last=self.facts[-1].record.revision,
                hint="Choose another: `backout history {target}`.",
            )
        if found.unreadable is not None:
            raise found.unreadable
        return found

    @property
    def revisions(self) -> list[Revision]:
        """The revisions in the words of the house, oldest first."""
        head = self.facts[-1].record.revision
        found = [
            _revision(facts, verdict, facts.record.revision == head, self.unsettled)
            for facts, verdict in zip(self.facts, self.verdicts, strict=True)
        ]
        found = [msgspec.structs.replace(r, names=self.kept.names.get(r.number, ())) for r in found]
        if numbers := several(
            (facts.record.revision, facts.record.status) for facts in self.facts if facts.record.kept is None
        ):
            # Of the newest one it stands among what is not settled.
            found = [
                msgspec.structs.replace(one, reasons=(*one.reasons, told(numbers)))
                if one.number in numbers and not one.current
                else one
                for one in found
            ]
        oldest = found[0]
        if self.kept.blind is not None and oldest.number > 1:
            note = msg("Revisions before it were pruned from Helm's history. {why}", why=self.kept.blind)
            found[0] = msgspec.structs.replace(oldest, reasons=(*oldest.reasons, note))
        return found


async def read_history(
    cluster: ClusterReader, records: Records, release: str, coming: Collection[ObjectRef] = ()
) -> History:
    """Reads and judges.

    Raises:
        ReleaseNotFound: the namespace holds no record of it.
    """
    listed = await records.history(release)
    kept, now = await asyncio.gather(records_in_snapshots(records, release, listed), cluster.server_time())
    every = sorted([*kept.records, *listed], key=lambda record: record.revision)
    loaded = await records.load_all(every)
    facts = [
        _facts(record, loaded[record.revision], records.namespace) for record in every if record.revision in loaded
    ]
    facts = [
        msgspec.structs.replace(fact, vouched=kept.vouched.get(fact.record.revision)) if fact.release else fact
        for fact in with_ends(facts)
    ]
    evidence, (customs, made, mute) = await asyncio.gather(
        gather(cluster, {w.id for fact in facts for w in fact.workloads}, now),
        read_customs(cluster, [custom for fact in facts for custom in fact.customs], now),
    )
    evidence = Evidence(workloads={**made.workloads, **evidence.workloads}, blind=evidence.blind)
    facts = [
        msgspec.structs.replace(fact, customs=tuple(custom for custom in fact.customs if custom.id in customs))
        for fact in facts
    ]
    strayed = drifted(facts, evidence)
    if strayed:
        # The newest revision was in force until somebody changed a workload past Helm.
        facts[-1] = msgspec.structs.replace(facts[-1], ended=strayed[0][1])
    edited = drifted_customs(facts, customs)
    customs |= {key: msgspec.structs.replace(customs[key], changed=at) for _, at, key in edited}
    reasons = [*unsettled(facts, evidence), *(message for message, _ in strayed), *(note for note, _, _ in edited)]
    return History(
        facts=tuple(facts),
        evidence=evidence,
        verdicts=tuple(
            await _without_needs(cluster, facts, judge(facts, evidence, customs), records.namespace, coming)
        ),
        customs=customs,
        mute=mute,
        unsettled=tuple(reasons),
        kept=kept,
        now=now,
    )


async def _without_needs(
    cluster: ClusterReader,
    facts: Sequence[Facts],
    verdicts: list[Judged],
    namespace: str,
    coming: Collection[ObjectRef] = (),
) -> list[Judged]:
    """Verdicts in which earlier revisions that ran well are no way back where their pods could not start now: what they need is
    not there, and they don't bring it."""
    asked: list[tuple[int, set[tuple[str, str]], dict[str, Any]]] = []
    for number, (fact, verdict) in enumerate(zip(facts[:-1], verdicts[:-1], strict=True)):
        if verdict.goodness == "good" and fact.release is not None:
            brought = {(entry.kind, entry.name) for entry in entries(fact.release.manifest, frozenset(NEEDED))}
            asked += [(number, brought, one.template) for one in fact.workloads if one.namespace == namespace]
    gone = await missing_of(cluster, [template for _, _, template in asked], namespace, coming)
    found = list(verdicts)
    for (number, brought, _), absent in zip(asked, gone, strict=True):
        left = [ref for ref in absent if (ref.kind, ref.name) not in brought]
        if left and found[number].goodness == "good":
            found[number] = Judged("bad", (needs_what_is_gone(left),))
    return found


def pruned_note(kept: Kept) -> Message:
    """Where a record is that Helm pruned."""
    return msg(
        "Its record was pruned from Helm's history; snapshot {id} of {time} has it.",
        id=kept.snapshot[:8],
        time=kept.taken.strftime("%Y-%m-%d %H:%M UTC"),
    )


def _facts(record: Record, release: Release | BackoutError, namespace: str) -> Facts:
    # The record's creation is the API server's clock, as the times of pods are; Helm's own is the fallback.
    started = record.created
    if isinstance(release, BackoutError):
        return Facts(record=record, release=None, started=started, unreadable=release)
    started = started or release.deployed_at
    try:
        found = workloads(release.manifest, release.namespace or namespace)
        customs = custom_resources(release.manifest, release.namespace or namespace)
    except BackoutError as error:
        return Facts(record=record, release=None, started=started, unreadable=error)
    return Facts(
        record=record,
        release=release,
        digest=digest(release.manifest),
        workloads=found,
        customs=customs,
        started=started,
    )


def with_ends(facts: Sequence[Facts]) -> list[Facts]:
    """A revision was in force until the next one began, whatever came of that one."""
    if not facts:
        return []
    changed = []
    for fact, following in itertools.pairwise(facts):
        release = following.release
        to = _rolled_back_to(following)
        left_for = to if release and following.digest != fact.digest else 0
        if _rolled_back_to(fact) and to == fact.record.revision - 1:
            # A rollback that was taken back, as `undo` does: what was there before is there again, and nobody judged this one.
            left_for = 0
        gap = fact.record.kept is not None and following.record.revision != fact.record.revision + 1
        changed.append(msgspec.structs.replace(fact, ended=following.started, left_for=left_for, gap=gap))
    return [*changed, facts[-1]]


def _rolled_back_to(facts: Facts) -> int:
    """The revision whose content a rollback brought back; 0 for a revision that was none."""
    match = _ROLLBACK.match(facts.release.info.description) if facts.release else None
    return int(match.group(1)) if match else 0


def _revision(facts: Facts, verdict: Judged, current: bool, unsettled: tuple[Message, ...]) -> Revision:
    record, release = facts.record, facts.release
    settled = not (current and unsettled)
    reasons = verdict.reasons if settled else (*verdict.reasons, *unsettled)
    if record.kept is not None:
        reasons = (*reasons, pruned_note(record.kept))
    if release is None:
        return Revision(
            number=record.revision,
            digest=f"{UNREADABLE}{record.revision}",
            created=facts.started,
            status=record.status,
            current=current,
            settled=settled,
            goodness=verdict.goodness,
            reasons=reasons,
        )
    images = dict.fromkeys(
        [
            *(image for workload in facts.workloads for image in workload.images),
            *(image for custom in facts.customs for image in custom.images),
        ]
    )
    return Revision(
        number=record.revision,
        digest=facts.digest,
        created=release.deployed_at or facts.started,
        status=PRUNED if record.kept else record.status,
        summary=first_line(release.info.description),
        chart=release.chart_label,
        app_version=release.app_version,
        images=tuple(images),
        current=current,
        settled=settled,
        goodness=verdict.goodness,
        reasons=reasons,
    )
