# SPDX-License-Identifier: Apache-2.0
"""Marks a live object so that Helm does not delete it, or takes the mark away again; and looks whether it stayed."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import ClusterReader, Object, Resource, find
from backout.errors import Conflict, Invalid, ObjectNotFound, PreconditionFailed
from backout.kube.names import HELM_KEEP
from backout.mechanisms.helm.params import KeepParams, KeptParams
from backout.mechanisms.port import CheckOf, StepContext, StepOf, StepOutcome
from backout.model.measured import Measured, failed, listed, passed
from backout.model.message import msg

ATTEMPTS = 5
"""Tries against controllers that write the same object."""
_PATH = "/metadata/annotations/" + HELM_KEEP.replace("/", "~1")


async def keep(context: StepContext, step: StepOf[KeepParams]) -> StepOutcome:
    """The object has the mark that the step says, or none.

    Raises:
        PreconditionFailed: it is gone, was made anew, or somebody changed the mark.
        Conflict: others write it all the time.
    """
    params, cluster = step.params, context.cluster
    resource = await cluster.resource(params.api_version, params.kind)
    for _ in range(ATTEMPTS):
        now = await _present(cluster, resource, params)
        mark = ((now["metadata"].get("annotations")) or {}).get(HELM_KEEP)
        if mark == params.value:
            return StepOutcome(False, msg("{object} has that mark already.", object=params.label))
        if mark != params.former:
            raise PreconditionFailed(
                "The mark helm.sh/resource-policy of {object} was changed meanwhile.",
                object=params.label,
                expected="{former}",
                found="{mark}",
                former=params.former or "none",
                mark=mark or "none",
                hint="Somebody works on it. Plan anew.",
            )
        await context.guard()
        try:
            stored = await cluster.patch(resource, params.name, _patch(now, params), params.namespace, type="json")
        except (Invalid, Conflict):
            if (await _present(cluster, resource, params))["metadata"] != now["metadata"]:
                continue
            raise
        if ((stored["metadata"].get("annotations")) or {}).get(HELM_KEEP) != params.value:
            raise PreconditionFailed(
                "The API server stored another mark on {object} than was asked for.",
                object=params.label,
                hint="An admission webhook may have changed it.",
            )
        return StepOutcome(
            True,
            msg("{object} is marked to be kept.", object=params.label)
            if params.value
            else msg("{object} is not marked to be kept any more, as before.", object=params.label),
        )
    raise Conflict(
        "{object} is changed by somebody else all the time; {count} tries were lost to it.",
        object=params.label,
        count=ATTEMPTS,
        hint="An operator or a pipeline may own it. Stop that first.",
    )


async def _present(cluster: ClusterReader, resource: Resource, params: KeepParams) -> Object:
    try:
        found = await cluster.get(resource, params.name, params.namespace)
    except ObjectNotFound as error:
        raise PreconditionFailed(
            "{object}, which is to be left as it is, is gone.", object=params.label, hint="Plan anew, without it."
        ) from error
    if found["metadata"]["uid"] != params.uid:
        raise PreconditionFailed(
            "{object}, which is to be left as it is, was deleted and made again.",
            object=params.label,
            expected="the object with uid {was}",
            found="one with uid {now}",
            was=params.uid,
            now=found["metadata"]["uid"],
            hint="Plan anew.",
        )
    return found


def _patch(now: Object, params: KeepParams) -> list[dict[str, Any]]:
    meta = now["metadata"]
    held = [{"op": "test", "path": "/metadata/uid", "value": meta["uid"]}]
    notes = meta.get("annotations")
    if params.value is None:
        return [*held, {"op": "test", "path": _PATH, "value": params.former}, {"op": "remove", "path": _PATH}]
    if not notes:
        # Adding a whole map would take away what others wrote since: the version holds it.
        held.append({"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]})
        return [*held, {"op": "add", "path": "/metadata/annotations", "value": {HELM_KEEP: params.value}}]
    return [*held, {"op": "add", "path": _PATH, "value": params.value}]


async def still_there(check: CheckOf[KeptParams], cluster: ClusterReader) -> Measured:
    """What was left out is the object that it was."""
    wrong: list[str] = []
    for entry in check.params.objects:
        found = await find(cluster, entry.ref)
        if found is None or found["metadata"]["uid"] != entry.uid or found["metadata"].get("deletionTimestamp"):
            wrong.append(entry.label)
    if wrong:
        return failed(msg("gone, or made anew: {objects}", objects=listed(wrong)))
    return passed(msg("as it was"))
