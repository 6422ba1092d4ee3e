# SPDX-License-Identifier: Apache-2.0
"""The Helm releases of a namespace with what their newest revisions hold of each object. Decoded when asked for."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError
from backout.helm.manifest import entries
from backout.helm.records import Record, Records
from backout.model.target import Target

LOOKED_BACK = 10
"""Revisions, from the newest, in which a change is sought."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One object as one revision of a release holds it; ``content`` is None where it holds none."""

    release: Target
    revision: int
    at: datetime | None
    content: Object | None
    status: str = ""


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a release: its objects by kind and name, or None where its record can't be read."""

    revision: int
    at: datetime | None
    status: str
    chart: str = ""
    contents: dict[tuple[str, str], Object] | None = None


class ReleaseHistory:
    """The records of one release, oldest first."""

    def __init__(self, records: Records, target: Target, history: list[Record]) -> None:
        self._records, self.target, self._history = records, target, history
        self._contents: dict[int, dict[tuple[str, str], Object] | None] = {}
        self._times: dict[int, datetime | None] = {}
        self._charts: dict[int, str] = {}

    @property
    def head(self) -> Record:
        """The newest record."""
        return self._history[-1]

    @property
    def in_force(self) -> Record:
        """The newest record that Helm calls deployed; the newest of all where it calls none so."""
        return next((r for r in reversed(self._history) if r.status == "deployed"), self._history[-1])

    @property
    def since_in_force(self) -> list[Record]:
        """The record in force, and those that came after it: under way, or failed half-way."""
        return [record for record in self._history if record.revision >= self.in_force.revision]

    async def contents(self, record: Record) -> dict[tuple[str, str], Object] | None:
        """The objects of a revision by kind and name; None when its record can't be read."""
        if record.revision not in self._contents:
            try:
                release = await self._records.load(record)
                self._times[record.revision] = record.created or release.deployed_at
                self._charts[record.revision] = release.chart_label
                found = {
                    (entry.kind, entry.name): entry.object
                    for entry in entries(release.manifest)
                    if entry.namespace(self._records.namespace) == self._records.namespace
                }
                self._contents[record.revision] = found
            except BackoutError:
                self._contents[record.revision] = None
        return self._contents[record.revision]

    async def every(self) -> list[Revision]:
        """The newest revisions with what they hold, oldest first."""
        return [
            Revision(
                revision=record.revision,
                contents=await self.contents(record),
                at=self._times.get(record.revision, record.created),
                status=record.status,
                chart=self._charts.get(record.revision, ""),
            )
            for record in self._history[-LOOKED_BACK:]
        ]

    async def versions(self, kind: str, name: str) -> list[Version]:
        """What the newest revisions hold of one object, oldest first; those that can't be read are left out."""
        found = []
        for record in self._history[-LOOKED_BACK:]:
            contents = await self.contents(record)
            if contents is not None:
                found.append(
                    Version(
                        release=self.target,
                        revision=record.revision,
                        at=self._times.get(record.revision),
                        content=contents.get((kind, name)),
                        status=record.status,
                    )
                )
        return found


async def read_histories(cluster: ClusterReader, namespace: str) -> dict[str, ReleaseHistory]:
    """All releases of a namespace; none when their records may not be read."""
    try:
        records = Records(cluster, namespace)
        newest = await records.releases()
        names = sorted(name for _, name in newest)
        histories = await asyncio.gather(*(records.history(name) for name in names))
    except BackoutError:
        return {}
    return {
        name: ReleaseHistory(records, Target("helm", name, namespace, cluster.name), history)
        for name, history in zip(names, histories, strict=True)
    }
