# SPDX-License-Identifier: Apache-2.0
"""What a person approves: parts and their order, hashed, readable. What was approved is byte for byte what runs."""

from __future__ import annotations

from datetime import datetime

import msgspec

from backout.model.fleet import Fleet
from backout.model.part import Part, Spared
from backout.model.target import ObjectRef, Target

API_VERSION = "backout.dev/v1"
KIND = "Operation"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """The way back of one or more targets. ``hash`` covers every other field; `run` holds to it.

    One target is an operation of one part. ``undo_of`` names the run that it takes back. ``skipped``: targets that would have gone
    back with it, and were left out because somebody asked for that. ``fleet`` says how the parts go over many clusters; without
    it they go one after the other.
    """

    apiVersion: str = API_VERSION
    kind: str = KIND
    made_at: datetime
    parts: tuple[Part, ...]
    undo_of: str = ""
    skipped: tuple[Spared, ...] = ()
    fleet: Fleet | None = None
    hash: str = ""

    @property
    def targets(self) -> str:
        """What goes back, as people read it."""
        return ", ".join(dict.fromkeys(str(part.target) for part in self.parts))

    @property
    def target(self) -> Target | None:
        """The only target; None where there are several."""
        return self.parts[0].target if len(self.parts) == 1 else None

    @property
    def created(self) -> tuple[ObjectRef, ...]:
        """The objects that are not there, and that it creates."""
        return tuple(
            msgspec.structs.replace(change.ref, uid="")
            for part in self.parts
            for change in part.changes.objects
            if change.action == "create"
        )

    @property
    def clusters(self) -> tuple[str, ...]:
        """The names of the clusters that it acts on, each once, in the order of the parts."""
        return tuple(dict.fromkeys(part.scope.cluster for part in self.parts))
