# SPDX-License-Identifier: Apache-2.0
"""What a detector saw of an object that no failing pod shows."""

from __future__ import annotations

import msgspec

from backout.cluster.port import Object
from backout.diagnosis.evidence.collect import WorkloadKey
from backout.model.diagnosis import Confidence
from backout.model.evidence import Symptom
from backout.model.message import Message
from backout.model.target import ObjectRef, Target


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One symptom, and the object to ask for what was changed (``at_fault``; None where it does not exist).

    ``uninstalled`` is a release of which nothing but its history is left, though all of it was there when all was well.
    ``workload`` is whose symptom it is, where it is one of a workload. ``gone`` is an object that does not exist and
    should. ``kind``: what it takes to be a problem. With ``only_changed`` it is one only where somebody changed the object.
    """

    symptom: Symptom
    workload: WorkloadKey | None = None
    at_fault: Object | None = None
    gone: ObjectRef | None = None
    release: str = ""
    uninstalled: Target | None = None
    only_changed: bool = False
    confidence: Confidence = "likely"
    fields: str = ""
    """A pattern of the fields that could have brought it."""
    notes: tuple[Message, ...] = ()
