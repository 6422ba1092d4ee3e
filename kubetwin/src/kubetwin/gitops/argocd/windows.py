# SPDX-License-Identifier: Apache-2.0
"""Sync windows of a project: whether a sync may run now. Pure.

Facts: argo-cd pkg/apis/application/v1alpha1/types.go (``SyncWindows.Matches``, ``CanSync``, ``active``); schedules are those of
robfig/cron with five fields (lists, ranges, steps, names, ``@hourly`` and its like).
"""

from __future__ import annotations

import datetime as dt
import re
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from kubetwin.client import Obj
from kubetwin.gitops.durations import seconds

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = {
    3: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class WindowError(ValueError):
    """A window that can't be understood; nothing is synced then."""


class Schedule:
    """A cron expression of five fields."""

    def __init__(self, text: str) -> None:
        fields = _WORDS.get(text.strip(), text).split()
        if len(fields) != 5:
            raise WindowError(f"cannot parse schedule '{text}': expected exactly 5 fields, found {len(fields)}")
        try:
            self._sets = [_values(field, place) for place, field in enumerate(fields)]
        except ValueError as error:
            raise WindowError(f"cannot parse schedule '{text}': {error}") from None
        self._any_day = fields[2][0] in "*?"
        self._any_weekday = fields[4][0] in "*?"

    def next(self, after: dt.datetime) -> dt.datetime | None:
        """The first time after ``after``; None when there is none within five years."""
        minutes, hours, _, months, _ = self._sets
        at = after.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
        end = after + dt.timedelta(days=366 * 5)
        while at < end:
            if at.month not in months or not self._day(at):
                at = at.replace(hour=0, minute=0) + dt.timedelta(days=1)
            elif at.hour not in hours:
                at = at.replace(minute=0) + dt.timedelta(hours=1)
            elif at.minute not in minutes:
                at += dt.timedelta(minutes=1)
            else:
                return at
        return None

    def _day(self, at: dt.datetime) -> bool:
        day, weekday = at.day in self._sets[2], at.isoweekday() % 7 in self._sets[4]
        return day and weekday if self._any_day or self._any_weekday else day or weekday


def _values(field: str, place: int) -> frozenset[int]:
    low, high = _FIELDS[place]
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, place)
            last = _number(end, place) if dash else high if slash else first
        if not low <= first <= last <= high or (slash and int(step) < 1):
            raise ValueError(f"{part} is out of range")
        found.update(range(first, last + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, place: int) -> int:
    names = _NAMES.get(place, [])
    if text.lower() in names:
        return names.index(text.lower()) + (1 if place == 3 else 0)
    if not re.fullmatch(r"\d+", text):
        raise ValueError(f"{text!r} is no number")
    return 0 if place == 4 and text == "7" else int(text)


def matching(windows: list[Obj] | None, app: Obj) -> list[Obj]:
    """The windows that are meant for an application."""
    spec = app.get("spec") or {}
    destination = spec.get("destination") or {}
    name = app["metadata"]["name"]
    places = [each for each in (destination.get("name"), destination.get("server")) if each]
    found = []
    for window in windows or ():
        sides = [
            (window.get("applications"), [name]),
            (window.get("clusters"), places),
            (window.get("namespaces"), [destination.get("namespace") or ""]),
        ]
        told = [any(fnmatchcase(v, p) for p in patterns for v in values) for patterns, values in sides if patterns]
        if told and (all(told) if window.get("andOperator") else any(told)):
            found.append(window)
    return found


def active(window: Obj, at: dt.datetime) -> bool:
    """Whether a window is open at a time.

    Raises:
        WindowError: its schedule or duration can't be understood.
    """
    duration = seconds(str(window.get("duration") or ""))
    if duration is None:
        raise WindowError(f"cannot parse duration '{window.get('duration')}'")
    local = at.astimezone(_zone(window)).replace(tzinfo=None)
    begin = Schedule(str(window.get("schedule") or "")).next(local - dt.timedelta(seconds=duration))
    return begin is not None and begin < local


def _zone(window: Obj) -> dt.tzinfo:
    try:
        return ZoneInfo(str(window.get("timeZone") or "UTC"))
    except (KeyError, ValueError, OSError):
        # As there: UTC, with a warning in a log.
        return dt.UTC


def can_sync(windows: list[Obj], at: dt.datetime, *, manual: bool, started: dt.datetime | None = None) -> bool:
    """Whether the windows that match an application allow a sync.

    Every active deny has to allow manual syncs; an operation that began while it was allowed goes on where ``syncOverrun`` says so.

    Raises:
        WindowError: a window can't be understood.
    """
    open_now = [each for each in windows if active(each, at)]
    denies = [each for each in open_now if each.get("kind") == "deny"]
    closed = [each for each in windows if each.get("kind") == "allow" and each not in open_now]
    if denies:
        blocking = denies
    elif not closed or any(each.get("kind") == "allow" for each in open_now):
        return True
    else:
        blocking = closed
    if manual and all(each.get("manualSync") for each in blocking):
        return True
    if started is not None and all(each.get("syncOverrun") for each in blocking):
        return can_sync(windows, started, manual=manual)
    return False
