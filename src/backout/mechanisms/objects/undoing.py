# SPDX-License-Identifier: Apache-2.0
"""The step that puts an object back as a run found it: from what that had captured. Pure."""

from __future__ import annotations

import msgspec

from backout.mechanisms.objects.params import PutBackParams
from backout.mechanisms.port import Undoing
from backout.model.part import Check, Step
from backout.snapshots.capture import captured_object


def from_capture(undoing: Undoing, step: Step, params: PutBackParams) -> tuple[PutBackParams, tuple[Check, ...]]:
    """Names the capture that the step reads.

    Raises:
        CaptureError: it says neither what the object was nor that it was missing.
    """
    captured = undoing.captured()
    if not any(msgspec.structs.replace(entry.ref, uid="") == params.ref for entry in captured.absent):
        captured_object(captured, params.ref)
    return msgspec.structs.replace(params, capture=undoing.source), ()
