# SPDX-License-Identifier: Apache-2.0
"""What the plan touches, as it was before the first write: one encrypted file a run.

A file is the line ``backout-capture 1``, then an age file (age-encryption.org/v1) whose content is zlib-compressed
JSON. Secrets are in it, so it is never in clear on a disk. Its SHA-256 is kept with the run: a file that was exchanged
or damaged is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyrage

from backout.cluster.port import ClusterReader, Object, find
from backout.errors import CaptureError
from backout.model.decoding import UNREADABLE
from backout.model.part import Part
from backout.model.scope import ClusterIdentity
from backout.model.target import WORKLOADS, ObjectRef
from backout.snapshots.identity import identities, identity
from backout.snapshots.place import data_folder, private_folder, written

MAGIC = b"backout-capture 1\n"
LIMIT = 512 * 1024 * 1024
"""Bytes after decompression."""


class Absent(msgspec.Struct, frozen=True):
    """The plan touches it, and it did not exist."""

    ref: ObjectRef


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """The state before a run. Holds secrets: never print it, never put it into events."""

    run: str
    cluster: str
    identity: ClusterIdentity
    at: datetime
    objects: tuple[Object, ...]
    absent: tuple[Absent, ...] = ()
    version: int = 1


class CaptureReceipt(msgspec.Struct, frozen=True):
    """What may be told of a capture."""

    path: str
    digest: str
    objects: int
    bytes: int


class CaptureStore:
    """Captures in files of this user; ``folder`` is ``$BACKOUT_DATA`` or ``~/.local/share/backout`` when None."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder()

    def path(self, run: str) -> Path:
        """Where the capture of a run is."""
        return self.folder / "captures" / f"{run}.capture"

    @staticmethod
    def is_of(file: Path, run: str) -> bool:
        """Whether the name of ``file`` is that of a capture of the run."""
        return file.name.startswith(f"{run}.") and file.suffix == ".capture"

    def _folders(self) -> None:
        private_folder(self.folder)
        private_folder(self.folder / "captures")

    def check(self) -> None:
        """Proves that a capture could be kept now: writes and removes a file.

        Raises:
            CaptureError: it could not.
        """
        probe = self.folder / "captures" / ".probe"
        self._folders()
        written(probe, b"\0" * 65536)
        probe.unlink(missing_ok=True)

    def save(self, capture: Capture) -> CaptureReceipt:
        """Encrypts and keeps it; safe against power cuts.

        Raises:
            CaptureError: the disk is full or not writable, or it is larger than what `load` would read.
        """
        self._folders()
        recipient = identity(self.folder, create=True).to_public()
        encoded = msgspec.json.encode(capture)
        if len(encoded) > LIMIT:
            raise CaptureError(
                "The state before run {run} is too large to be kept: {size} bytes.",
                run=capture.run,
                size=len(encoded),
                expected="no more than {limit}",
                found="{size}",
                limit=LIMIT,
            )
        plain = zlib.compress(encoded, 6)
        content = MAGIC + pyrage.encrypt(plain, [recipient])
        written(self.path(capture.run), content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return CaptureReceipt(str(self.path(capture.run)), digest, len(capture.objects), len(content))

    def load(self, run: str, digest: str = "") -> Capture:
        """Reads it back; ``digest`` is the one that was recorded with the run.

        Raises:
            CaptureError: missing, damaged, exchanged, too large, or of another key.
        """
        path = self.path(run)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CaptureError(
                "The capture of run {run} can't be read: {reason}.",
                run=run,
                reason=error.strerror or "no such file",
                found="{path}",
                path=str(path),
            ) from error
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest and found != digest:
            raise CaptureError(
                "The capture of run {run} is not the file that was written.",
                run=run,
                expected="{digest}",
                found="{actual}",
                digest=digest,
                actual=found,
                hint="put {path} back from a backup",
                path=str(path),
            )
        if not content.startswith(MAGIC):
            raise CaptureError("{path} is not a capture that this version can read.", path=str(path))
        try:
            packed = pyrage.decrypt(content[len(MAGIC) :], identities(self.folder))
        except pyrage.DecryptError as error:
            raise CaptureError(
                "The capture of run {run} can't be decrypted: another key, or a damaged file.",
                run=run,
                hint="the key is {key}",
                key=str(self.folder / "identity.age"),
            ) from error
        unpacker = zlib.decompressobj()
        try:
            plain = unpacker.decompress(packed, LIMIT)
            if not unpacker.eof:
                raise CaptureError("The capture of run {run} is larger than {limit} bytes.", run=run, limit=LIMIT)
            return msgspec.json.decode(plain, type=Capture)
        except (zlib.error, *UNREADABLE) as error:
            raise CaptureError("The capture of run {run} is damaged inside.", run=run) from error


async def capture(cluster: ClusterReader, part: Part, run: str, more: Iterable[Object] = ()) -> Capture:
    """Reads everything that the part touches or destroys, as it is now; writes nothing.

    Taken are: the objects of the diff, what steps destroy, the workloads that the checks name, and ``more``, which the
    way back wants to be kept and has just read.

    Raises:
        AccessDenied: something of it may not be read, so it could not be put back.
    """
    objects: dict[tuple[str, str, str, str], Object] = {}
    absent: list[Absent] = []
    refs = list(_refs(part))
    asked = await asyncio.gather(*(find(cluster, ref) for ref in refs), return_exceptions=True)
    for ref, found in zip(refs, asked, strict=True):
        if isinstance(found, BaseException):
            raise found
        if found is None:
            absent.append(Absent(ref))
        else:
            objects[(ref.api_version, ref.kind, ref.namespace, ref.name)] = found
    for obj in more:
        ref = ObjectRef.of(obj)
        objects[(ref.api_version, ref.kind, ref.namespace, ref.name)] = obj
    return Capture(
        run=run,
        cluster=part.scope.cluster,
        identity=part.scope.identity,
        at=datetime.now(UTC),
        objects=tuple(_plain(obj) for obj in objects.values()),
        absent=tuple(absent),
    )


def captured_object(captured: Capture, ref: ObjectRef) -> Object:
    """The object as the run found it.

    Raises:
        CaptureError: it is not in the capture.
    """
    for obj in captured.objects:
        meta = obj.get("metadata") or {}
        mine = (obj.get("apiVersion"), obj.get("kind"), meta.get("name"), meta.get("namespace") or "")
        if mine == (ref.api_version, ref.kind, ref.name, ref.namespace):
            return obj
    raise CaptureError("The capture of run {run} does not hold {object}.", run=captured.run, object=str(ref))


def _refs(part: Part) -> Iterable[ObjectRef]:
    seen: set[ObjectRef] = set()
    wanted = [change.ref for change in part.changes.objects]
    wanted += [ref for step in part.steps for ref in step.destroys]
    for check in part.checks:
        if check.target.kind in WORKLOADS:
            kind = WORKLOADS[check.target.kind]
            wanted.append(ObjectRef("apps/v1", kind, check.target.name, check.target.namespace or part.scope.namespace))
    for ref in wanted:
        plain = msgspec.structs.replace(ref, uid="")
        if plain not in seen:
            seen.add(plain)
            yield plain


def _plain(obj: dict[str, Any]) -> Object:
    """Without managedFields: large, and of no use for putting it back."""
    meta = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    return {**obj, "metadata": meta}


__all__ = ["Capture", "CaptureReceipt", "CaptureStore", "capture", "captured_object"]
