# SPDX-License-Identifier: Apache-2.0
"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Whole seconds, as ``metav1.Time``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    """The current time, as ``metav1.Time`` writes it."""
    return rfc3339(datetime.now(UTC))


def parse(text: str) -> datetime:
    """Raises ValueError for text that is no RFC 3339 time."""
    return datetime.fromisoformat(text)
