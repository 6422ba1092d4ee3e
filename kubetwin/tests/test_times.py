# SPDX-License-Identifier: Apache-2.0
"""Times of objects: their canonical form, and what Go's parser says of others."""

from __future__ import annotations

import pytest

from kubetwin.apiserver.schema import times

SECONDS = "2006-01-02T15:04:05Z07:00"
MICRO = "2006-01-02T15:04:05.000000Z07:00"


@pytest.mark.parametrize(
    ("text", "micro", "shown"),
    [
        ("2026-01-01T00:00:00Z", False, "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:01.987+02:00", False, "2025-12-31T22:00:01Z"),
        ("2026-01-01T00:00:01.123456-00:30", True, "2026-01-01T00:30:01.123456Z"),
        ("2024-02-29T23:59:59.000000Z", True, "2024-02-29T23:59:59.000000Z"),
    ],
)
def test_canonical(text: str, micro: bool, shown: str) -> None:
    assert times.canonical(text, micro) == shown


@pytest.mark.parametrize(
    ("text", "micro", "why"),
    [
        ("yesterday", False, f'as "{SECONDS}": cannot parse "yesterday" as "2006"'),
        ("2026-01-01T00:00:01Z", True, f'as "{MICRO}": cannot parse "Z" as ".000000"'),
        ("2026-01-01", False, f'as "{SECONDS}": cannot parse "" as "T"'),
        ("2026-01-01T00:00:00", False, f'as "{SECONDS}": cannot parse "" as "Z07:00"'),
    ],
)
def test_what_is_no_time(text: str, micro: bool, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        times.canonical(text, micro)
    assert str(caught.value) == f'parsing time "{text}" {why}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-13-01T00:00:00Z", "month out of range"),
        ("2026-02-29T00:00:00Z", "day out of range"),
        ("2026-01-01T24:00:00Z", "hour out of range"),
        ("2026-01-01T00:00:00Z!", 'extra text: "!"'),
    ],
)
def test_times_that_never_were(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        times.canonical(text, micro=False)
    assert str(caught.value) == f'parsing time "{text}": {why}'
