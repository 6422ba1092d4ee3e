# SPDX-License-Identifier: Apache-2.0
"""Types from the floors below that verbs answer with, for front ends that name them."""

from backout.engine.store.port import RunSummary
from backout.snapshots.collect import Taken
from backout.snapshots.diff import Comparison, TextChange
from backout.snapshots.diff import Difference as SnapshotDifference
from backout.snapshots.repository.keys import Recipient
from backout.snapshots.repository.prune import Pruned
from backout.snapshots.repository.transfer import Exported, Imported
from backout.snapshots.repository.verify import Problem as DamagedPart
from backout.snapshots.repository.verify import Report
from backout.snapshots.restore_plan import RestoreItem

__all__ = [
    "Comparison",
    "DamagedPart",
    "Exported",
    "Imported",
    "Pruned",
    "Recipient",
    "Report",
    "RestoreItem",
    "RunSummary",
    "SnapshotDifference",
    "Taken",
    "TextChange",
]
