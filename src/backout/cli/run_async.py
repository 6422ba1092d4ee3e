# SPDX-License-Identifier: Apache-2.0
"""From click's synchronous world into the asynchronous core."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from backout.cli.session import Session, open_session


def with_session(function: Callable[..., Coroutine[Any, Any, int | None]]) -> Callable[..., int]:
    """Calls an async command body with the session; what it returns is the exit code (None: 0)."""

    @functools.wraps(function)
    def call(**arguments: Any) -> int:
        import asyncio

        session: Session = open_session()
        return asyncio.run(function(session, **arguments)) or 0

    return call
