# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of a real Kubernetes 1.36.2 API server, to hold our own functions against."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def answers() -> dict[str, list[dict[str, Any]]]:
    """``defaults``, ``invalid``, ``immutable`` and ``steps`` (patches and applies); read only."""
    return json.loads(Path(__file__).with_name("recorded_answers.json").read_text(encoding="utf-8"))


def cases(section: str) -> list[str]:
    return [case["name"] for case in answers()[section]]


def case(section: str, name: str) -> dict[str, Any]:
    """A copy of one case."""
    found = next(case for case in answers()[section] if case["name"] == name)
    return json.loads(json.dumps(found))
