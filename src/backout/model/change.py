# SPDX-License-Identifier: Apache-2.0
"""Differences: what a way back would change, and what was changed before (the ledger)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.model.message import Message
from backout.model.target import ObjectRef, Target

Action = Literal["create", "update", "delete", "recreate", "keep"]


class FieldChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field, as ``spec.template.spec.containers[name=web].image``. Absent values are None.

    Values of Secrets are never here: ``secret`` is set, and ``before``/``after`` hold keyed digests at most.
    ``lines`` are those of a unified diff, for texts of several lines, in place of both.
    """

    path: str
    before: Any = None
    after: Any = None
    secret: bool = False
    lines: tuple[str, ...] = ()


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to one object. ``notes`` explain what a reader would not expect (drift, conflicts, immutables)."""

    ref: ObjectRef
    action: Action
    fields: tuple[FieldChange, ...] = ()
    notes: tuple[Message, ...] = ()
    destructive: bool = False


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The preview of one way back, object by object."""

    objects: tuple[ObjectChange, ...] = ()
    notes: tuple[Message, ...] = ()

    @property
    def effective(self) -> tuple[ObjectChange, ...]:
        """The objects that would really change."""
        return tuple(change for change in self.objects if change.action != "keep")


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change that happened: when, by whom, to what, from which revision to which.

    ``source`` names where it was read: ``helm``, ``replicaset``, ``controllerrevision``, ``managedfields``.
    ``touches`` are the objects that it changed. ``fields`` are filled where both sides are known.
    """

    at: datetime
    source: str
    target: Target
    actor: str = ""
    revision: int | None = None
    previous: int | None = None
    summary: Message
    touches: tuple[ObjectRef, ...] = ()
    fields: tuple[FieldChange, ...] = ()
