# SPDX-License-Identifier: Apache-2.0
"""What every document has in common."""

from __future__ import annotations

from typing import Literal

import msgspec

Version = Literal["backout.dev/v1"]
API_VERSION: Version = "backout.dev/v1"


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A versioned document; each kind of it says its own ``kind``. What has its default may be left out."""

    apiVersion: Version = API_VERSION
