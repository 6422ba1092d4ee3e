# SPDX-License-Identifier: Apache-2.0
"""What a decoder of foreign bytes raises, in one name.

``msgspec`` raises a ``DecodeError`` for bytes that are no JSON and for JSON of another shape. Text that is no UTF-8
inside of a string raises ``UnicodeDecodeError`` instead, and arrays nested too deeply ``RecursionError``. Whoever
reads what others wrote expects all three.
"""

from __future__ import annotations

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""For ``except``: these bytes are not the document that was expected."""
