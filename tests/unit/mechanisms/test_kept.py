# SPDX-License-Identifier: Apache-2.0
"""Which snapshot vouches for what it holds, and what is said of one that does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backout.mechanisms.common.kept import FromSnapshot, unproven
from backout.mechanisms.customs.params import Origin as CustomOrigin
from backout.mechanisms.objects.content import Origin as ObjectOrigin
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Snapshot

ID = "0123456789abcdef"


def taken(**said: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "id": ID,
        "kind": "manual",
        "cluster": "c",
        "identity": ClusterIdentity("uid", "ca"),
        "namespace": "n",
        "taken_at": datetime(2026, 11, 1, tzinfo=UTC),
        **said,
    }
    return Snapshot(**fields)


@pytest.mark.parametrize(
    ("said", "vouches", "word"),
    [
        ({"healthy": True}, True, ""),
        ({"healthy": True, "imported_from": "other"}, False, "came from elsewhere"),
        ({"healthy": True, "incident": True}, False, "something was broken"),
        ({"healthy": False}, False, "something was broken"),
        ({"healthy": None}, False, "nobody measured"),
    ],
)
def test_who_vouches(said: dict[str, Any], vouches: bool, word: str) -> None:
    snapshot = taken(**said)
    assert snapshot.vouches is vouches
    if not vouches:
        assert word in str(unproven([taken(healthy=True), snapshot])), "the newest is told of"


def test_nothing_holds_it() -> None:
    assert str(unproven([])) == "No snapshot holds it."


def test_both_ways_back_read_the_same_parameter() -> None:
    """Plans that were made keep loading: the field `from` says what it is, in either."""
    plain = {"from": "snapshot", "repository": "r", "snapshot": ID, "address": "a"}
    for origin in (ObjectOrigin, CustomOrigin):
        found = msgspec.convert(plain, origin)
        assert found == FromSnapshot("r", ID, "a")
        assert msgspec.to_builtins(found) == plain
