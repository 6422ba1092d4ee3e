# SPDX-License-Identifier: Apache-2.0
"""Text that several printers share: durations, ages, selectors, quantities, lists that are cut short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from kubetwin.quantity import canonical

Obj = Mapping[str, Any]

_MINUTE = 60
_HOUR = 60 * _MINUTE


def human_duration(seconds: float) -> str:
    """A duration with two or three significant figures, as `kubectl get` shows ages.

    Source: apimachinery `util/duration`. Up to two seconds of clock skew count as now.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    minutes, rest = divmod(whole, _MINUTE)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days, rest = divmod(hours, 24)
    if days < 8:
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 730:
        return f"{days}d"
    years, rest = divmod(days, 365)
    if years < 8:
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


@lru_cache(maxsize=65536)
def parse_time(value: str) -> datetime | None:
    """An RFC 3339 time (with or without a fraction), or None when it is not one."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def since(value: str | None, now: datetime) -> str:
    """How long ago a timestamp of the API was; `<unknown>` when it is not set."""
    moment = parse_time(value) if value else None
    return "<unknown>" if moment is None else human_duration(_seconds(now - moment))


def between(start: str, end: str) -> str:
    """The time from one timestamp to another."""
    first, last = parse_time(start), parse_time(end)
    return "<unknown>" if first is None or last is None else human_duration(_seconds(last - first))


def _seconds(delta: timedelta) -> float:
    return delta.total_seconds()


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Labels as `a=1,b=2`, sorted; `<none>` without any."""
    return ",".join(sorted(f"{key}={value}" for key, value in (labels or {}).items())) or "<none>"


_OPERATORS = {"In": " in ", "NotIn": " notin "}


def selector_text(selector: Obj | None) -> str:
    """A label selector in the query syntax, sorted by key; empty when it selects everything or is absent."""
    if not selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        if operator == "Exists":
            parts.append((key, key))
        elif operator == "DoesNotExist":
            parts.append((key, f"!{key}"))
        else:
            parts.append((key, f"{key}{_OPERATORS[operator]}({','.join(sorted(expression.get('values') or ()))})"))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def selector_or_none(selector: Obj | None) -> str:
    """As `selector_text`, with `<none>` for an empty one."""
    return selector_text(selector) or "<none>"


def cut_list(items: Sequence[str], limit: int = 3) -> str:
    """At most `limit` items, then how many more there are; `<unset>` without any."""
    text = ",".join(items[:limit])
    if len(items) > limit:
        return f"{text} + {len(items) - limit} more..."
    return text or "<unset>"


def quantity_text(value: str | int | float) -> str:
    """A resource quantity in its canonical form; text that is none comes back unchanged."""
    try:
        return canonical(value)
    except ValueError:
        return str(value)
