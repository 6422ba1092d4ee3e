# SPDX-License-Identifier: Apache-2.0
"""The questions that a rollback of a release always asks, by its parameters alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from backout.mechanisms.helm.params import RollbackParams
from backout.mechanisms.helm.preview import HOLDS_DATA
from backout.mechanisms.port import StepOf


def asked(step: StepOf[RollbackParams]) -> Iterable[str]:
    """What is made anew, taken from others, or may hold data when it goes."""
    params = step.params
    if params.recreate or params.anew:
        yield "recreate"
    if params.force_conflicts:
        yield "takeover"
    anew = {(entry.kind, entry.namespace, entry.name) for entry in params.anew}
    if any(ref.kind in HOLDS_DATA and (ref.kind, ref.namespace, ref.name) not in anew for ref in step.step.destroys):
        yield "deletes"
