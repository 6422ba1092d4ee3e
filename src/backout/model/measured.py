# SPDX-License-Identifier: Apache-2.0
"""What one measurement says."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.errors import BackoutError
from backout.model.message import Message, msg
from backout.model.verdict import CheckStatus


class Measured(msgspec.Struct, frozen=True):
    """A status, the value that was measured, and what was expected where that is not plain from the title.

    ``again``: what is still on its way may change it, and asking again may help.
    """

    status: CheckStatus
    value: Message
    expected: Message | None = None
    data: dict[str, Any] = {}
    again: bool = False


def passed(value: Message, **data: Any) -> Measured:
    """It holds."""
    return Measured("pass", value, None, data)


def failed(value: Message, expected: Message | None = None, *, again: bool = False, **data: Any) -> Measured:
    """It does not hold."""
    return Measured("fail", value, expected, data, again)


def unknown(value: Message, *, again: bool = False, **data: Any) -> Measured:
    """It could not be measured."""
    return Measured("unknown", value, None, data, again)


def unmeasured(error: BackoutError) -> Measured:
    """It could not be measured because of ``error``."""
    return unknown(msg("could not be measured: {error}", error=error.message), code=error.code)


def listed(names: list[str], limit: int = 5) -> str:
    """Names for a sentence, not endless."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} (+{len(names) - limit})"
