# SPDX-License-Identifier: Apache-2.0
"""Which snapshots stay. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from backout.model.snapshot import Snapshot


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a namespace stay: the newest ``last``, the newest of each of the newest ``daily`` days and ``weekly``
    ISO weeks (UTC) that have any, and all that are ``tagged``. A policy without any of these keeps everything."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    tagged: bool = False

    @property
    def empty(self) -> bool:
        """True when nothing was asked for."""
        return not (self.last or self.daily or self.weekly or self.tagged)


def kept(snapshots: Iterable[Snapshot], policy: Policy) -> dict[str, str]:
    """Ids of those that stay, and why: last, daily, weekly, tagged, good, all.

    Each cluster, namespace and kind counts for itself: many snapshots of an incident, or many that runs took, never
    push out those that somebody asked for, nor each other. The newest that is known to be good stays in any case.
    """
    ordered = sorted(snapshots, key=lambda s: (s.taken_at, s.id), reverse=True)
    if policy.empty:
        return {snapshot.id: "all" for snapshot in ordered}
    found: dict[str, str] = {}
    groups: dict[tuple[str, ...], list[Snapshot]] = {}
    places: dict[tuple[str, str], list[Snapshot]] = {}
    for snapshot in ordered:
        place = (snapshot.identity.uid or snapshot.identity.ca, snapshot.namespace)
        groups.setdefault((*place, _group(snapshot)), []).append(snapshot)
        places.setdefault(place, []).append(snapshot)
    for group in groups.values():
        for snapshot in group[: policy.last]:
            found.setdefault(snapshot.id, "last")
        for snapshot in _newest_of_each(group, policy.daily, lambda at: at.date().isoformat()):
            found.setdefault(snapshot.id, "daily")
        for snapshot in _newest_of_each(group, policy.weekly, lambda at: "{}-{}".format(*at.isocalendar()[:2])):
            found.setdefault(snapshot.id, "weekly")
        for snapshot in group:
            if policy.tagged and snapshot.tags:
                found.setdefault(snapshot.id, "tagged")
    for group in places.values():
        for snapshot in [s for s in group if s.vouches][:1]:
            found.setdefault(snapshot.id, "good")
    return found


def _group(snapshot: Snapshot) -> str:
    if snapshot.imported_from:
        return "imported"
    # What runs took is of an incident as a rule: it must not push out what somebody took of one.
    return "incident" if snapshot.incident and snapshot.kind != "run" else snapshot.kind


def _newest_of_each(group: list[Snapshot], count: int, span: Callable[[datetime], str]) -> list[Snapshot]:
    first: dict[str, Snapshot] = {}
    for snapshot in group:
        first.setdefault(span(snapshot.taken_at.astimezone(UTC)), snapshot)
    return list(first.values())[:count]
