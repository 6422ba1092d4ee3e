# SPDX-License-Identifier: Apache-2.0
"""``metav1.Time`` and ``metav1.MicroTime``: read as Go's ``time.Parse`` reads them, refused in its words.

Source: Go's time package (format.go) and apimachinery's pkg/apis/meta/v1/{time,micro_time}.go."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_DIGITS = frozenset("0123456789")
_PREFIXES = ("", "-", "-", "T", ":", ":")
_FIELDS = ("2006", "01", "02", "15", "04", "05")
_RANGES = {"01": ("month", 1, 12), "15": ("hour", 0, 23), "04": ("minute", 0, 59), "05": ("second", 0, 59)}
_ZONE = "Z07:00"
_MICRO = ".000000"


class _Mismatch(Exception):
    """What could not be read: the rest of the text, and the part of the layout that it does not fit."""

    def __init__(self, rest: str, part: str) -> None:
        super().__init__(rest)
        self.rest = rest
        self.part = part


class _Range(Exception):
    pass


@lru_cache(maxsize=8192)
def canonical(text: str, micro: bool) -> str:
    """The time as the API shows it: in UTC, in whole seconds or with six digits. Raises ValueError in Go's words."""
    layout = f"2006-01-02T15:04:05{_MICRO if micro else ''}{_ZONE}"
    try:
        moment = _parse(text, micro)
    except _Mismatch as error:
        why = f'as "{layout}": cannot parse "{error.rest}" as "{error.part}"'
        raise ValueError(f'parsing time "{text}" {why}') from None
    except (_Range, OverflowError) as error:
        raise ValueError(f'parsing time "{text}": {error}') from None
    shown = f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}"
    return f"{shown}.{moment.microsecond:06}Z" if micro else f"{shown}Z"


def _parse(text: str, micro: bool) -> datetime:
    values: list[int] = []
    rest = text
    for prefix, part in zip(_PREFIXES, _FIELDS, strict=True):
        if not rest.startswith(prefix):
            raise _Mismatch(rest, prefix)
        rest = rest[len(prefix) :]
        number, rest = _number(rest, part)
        if part in _RANGES:
            name, low, high = _RANGES[part]
            if not low <= number <= high:
                raise _Range(f"{name} out of range")
        values.append(number)
    fraction, rest = _fraction(rest, micro)
    offset, rest = _zone(rest)
    if rest:
        raise _Range(f'extra text: "{rest}"')
    year, month, day, hour, minute, second = values
    if not 1 <= day <= calendar.monthrange(year or 4, month)[1]:
        raise _Range("day out of range")
    # Python knows no year 0; neither does any cluster.
    moment = datetime(max(year, 1), month, day, hour, minute, second, fraction, timezone(offset))
    return moment.astimezone(UTC)


def _number(rest: str, part: str) -> tuple[int, str]:
    width = 1 if part == "15" and rest[1:2] not in _DIGITS else len(part)
    digits = rest[:width]
    if len(digits) < width or not _DIGITS.issuperset(digits):
        raise _Mismatch(rest, part)
    return int(digits), rest[width:]


def _fraction(rest: str, micro: bool) -> tuple[int, str]:
    """The microseconds; a time without them in its layout may still have any number of digits."""
    if micro:
        digits = rest[1:7]
        if rest[:1] not in (".", ",") or len(digits) < 6 or not _DIGITS.issuperset(digits):
            raise _Mismatch(rest, _MICRO)
        return int(digits), rest[7:]
    if rest[:1] not in (".", ",") or rest[1:2] not in _DIGITS:
        return 0, rest
    end = 1
    while rest[end : end + 1] in _DIGITS:
        end += 1
    return int(rest[1:end].ljust(6, "0")[:6]), rest[end:]


def _zone(rest: str) -> tuple[timedelta, str]:
    if rest.startswith("Z"):
        return timedelta(), rest[1:]
    hours, minutes = rest[1:3], rest[4:6]
    if len(rest) < 6 or rest[3] != ":" or rest[0] not in "+-" or not _DIGITS.issuperset(hours + minutes):
        raise _Mismatch(rest, _ZONE)
    for value, high, name in ((hours, 24, "hour"), (minutes, 60, "minute")):
        if int(value) > high:
            raise _Range(f"time zone offset {name} out of range")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset >= timedelta(days=1):
        raise _Mismatch(rest, _ZONE)
    return (-offset if rest[0] == "-" else offset), rest[6:]
