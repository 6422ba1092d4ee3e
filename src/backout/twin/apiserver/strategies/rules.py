# SPDX-License-Identifier: Apache-2.0
"""The rules of single resources, by storage group and resource."""

from __future__ import annotations

from backout.twin.apiserver.strategies.base import CreateRule, UpdateRule

CREATE: dict[tuple[str, str], CreateRule] = {}
UPDATE: dict[tuple[str, str], UpdateRule] = {}
