# SPDX-License-Identifier: Apache-2.0
"""For the tests of both distributions: how fast a machine makes examples, or plays one, is no test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
