# SPDX-License-Identifier: Apache-2.0
"""What the rules of single resources get, and their form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kubetwin.apiserver.store import Object, Store
from kubetwin.serving.http import User


@dataclass(slots=True)
class Context:
    """``store`` holds the other objects; nothing may be allocated for good when ``dry_run``."""

    store: Store
    user: User
    dry_run: bool
    now: str
    warnings: list[str]


CreateRule = Callable[[Object, Context], None]
UpdateRule = Callable[[Object, Object, str, Context], None]
