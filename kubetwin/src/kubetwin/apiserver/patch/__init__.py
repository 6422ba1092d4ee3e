# SPDX-License-Identifier: Apache-2.0
"""Patches of the API server: JSON (RFC 6902), merge (RFC 7386) and strategic merge."""

from kubetwin.apiserver.patch import json_patch, merge_patch, strategic

__all__ = ["json_patch", "merge_patch", "strategic"]
