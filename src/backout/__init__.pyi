# SPDX-License-Identifier: Apache-2.0
from backout.app.events import Event as Event
from backout.app.events import Front as Front
from backout.app.library import Backout as Backout
from backout.app.library import Execution as Execution
from backout.app.library_many import Clusters as Clusters
from backout.app.snapshots.library import Snapshots as Snapshots
from backout.errors import BackoutError as BackoutError
from backout.errors import ClusterUnreachable as ClusterUnreachable
from backout.errors import ConfigError as ConfigError
from backout.errors import Interrupted as Interrupted
from backout.errors import LockedError as LockedError
from backout.errors import NotFoundError as NotFoundError
from backout.errors import NotVerifiedError as NotVerifiedError
from backout.errors import PartlyDoneError as PartlyDoneError
from backout.errors import RefusedError as RefusedError
from backout.errors import TimedOut as TimedOut
from backout.errors import UsageError as UsageError
from backout.model.diagnosis import Diagnosis as Diagnosis
from backout.model.diagnosis import Problem as Problem
from backout.model.operation import Operation as Operation
from backout.model.outcomes import PartOutcome as PartOutcome
from backout.model.revision import Revision as Revision
from backout.model.run import Run as Run
from backout.model.run import RunEvent as RunEvent
from backout.model.settings import Settings as Settings
from backout.model.snapshot import Snapshot as Snapshot
from backout.model.target import Target as Target
from backout.model.verdict import CheckResult as CheckResult
from backout.model.verdict import Verdict as Verdict
from backout.snapshots.collect import Taken as Taken

__version__: str
