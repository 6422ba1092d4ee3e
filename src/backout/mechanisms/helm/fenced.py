# SPDX-License-Identifier: Apache-2.0
"""helm behind a fence: each of its writes passes only while the lock is ours and the release stands where it stood.

A helm that was stopped together with us (a laptop's sleep, SIGSTOP) would go on where it was, hours later, over whatever
others did meanwhile. So it reaches the API server through this process alone, which looks again whenever it did not
look a moment ago, by a clock that goes on meanwhile. Facts: helm makes the record of the new revision, named by its
number, before anything else (helm pkg/action/rollback.go), and `helm rollback` honours no `pending-*` of others.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from backout.cluster.clock import passed
from backout.cluster.port import GatedRequest
from backout.errors import BackoutError, LeaseLost, PartlyDoneError, PreconditionFailed
from backout.helm.records import Record, Records
from backout.model.message import Message, msg, of_error

FRESH = 1.0
"""Seconds for which what was seen counts as it is."""
LATE = 1.0
"""Seconds after which a look is worth nothing: we were stopped in the middle of it, or the API server is slow. Then it
is looked again, with twice the patience, up to `LATEST`: locks are taken from us after 15 s."""
LATEST = 8.0


class Fence:
    """Held before each write of one helm that was started at revision ``head``."""

    def __init__(self, records: Records, head: Record, guard: Callable[[], Awaitable[None]]) -> None:
        self._records, self._head, self._guard = records, head, guard
        self._looked = float("-inf")

    @property
    def next(self) -> int:
        """The revision that helm makes."""
        return self._head.revision + 1

    async def __call__(self, request: GatedRequest) -> None:
        """
        Raises:
            LeaseLost: another run took over.
            PreconditionFailed: somebody else wrote a revision.
        """
        made = self._made(request)
        if made not in (0, self.next):
            raise self._moved(await self._records.head(self._head.release))
        if made:
            await self.look(self._head.revision)
        elif passed() - self._looked > FRESH:
            await self.look()

    async def look(self, newest: int = 0) -> None:
        """Looks at lock and release, whenever that was done last; errors as above. ``newest``: the revision that may be
        the head, which is helm's own otherwise."""
        patience = LATE
        while True:
            asked = passed()
            found = await self._records.head(self._head.release)
            if found.revision > (newest or self.next):
                raise self._moved(found)
            await self._guard()
            if passed() - asked <= patience:
                self._looked = asked
                return
            patience = min(2 * patience, LATEST)

    def _moved(self, found: Record) -> PreconditionFailed:
        return moved_on(self._head.release, msg("revision {number}", number=self._head.revision), found)

    def _made(self, request: GatedRequest) -> int:
        """The number of the release's revision whose record a request makes, 0 when it makes none."""
        plural = self._records.resource.plural
        if request.method != "POST" or not request.path.endswith(f"/namespaces/{self._records.namespace}/{plural}"):
            return 0
        # JSON or protobuf: the name stands in it as it is, and the content is encoded.
        prefix = self._head.name.rpartition(".v")[0]
        name = re.search(re.escape(prefix).encode() + rb"\.v(\d{1,9})", request.body)
        return int(name[1]) if name else 0


def interrupted(run: str, release: str, why: BackoutError, head: Record, expected: int) -> BackoutError:
    """The error for a helm that had written when the fence closed, or after whose end it would have."""
    if not isinstance(why, LeaseLost | PreconditionFailed) or why.arguments.get("holder") == run:
        return why
    return PartlyDoneError(
        "The rollback of helm/{release} was under way when it had to be given up: {why}",
        release=release,
        why=of_error(why),
        expected="revision {planned}, deployed, and the lock of this run",
        found="revision {number}, {status}",
        planned=expected,
        number=head.revision,
        status=head.status,
        hint="Nothing more is written by this run. `backout diagnose` says how it stands, and `backout history "
        "helm/{release}` who did what.",
    )


def moved_on(release: str, expected: Message, head: Record) -> PreconditionFailed:
    """The error for a release that somebody else changed."""
    return PreconditionFailed(
        "helm/{release} is not what it was when the plan was made.",
        release=release,
        expected="{was}",
        found="revision {number}, {status}",
        was=expected,
        number=head.revision,
        status=head.status,
        hint="Somebody works on this release. Look at `backout history helm/{release}`, then plan anew.",
    )
