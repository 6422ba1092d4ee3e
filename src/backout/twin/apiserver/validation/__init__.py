# SPDX-License-Identifier: Apache-2.0
"""Validation of objects: what a server refuses, field by field."""

from __future__ import annotations

from typing import Any

from backout.twin.apiserver.schema import Schema
from backout.twin.apiserver.status import Cause


def validate(
    api_version: str,
    kind: str,
    new: dict[str, Any],
    old: dict[str, Any] | None,
    schema: Schema | None,
    subresource: str = "",
) -> list[Cause]:
    """What is wrong with ``new`` (an update of ``old``, unless that is None), in the words and order of the server."""
    return []
