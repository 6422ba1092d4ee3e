# SPDX-License-Identifier: Apache-2.0
"""Ownership of fields: ``metadata.managedFields`` and server-side apply."""

from backout.twin.apiserver.fields import managed
from backout.twin.apiserver.fields.managed import keep_timestamps

__all__ = ["keep_timestamps", "managed"]
