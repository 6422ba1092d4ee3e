# SPDX-License-Identifier: Apache-2.0
"""The audit: whether it is whole, its checkpoints, and the lines of a copy."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.app.audit.book import Checkpoint
from backout.app.audit.checking import Finding, Verified
from backout.app.audit.keys import fingerprint
from backout.documents.base import Document


class AuditSigner(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signed checkpoints, and whether it counts here."""

    fingerprint: str
    trusted: bool


class AuditVerification(Document, frozen=True, kw_only=True, omit_defaults=False):
    """`backout audit verify`: ``intact``: nothing changed, missing or cut off was found; ``proven``: and a trusted signature vouches
    for every run that ended (``unsigned`` are those of which none does). ``vouched``: the last entry under one, -1 where there is none."""

    kind: Literal["AuditVerification"] = "AuditVerification"
    database: str
    intact: bool
    proven: bool
    findings: tuple[Finding, ...]
    entries: int
    runs: int
    records: int
    removed: int
    former: int
    vouched: int
    vouched_at: str
    signers: tuple[AuditSigner, ...]
    unsigned: tuple[str, ...]


class AuditCheckpoint(Document, frozen=True, kw_only=True, omit_defaults=False):
    """`backout audit checkpoint`: the last checkpoint, made just now where ``new``. ``head`` is what `verify --head` takes."""

    kind: Literal["AuditCheckpoint"] = "AuditCheckpoint"
    database: str
    head: str
    at: str
    public: str
    fingerprint: str
    new: bool


class AuditKey(Document, frozen=True, kw_only=True):
    """`backout audit key`: your public key, and the file of its secret half."""

    kind: Literal["AuditKey"] = "AuditKey"
    public: str
    fingerprint: str
    file: str


class AuditExport(Document, frozen=True, kw_only=True):
    """The first line of `backout audit export`: of which database, and of which runs there are records (all, where none is named)."""

    kind: Literal["AuditExport"] = "AuditExport"
    database: str
    made: datetime
    entries: int
    runs: tuple[str, ...] | None = None


class AuditEntry(Document, frozen=True, kw_only=True, omit_defaults=False):
    """A line of the log in `backout audit export`; ``hash`` is over all of it but itself, ``prev`` that of the line before."""

    kind: Literal["AuditEntry"] = "AuditEntry"
    n: int
    at: str
    type: str
    run: str
    data: dict[str, Any]
    prev: str
    hash: str


class AuditRecord(Document, frozen=True, kw_only=True, omit_defaults=False):
    """An event of a run in `backout audit export`; ``hash`` is over it and the hash of the one before."""

    kind: Literal["AuditRecord"] = "AuditRecord"
    run: str
    n: int
    key: str
    event: dict[str, Any]
    hash: str


def verification(found: Verified) -> AuditVerification:
    """What was found."""
    return AuditVerification(
        database=found.database,
        intact=found.intact,
        proven=found.proven,
        findings=tuple(found.findings),
        entries=found.entries,
        runs=found.runs,
        records=found.records,
        removed=found.removed,
        former=found.former,
        vouched=found.vouched,
        vouched_at=found.vouched_at,
        signers=tuple(AuditSigner(fingerprint=key, trusted=good) for key, good in found.signers.items()),
        unsigned=tuple(found.open),
    )


def checkpoint_document(found: Checkpoint) -> AuditCheckpoint:
    """The checkpoint."""
    entry = found.entry
    return AuditCheckpoint(
        database=found.database,
        head=f"{entry.n}:{entry.hash}",
        at=entry.at,
        public=found.public,
        fingerprint=fingerprint(found.public),
        new=found.new,
    )
