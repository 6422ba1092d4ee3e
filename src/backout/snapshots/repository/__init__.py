# SPDX-License-Identifier: Apache-2.0
"""The encrypted, content-addressed repository of snapshots: docs/snapshot-format.md."""

from backout.snapshots.repository.repository import Repository
from backout.snapshots.repository.saving import SnapshotWriter

__all__ = ["Repository", "SnapshotWriter"]
