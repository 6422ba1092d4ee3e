# SPDX-License-Identifier: Apache-2.0
"""Learns what the Secrets of a snapshot hold, so that copies of it in other objects are hidden, too."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from backout.model.decoding import UNREADABLE
from backout.model.knownsecrets import learn_secret
from backout.model.snapshot import Entry
from backout.snapshots.repository import Repository

MOST = 2000
RECORDS = "sh.helm.release.v1."
"""Secrets of that name are Helm's records: large, and read by nobody but Helm."""


async def learn_from(repository: Repository, entries: Iterable[Entry]) -> None:
    """Notes the values of those entries that are Secrets.

    Raises:
        RepositoryDamaged: one of them is missing or altered.
    """
    secrets = [e for e in entries if e.ref.kind == "Secret" and not e.ref.name.startswith(RECORDS)][:MOST]
    for content in await repository.get_many(secrets):
        try:
            found = msgspec.json.decode(content)
        except UNREADABLE:
            continue
        data = found.get("data") if isinstance(found, dict) else None
        learn_secret(data if isinstance(data, dict) else {})
