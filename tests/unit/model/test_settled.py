# SPDX-License-Identifier: Apache-2.0
"""How long is settled, and that all who judge go by the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backout.diagnosis.evidence.history import Run
from backout.kube.pod_health import PodHealth, PodState
from backout.model.settings import Settings
from backout.model.settled import HEALED, LASTING, SETTLED, UNPROBED, outlasting, settled

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("since", "now", "patience", "expected"),
    [
        (NOW - SETTLED, NOW, SETTLED, True),
        (NOW - SETTLED + SECOND, NOW, SETTLED, False),
        (NOW - SETTLED, NOW, UNPROBED, False),
        (None, NOW, SETTLED, False),
        (NOW - SETTLED, None, SETTLED, False),
        (NOW + SECOND, NOW, SETTLED, False),  # clocks differ
    ],
)
def test_settled(since: datetime | None, now: datetime | None, patience: timedelta, expected: bool) -> None:
    assert settled(since, now, patience) is expected


@pytest.mark.parametrize(
    ("runs", "expected"),
    [([], SETTLED), ([None], SETTLED), ([SECOND], SETTLED), ([40 * SECOND, None, SECOND], 40 * SECOND * LASTING)],
)
def test_what_ends_late_each_time_has_to_last_longer(runs: list[timedelta | None], expected: timedelta) -> None:
    assert outlasting(runs) == expected


def test_who_judges_goes_by_it() -> None:
    assert Run(well=SETTLED).proves and not Run(well=SETTLED - SECOND).proves
    assert not Run(well=SETTLED, last=SETTLED).proves and Run(well=SETTLED * LASTING, last=SETTLED).proves
    assert PodHealth(state=PodState.READY, restarted=NOW - HEALED).steady(NOW)
    assert not PodHealth(state=PodState.READY, restarted=NOW - HEALED + SECOND).steady(NOW)
    assert Settings().verify.soak == SETTLED.total_seconds()
