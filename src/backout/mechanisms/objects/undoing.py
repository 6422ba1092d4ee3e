# SPDX-License-Identifier: Apache-2.0
"""The step that puts an object back as a run found it: from what that had captured. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.mechanisms.port import Undoing
from backout.model.part import Check, Step
from backout.model.target import ObjectRef
from backout.snapshots.capture import captured_object


def from_capture(undoing: Undoing, step: Step, params: dict[str, Any]) -> tuple[dict[str, Any], tuple[Check, ...]]:
    """Names the capture that the step reads.

    Raises:
        CaptureError: it says neither what the object was nor that it was missing.
    """
    captured = undoing.captured()
    ref = ObjectRef(params["api_version"], params["kind"], params["name"], params["namespace"])
    if not any(msgspec.structs.replace(entry.ref, uid="") == ref for entry in captured.absent):
        captured_object(captured, ref)
    return {**params, "capture": undoing.source}, ()
