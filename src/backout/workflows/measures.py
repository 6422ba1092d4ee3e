# SPDX-License-Identifier: Apache-2.0
"""How checks are measured that need more than `backout.verify` knows of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backout.mechanisms.port import Measure
from backout.workflows import broken, suspects

MEASURES: Mapping[str, Measure[Any]] = {**broken.MEASURES, **suspects.MEASURES}
