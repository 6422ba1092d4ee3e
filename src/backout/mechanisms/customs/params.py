# SPDX-License-Identifier: Apache-2.0
"""Parameters of the steps of this way back. What a resource said never stands in one: it is named by where it is kept."""

from __future__ import annotations

import msgspec

from backout.mechanisms.common.kept import FromSnapshot
from backout.mechanisms.common.params import CustomParams
from backout.mechanisms.port import CaptureSource


class FromTemplate(msgspec.Struct, frozen=True, tag="template", tag_field="from", forbid_unknown_fields=True):
    """The pod template that a ReplicaSet or ControllerRevision (``kind``) of that name keeps."""

    kind: str
    name: str


class FromCapture(msgspec.Struct, frozen=True, tag="capture", tag_field="from", forbid_unknown_fields=True):
    """As a run found it; ``source`` is named when that run is undone."""

    source: CaptureSource | None = None


class FromApplied(msgspec.Struct, frozen=True, tag="applied", tag_field="from", forbid_unknown_fields=True):
    """What whoever applied it last said of it, as the note of `kubectl apply` on the live resource has it."""


Origin = FromSnapshot | FromTemplate | FromCapture | FromApplied


class PutBackParams(CustomParams, frozen=True, kw_only=True):
    """``customs.put-back``: what ``origin`` holds, which has ``digest``, on the condition that ``expect`` is in force."""

    origin: Origin
    digest: str
    expect: str
