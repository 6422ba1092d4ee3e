# SPDX-License-Identifier: Apache-2.0
"""The effect that has a workload's pods replaced, as `kubectl rollout restart` does: they read anew what is read at a start."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import Object
from backout.errors import Conflict, Invalid, PreconditionFailed
from backout.kube.names import RESTARTED_AT
from backout.mechanisms.common.params import RestartParams
from backout.mechanisms.common.patching import ATTEMPTS, moved, patched, restless, same, subject
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg

_ANNOTATIONS = "/spec/template/metadata/annotations"


async def restart(context: StepContext, step: StepOf[RestartParams]) -> StepOutcome:
    """Sets (or takes away) the annotation by which a workload's pods are replaced.

    Raises:
        PreconditionFailed: the workload was made anew since, or its rollout is paused.
    """
    value, name = step.params.value, step.params.label
    for _ in range(ATTEMPTS):
        obj = await subject(context.cluster, step)
        found = _annotation(obj)
        if found == value:
            return StepOutcome(False, msg("The pods of {ref} are being replaced already.", ref=name))
        if obj["spec"].get("paused"):
            raise PreconditionFailed(
                "The rollout of {ref} is paused, so its pods would not be replaced.",
                ref=name,
                hint="kubectl rollout resume {ref} -n {namespace}",
                namespace=step.params.namespace,
            )
        await context.guard()
        try:
            await patched(context.cluster, obj, [*same(obj), *_restarting(obj, value)])
        except (Invalid, Conflict):
            if await moved(context.cluster, obj):
                continue
            raise
        return StepOutcome(True, msg("The pods of {ref} are being replaced.", ref=name))
    raise restless(step)


def _annotation(obj: Object) -> str | None:
    found = ((obj["spec"]["template"].get("metadata") or {}).get("annotations") or {}).get(RESTARTED_AT)
    return str(found) if found is not None else None


def _restarting(obj: Object, value: Any) -> list[dict[str, Any]]:
    path = f"{_ANNOTATIONS}/{RESTARTED_AT.replace('/', '~1')}"
    if value is None:
        return [{"op": "remove", "path": path}]
    patch: list[dict[str, Any]] = [{"op": "add", "path": path, "value": str(value)}]
    if not (obj["spec"]["template"].get("metadata") or {}).get("annotations"):
        patch.insert(0, {"op": "add", "path": _ANNOTATIONS, "value": {}})
    return patch
