# SPDX-License-Identifier: Apache-2.0
"""How long something must have been well to prove anything. One definition: what judges revisions, what diagnoses and what watches
after a run must not differ in it, or one command calls good what another one does not.

Sources: the kubelet's first back-off is ten seconds and doubles to five minutes (pkg/kubelet/kubelet.go, ``initialBackOffPeriod``;
it forgets it after ten minutes without a crash, twice the longest), and a readiness probe is asked every ten seconds where nothing
else is said (pkg/apis/core/v1/defaults.go, ``PeriodSeconds``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

SETTLED = timedelta(seconds=10)
"""Ready, or in force, for so long without a failure is settled. A container that crashes after its start is ready for a moment each
time: within ten seconds it would have ended, begun its first back-off, or failed the next probe."""
UNPROBED = timedelta(seconds=60)
"""So long where no readiness probe is asked: a container counts as ready the moment it runs."""
HEALED = timedelta(minutes=10)
"""So long after its last crash a container is well again, as for the kubelet, which forgets its back-off."""
LASTING = 3
"""So many times as long as it ran when it failed must something run well: what ends after 40 s each time is not settled after 10 s."""


def settled(since: datetime | None, now: datetime | None, patience: timedelta = SETTLED) -> bool:
    """Whether what is well ``since`` then has been so for long enough ``now`` (both by the cluster's clock); False where either is not
    known."""
    return since is not None and now is not None and now - since >= patience


def outlasting(runs: Iterable[timedelta | None]) -> timedelta:
    """How long it takes to prove something where others ran for so long before they failed (None: not known)."""
    return max([SETTLED, *(run * LASTING for run in runs if run is not None)])
