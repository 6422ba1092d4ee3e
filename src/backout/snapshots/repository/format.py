# SPDX-License-Identifier: Apache-2.0
"""Names, numbers and headers of docs/snapshot-format.md. Nothing here reads or encrypts."""

from __future__ import annotations

import re
import struct
from datetime import datetime
from enum import IntEnum

import msgspec

from backout.errors import FormatUnknown, RepositoryDamaged
from backout.model.decoding import UNREADABLE

FORMAT = "backout-snapshots"
VERSION = 1
MAGIC = b"bkot"

HEADER = struct.Struct(">4sBB8s")
PLAIN = struct.Struct(">BI")
ROW = struct.Struct(">B32sI")
LENGTH = struct.Struct(">I")

NONCE = 12
TAG = 16
CONTEXT = 16

MAX_CONTENT = 64 * 1024 * 1024
"""Bytes of one object or summary after decompression."""
MAX_PACK = 96 * 1024 * 1024
MAX_KEYS = 1024 * 1024
MAX_CONFIG = 64 * 1024
MAX_LOCK = 64 * 1024
PACK_OBJECTS = 1000
PACK_BYTES = 8 * 1024 * 1024
"""A pack is closed when it holds this many bytes before compression."""
PAGE_ENTRIES = 1000
CONTENTS_AT_ONCE = 200
MAX_PAGE = 8 * 1024 * 1024
MAX_ROWS = 20_000

CONFIG = "config"
KEYS, PACKS, SNAPSHOTS, LOCKS = "keys/", "packs/", "snapshots/", "locks/"
NAMES = re.compile(r"config|keys/[0-9]{8}|packs/[0-9a-f]{64}|snapshots/[0-9a-f]{32}|locks/[0-9a-f]{32}", re.ASCII)
ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
ADDRESS = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Kind(IntEnum):
    """What an encrypted piece is; part of its associated data."""

    OBJECT = 1
    PAGE = 2
    SUMMARY = 3
    LOCK = 4
    TABLE = 5


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The only file in clear."""

    format: str
    version: int
    id: str
    created: datetime


class _Version(msgspec.Struct, frozen=True):
    format: str
    version: int


def read_config(content: bytes, where: str) -> Config:
    """Reads the file ``config``; the version is looked at before anything else.

    Raises:
        FormatUnknown: of another version.
        RepositoryDamaged: not such a file.
    """
    try:
        head = msgspec.json.decode(content, type=_Version)
    except UNREADABLE as error:
        raise _no_config(where) from error
    if head.format != FORMAT:
        raise _no_config(where)
    if head.version != VERSION:
        raise unknown_version(CONFIG, head.version)
    try:
        config = msgspec.json.decode(content, type=Config)
    except UNREADABLE as error:
        raise _no_config(where) from error
    if not ID.fullmatch(config.id):
        raise _no_config(where)
    return config


def _no_config(where: str) -> RepositoryDamaged:
    return RepositoryDamaged("The file config of {where} is damaged: it does not describe a repository.", where=where)


def unknown_version(name: str, version: int) -> FormatUnknown:
    """The refusal of another format version."""
    if version > VERSION:
        return FormatUnknown(
            "{name} is in format version {version}, which is newer than this program reads.",
            name=name,
            version=version,
            known=VERSION,
            expected="format version {known}",
            hint="use a newer Backout",
        )
    return FormatUnknown(
        "{name} is in format version {version}, which is older than this program reads.",
        name=name,
        version=version,
        known=VERSION,
        expected="format version {known}",
        hint="use the Backout that wrote it",
    )


def header(kind: Kind, generation: bytes) -> bytes:
    """The header of a file, and the first part of associated data."""
    return HEADER.pack(MAGIC, VERSION, kind, generation)


def read_header(content: bytes, kind: Kind, name: str) -> bytes:
    """Checks the header of a file and gives the generation of the key that it was written with.

    Raises:
        FormatUnknown: of another version.
        RepositoryDamaged: no such header.
    """
    if len(content) < HEADER.size or content[:4] != MAGIC:
        raise damaged(name, "its start is not that of such a file")
    _, version, found, generation = HEADER.unpack_from(content)
    if version != VERSION:
        raise unknown_version(name, version)
    if found != kind:
        raise damaged(name, "it is a file of another kind")
    return bytes(generation)


def damaged(name: str, reason: str) -> RepositoryDamaged:
    """The error that names what is damaged. ``reason`` is one of the plain sentences of this package."""
    return RepositoryDamaged(
        "{name} is damaged: {reason}.",
        name=name,
        reason=reason,
        hint="backout snapshot verify --read-data says what else is; put the file back from a copy of the storage",
    )
