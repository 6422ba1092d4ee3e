# SPDX-License-Identifier: Apache-2.0
"""Ownership of fields: ``metadata.managedFields`` and server-side apply."""

from kubetwin.apiserver.fields import managed
from kubetwin.apiserver.fields.managed import keep_timestamps

__all__ = ["keep_timestamps", "managed"]
