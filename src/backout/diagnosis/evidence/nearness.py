# SPDX-License-Identifier: Apache-2.0
"""How near two times must be to have to do with each other. One definition for all that weighs a change against what came of it."""

from __future__ import annotations

from datetime import timedelta

SKEW = timedelta(seconds=5)
"""Clocks, and times in whole seconds, may differ by so much: Helm writes its client's clock, pods the API server's."""
SOON = timedelta(minutes=10)
"""What begins so soon after a change began soon after it: as long as a rollout is given where nothing else is said
(``progressDeadlineSeconds``, pkg/apis/apps/v1/defaults.go)."""
TOGETHER = timedelta(seconds=20)
"""What begins within so much of each other began at once: probes of several programs see the same outage one or two periods apart."""
