# SPDX-License-Identifier: Apache-2.0
"""The inside of a release record: base64, gzip, JSON. Everything in it came from outside and is held to limits.

Helm stores JSON → gzip → base64 in the key ``release`` (helm pkg/storage/driver/util.go); a Secret adds one more base64
as every Secret value does. Helm itself inflates without a limit; here a record that grows beyond reason is refused.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from datetime import datetime

import msgspec

from backout.errors import Invalid, TooLarge
from backout.model.decoding import UNREADABLE

MAX_BYTES = 64 * 1024 * 1024
MAX_RATIO = 200
RATIO_FLOOR = 4 * 1024 * 1024
"""Below this many bytes the ratio is not looked at: a small record of many equal lines compresses well honestly."""

_GZIP = b"\x1f\x8b\x08"
_CHUNK = 256 * 1024


class HookRun(msgspec.Struct, frozen=True):
    """How a hook ended the last time it ran in this revision. ``phase`` is empty until then."""

    phase: str = ""


class Hook(msgspec.Struct, frozen=True):
    """An object that Helm makes at certain events of a release, outside of its manifest."""

    name: str = ""
    kind: str = ""
    path: str = ""
    manifest: str = ""
    events: tuple[str, ...] | None = ()
    weight: int = 0
    last_run: HookRun = HookRun()
    delete_policies: tuple[str, ...] | None = ()


class ChartMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """Name and versions of a chart. The name may hold dashes, so the version is never cut out of ``name-version``."""

    name: str = ""
    version: str = ""
    app_version: str | float | int | None = ""


class Chart(msgspec.Struct, frozen=True):
    """Of a chart, only what it is called: templates and values are skipped while decoding."""

    metadata: ChartMetadata | None = None


class Info(msgspec.Struct, frozen=True):
    """What Helm says of this revision. Times are the Helm client's own clock."""

    first_deployed: str | None = None
    last_deployed: str | None = None
    description: str = ""
    status: str = "unknown"
    rollback_revision: int = 0


class Release(msgspec.Struct, frozen=True):
    """The fields of a release record that a way back needs (helm pkg/release/v1/release.go)."""

    name: str = ""
    namespace: str = ""
    version: int = 0
    manifest: str = ""
    hooks: tuple[Hook, ...] | None = ()
    chart: Chart | None = None
    info: Info = Info()
    apply_method: str = ""

    @property
    def chart_label(self) -> str:
        """``name-version``, as `helm history` shows it."""
        metadata = self.chart.metadata if self.chart else None
        return f"{metadata.name}-{metadata.version}" if metadata else ""

    @property
    def app_version(self) -> str:
        """The application's version as the chart states it."""
        metadata = self.chart.metadata if self.chart else None
        return str(metadata.app_version or "") if metadata else ""

    @property
    def server_side(self) -> bool:
        """True when this revision was written by server-side apply; an absent mark means client-side."""
        return self.apply_method == "ssa"

    @property
    def deployed_at(self) -> datetime | None:
        """When Helm began to write this revision, by the clock of the machine it ran on."""
        return parse_time(self.info.last_deployed)


_decoder: msgspec.json.Decoder[Release] = msgspec.json.Decoder(Release)


def parse_time(text: str | None) -> datetime | None:
    """A time as Go writes it, with nanoseconds and offset; None where Helm wrote the zero time or nothing."""
    if not text or text.startswith("0001-"):
        return None
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None


def decode(text: str, name: str, *, wrapped: bool) -> Release:
    """Reads one record. ``wrapped`` when the value comes from a Secret, which is base64 once more.

    Raises:
        TooLarge: more than 64 MiB, or inflates more than 200 times.
        Invalid: not a Helm release.
    """
    return parse(unpack(text, name, wrapped=wrapped), name)


def unpack(text: str, name: str, *, wrapped: bool) -> bytes:
    """The JSON of a record.

    Raises:
        TooLarge, Invalid: as `decode`.
    """
    try:
        inner = base64.b64decode(text, validate=True) if wrapped else text.encode("ascii")
        raw = base64.b64decode(inner, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _broken(name, "it is not base64") from error
    return inflate(raw, name)


def inflate(raw: bytes, name: str) -> bytes:
    """Undoes gzip within the limits; what is not gzip is returned as it is, since old records are plain JSON."""
    if not raw.startswith(_GZIP):
        if len(raw) > MAX_BYTES:
            raise _bomb(name, len(raw))
        return raw
    limit = min(MAX_BYTES, max(RATIO_FLOOR, MAX_RATIO * len(raw)))
    engine = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size = 0
    pending = raw
    try:
        while pending and not engine.eof:
            part = engine.decompress(pending, _CHUNK)
            size += len(part)
            if size > limit:
                raise _bomb(name, len(raw))
            parts.append(part)
            pending = engine.unconsumed_tail
            if not part and not pending:
                break
    except zlib.error as error:
        raise _broken(name, "its compressed data is damaged") from error
    if not engine.eof:
        raise _broken(name, "its compressed data is cut off")
    return b"".join(parts)


def parse(data: bytes, name: str) -> Release:
    """The release in ``data``.

    Raises:
        Invalid: not JSON, or not the JSON of a release.
    """
    try:
        return _decoder.decode(data)
    except UNREADABLE as error:
        # The words of the error are not passed on: they could quote a value of the chart.
        raise _broken(name, "its content is not a Helm release") from error


def _bomb(name: str, size: int) -> TooLarge:
    return TooLarge(
        "Release record {name} ({size} bytes) inflates beyond what a record may hold.",
        name=name,
        size=size,
        expected="at most {limit} MiB, and {ratio} times its stored size",
        limit=MAX_BYTES // 1024**2,
        ratio=MAX_RATIO,
        hint="Somebody may have tampered with it: look who wrote it before you use or delete it.",
    )


def _broken(name: str, why: str) -> Invalid:
    return Invalid(
        "Release record {name} can't be read: {why}.",
        name=name,
        why=why,
        hint="It is of no use for a rollback; choose another revision.",
    )
