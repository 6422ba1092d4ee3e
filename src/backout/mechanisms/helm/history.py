# SPDX-License-Identifier: Apache-2.0
"""The revisions of a release, each with a verdict: records first, then what the live cluster says of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from backout.cluster.port import Cluster
from backout.errors import BackoutError
from backout.mechanisms.helm.evidence import Evidence, gather
from backout.mechanisms.helm.judgement import Facts, Judged, judge
from backout.mechanisms.helm.manifest import digest
from backout.mechanisms.helm.payload import Release
from backout.mechanisms.helm.records import Record, Records
from backout.mechanisms.helm.text import first_line
from backout.mechanisms.helm.workloads import workloads
from backout.model.revision import Revision


class History(msgspec.Struct, frozen=True):
    """Everything that was read of one release."""

    facts: tuple[Facts, ...]
    evidence: Evidence
    verdicts: tuple[Judged, ...]

    @property
    def revisions(self) -> list[Revision]:
        """The revisions in the words of the house, oldest first."""
        head = self.facts[-1].record.revision
        return [
            _revision(facts, verdict, facts.record.revision == head)
            for facts, verdict in zip(self.facts, self.verdicts, strict=True)
        ]


async def read_history(cluster: Cluster, records: Records, release: str) -> History:
    """Reads and judges.

    Raises:
        ReleaseNotFound: the namespace holds no record of it.
    """
    listed = await records.history(release)
    loaded = await records.load_all(listed)
    facts = [
        _facts(record, loaded[record.revision], records.namespace) for record in listed if record.revision in loaded
    ]
    facts = _with_ends(facts)
    now = await cluster.server_time()
    evidence = await gather(cluster, {w.id for fact in facts for w in fact.workloads}, now)
    return History(tuple(facts), evidence, tuple(judge(facts, evidence)))


def _facts(record: Record, release: Release | BackoutError, namespace: str) -> Facts:
    # The record's creation is the API server's clock, as the times of pods are; Helm's own is the fallback.
    started = record.created
    if isinstance(release, BackoutError):
        return Facts(record=record, release=None, started=started, unreadable=release.message)
    started = started or release.deployed_at
    try:
        found = workloads(release.manifest, release.namespace or namespace)
    except BackoutError as error:
        return Facts(record=record, release=None, started=started, unreadable=error.message)
    return Facts(record=record, release=release, digest=digest(release.manifest), workloads=found, started=started)


def _with_ends(facts: Sequence[Facts]) -> list[Facts]:
    """A revision was in force until the next one began, whatever came of that one."""
    ends: list[datetime | None] = [following.started for following in facts[1:]]
    return [msgspec.structs.replace(fact, ended=end) for fact, end in zip(facts, [*ends, None], strict=True)]


def _revision(facts: Facts, verdict: Judged, current: bool) -> Revision:
    record, release = facts.record, facts.release
    if release is None:
        return Revision(
            number=record.revision, digest=f"unreadable-{record.revision}", created=facts.started, status=record.status,
            current=current, goodness=verdict.goodness, reasons=verdict.reasons,
        )  # fmt: skip
    images = dict.fromkeys(image for workload in facts.workloads for image in workload.images)
    return Revision(
        number=record.revision, digest=facts.digest, created=release.deployed_at or facts.started,
        status=record.status, summary=first_line(release.info.description), chart=release.chart_label,
        app_version=release.app_version, images=tuple(images), current=current, goodness=verdict.goodness,
        reasons=verdict.reasons,
    )  # fmt: skip
