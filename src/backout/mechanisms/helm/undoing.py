# SPDX-License-Identifier: Apache-2.0
"""Steps that take a run on a release back where Helm alone can't: from what the run had captured. Pure."""

from __future__ import annotations

import msgspec

from backout.kube.sanitise import sanitise
from backout.mechanisms.common.params import named
from backout.mechanisms.helm.params import RecordParams, RestoreLiveParams
from backout.mechanisms.helm.strays import part_digest
from backout.mechanisms.port import Undoing, wire
from backout.model.message import few, msg
from backout.model.part import Check, Step
from backout.model.target import ObjectRef
from backout.snapshots.capture import captured_object

_HEAD = ("apiVersion", "kind", "metadata")


def record_gone(undoing: Undoing, step: Step, params: RecordParams) -> tuple[RecordParams, tuple[Check, ...]]:
    """The record that the run brought back goes again."""
    return params, (_gone_again(undoing, params.ref(step.target.namespace)),)


def as_captured(undoing: Undoing, step: Step, params: RestoreLiveParams) -> tuple[RestoreLiveParams, tuple[Check, ...]]:
    """The live objects as they were right before the run, whatever their revision says.

    By digests; what a Secret holds is not even digested, the step itself confirms that.

    Raises:
        CaptureError: an object that is needed was not captured.
    """
    captured, objects = undoing.captured(), []
    for entry in params.objects:
        former = captured_object(captured, entry.ref)
        if entry.kind != "Secret":
            parts = {name: part_digest(former, name) for name in entry.parts}
            objects.append({**wire(named(entry.ref)), "parts": parts})
    absent = {msgspec.structs.replace(entry.ref, uid="") for entry in captured.absent}
    for one in params.again:
        if one.ref not in absent:
            former = sanitise(captured_object(captured, one.ref))
            parts = {name: part_digest(former, name) for name in former if name not in _HEAD}
            objects.append({**wire(named(one.ref)), "parts": parts})
    checks = [_gone_again(undoing, entry.ref) for entry in params.remove]
    if objects:
        names = few([f"{entry['kind'].lower()}/{entry['name']}" for entry in objects])
        checks.insert(
            0,
            Check(
                code="live-restored",
                target=undoing.target,
                title=msg("As right before run {run}: {objects}", objects=names, run=undoing.run),
                params={"objects": objects},
            ),
        )
    return msgspec.structs.replace(params, capture=undoing.source), tuple(checks)


def _gone_again(undoing: Undoing, ref: ObjectRef) -> Check:
    return Check(
        code="object-absent",
        target=undoing.target,
        title=msg("{object} is missing, as it was", object=str(ref)),
        params=wire(named(ref)),
    )
