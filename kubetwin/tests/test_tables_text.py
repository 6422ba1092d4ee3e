# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, datetime

import pytest

from kubetwin.apiserver.tables.text import cut_list, human_duration, quantity_text, selector_text, since

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 5, "10m"),
        (179 * MINUTE, "179m"),
        (180 * MINUTE, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (731 * DAY, "2y1d"),
        (8 * 365 * DAY + DAY, "8y"),
    ],
)
def test_human_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_since_takes_seconds_and_microseconds_and_says_when_it_does_not_know() -> None:
    now = datetime(2026, 5, 1, 12, 0, 10, tzinfo=UTC)
    assert since("2026-05-01T12:00:00Z", now) == "10s"
    assert since("2026-05-01T12:00:00.900000Z", now) == "9s"
    assert since(None, now) == "<unknown>"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1Gi", "1Gi"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("512Ki", "512Ki"),
        ("0.5Ki", "512"),
        ("1000m", "1"),
        ("100m", "100m"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("2048", "2048"),
        ("128974848", "128974848"),
        ("129e6", "129e6"),
        ("129M", "129M"),
        ("0", "0"),
        (0, "0"),
        (2, "2"),
        ("0Gi", "0"),
        ("junk", "junk"),
    ],
)
def test_quantities_are_canonical(written: str | int, canonical: str) -> None:
    assert quantity_text(written) == canonical


def test_selectors_are_sorted_by_key() -> None:
    selector = {
        "matchLabels": {"tier": "web", "app": "shop"},
        "matchExpressions": [
            {"key": "zone", "operator": "In", "values": ["b", "a"]},
            {"key": "canary", "operator": "DoesNotExist"},
            {"key": "ready", "operator": "Exists"},
            {"key": "stage", "operator": "NotIn", "values": ["dev"]},
        ],
    }
    assert selector_text(selector) == "app=shop,!canary,ready,stage notin (dev),tier=web,zone in (a,b)"
    assert selector_text(None) == ""
    assert selector_text({}) == ""


def test_long_lists_are_cut() -> None:
    assert cut_list([]) == "<unset>"
    assert cut_list(["a", "b", "c"]) == "a,b,c"
    assert cut_list(["a", "b", "c", "d", "e"]) == "a,b,c + 2 more..."
