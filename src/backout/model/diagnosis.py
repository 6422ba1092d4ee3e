# SPDX-License-Identifier: Apache-2.0
"""What is concluded from what was seen: what broke, by which change, and whom to ask for the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from backout.model.change import LedgerEntry
from backout.model.evidence import Symptom
from backout.model.message import Message
from backout.model.target import ObjectRef, Target

Confidence = Literal["certain", "likely", "possible", "unknown"]


class ConsumedBy(msgspec.Struct, frozen=True, order=True, kw_only=True, omit_defaults=True):
    """Who reads an object, and how: ``how`` and ``path`` as `backout.kube.references` tells them."""

    ref: ObjectRef
    container: str = ""
    how: str
    path: str = ""
    keys: tuple[str, ...] = ()


class Considered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change that was thought of as the cause: what speaks for it, what against it, and how sure that leaves it."""

    change: LedgerEntry
    confidence: Confidence
    why: tuple[Message, ...] = ()
    against: tuple[Message, ...] = ()


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something broken, the change that broke it, and whom to ask for the way back.

    ``target`` is the owner to act on (``helm/thanos`` when Helm owns the workload). ``suspect`` is the last change that
    touches what fails before the first symptom; None when none was found. ``serving`` says how many pods still serve.
    ``against`` says what speaks against the suspect, and ``considered`` holds the other changes that were thought of.
    ``owners`` are the releases and applications of what shows it, where they are not the target.
    ``readers`` are filled for a single object (mechanism ``objects``): who reads it, or calls it; ``snapshot`` is then
    the newest good snapshot that holds it, as people write it: without one there is nothing to go back to.
    """

    target: Target
    mechanism: str
    workload: ObjectRef | None = None
    symptoms: tuple[Symptom, ...]
    cause: Message
    suspect: LedgerEntry | None = None
    bad_revision: int | None = None
    confidence: Confidence = "unknown"
    why: tuple[Message, ...] = ()
    against: tuple[Message, ...] = ()
    considered: tuple[Considered, ...] = ()
    serving: int | None = None
    desired: int | None = None
    notes: tuple[Message, ...] = ()
    readers: tuple[ConsumedBy, ...] = ()
    snapshot: str = ""
    owners: tuple[Target, ...] = ()


class Unseen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something of which nobody says how it is, though somebody should: neither broken nor healthy. ``owners``: whose it is."""

    ref: ObjectRef
    why: Message
    owners: tuple[Target, ...] = ()


class UnderWay(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that has not ended: a rollout whose new pods start, a resource that its operator works on. Neither broken, as far
    as anything shows, nor a state to come back to. ``owners``: whose it is. ``short``: fewer pods serve meanwhile than have to, so
    that nobody may call it healthy."""

    ref: ObjectRef
    message: Message
    owners: tuple[Target, ...] = ()
    short: bool = False


class Stopped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workload that somebody scaled to 0, and that nothing asks or declares otherwise: said, and not called broken."""

    target: Target
    message: Message


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to "what broke?" for one namespace (or all) of one cluster. No problems means healthy."""

    cluster: str
    namespace: str
    at: datetime
    problems: tuple[Problem, ...] = ()
    looked_at: dict[str, int] = {}
    blind: tuple[Message, ...] = ()
    under_way: tuple[UnderWay, ...] = ()
    """What has not ended: not broken, and no state to come back to either."""

    stopped: tuple[Stopped, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    """What ``blind`` says of single objects, with whose they are."""

    forbidden: tuple[Message, ...] = ()
    """What ``blind`` says of kinds that may not be read."""

    unread: tuple[Message, ...] = ()
    """What may not be read either, and is missing as evidence only."""

    @property
    def healthy(self) -> bool:
        """True when nothing is broken, nothing was hidden from view, and enough pods serve of what is under way."""
        return not self.problems and not self.blind and not any(one.short for one in self.under_way)
