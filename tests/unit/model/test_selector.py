# SPDX-License-Identifier: Apache-2.0
"""Label selectors mean what kubectl means by them."""

from __future__ import annotations

import pytest

from backout.errors import UsageError
from backout.model.selector import parse_selector

CLUSTERS = {
    "edge-1": {"role": "edge", "zone": "a"},
    "edge-2": {"role": "edge", "zone": "b", "example.org/drained": "yes"},
    "central": {"role": "central"},
    "bare": {},
}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("role=edge", ["edge-1", "edge-2"]),
        ("role==edge", ["edge-1", "edge-2"]),
        ("role!=edge", ["central", "bare"]),
        ("role=edge,zone=a", ["edge-1"]),
        ("role = edge , zone = b", ["edge-2"]),
        ("zone in (a,b)", ["edge-1", "edge-2"]),
        ("zone in ( a )", ["edge-1"]),
        ("zone notin (a)", ["edge-2", "central", "bare"]),
        ("zone", ["edge-1", "edge-2"]),
        ("!zone", ["central", "bare"]),
        ("role,!example.org/drained", ["edge-1", "central"]),
        ("example.org/drained=yes", ["edge-2"]),
        ("role=", []),
        ("role=west", []),
    ],
)
def test_all_terms_hold(text: str, chosen: list[str]) -> None:
    terms = parse_selector(text)
    assert [name for name, labels in CLUSTERS.items() if all(term.holds(labels) for term in terms)] == chosen


@pytest.mark.parametrize(
    "text", ["", " ", ",", "role=edge,", "role=a b", "in (a)", "role in a", "role>1", "=x", "a=b;c", "role=\x1b[2J"]
)
def test_what_is_no_selector_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_selector(text)
