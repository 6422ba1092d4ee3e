# SPDX-License-Identifier: Apache-2.0
"""The effect that has a custom resource say what it said before. It looks, acts if need be, and looks again."""

from __future__ import annotations

from backout.cluster.port import ClusterReader, Object
from backout.errors import CaptureError, Conflict, Invalid, PreconditionFailed, RevisionNotFound
from backout.kube.sanitise import controller
from backout.kube.workloads import template_in
from backout.mechanisms.common.patching import ATTEMPTS, restless
from backout.mechanisms.customs.body import applied_to, body_of, digest, patch, with_replicas_of, with_template
from backout.mechanisms.customs.params import FromApplied, FromCapture, FromTemplate, PutBackParams
from backout.mechanisms.customs.templates import KEPT
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg
from backout.snapshots.capture import captured_object


async def put_back(context: StepContext, step: StepOf[PutBackParams]) -> StepOutcome:
    """Writes the parts of the spec that differ, and nothing else.

    Raises:
        PreconditionFailed: it does not say any more what it said when the plan was made, or the server stored something else.
        RevisionNotFound, RepositoryNotFound, CaptureError: what it said then can't be had any more.
    """
    params = step.params
    for _ in range(ATTEMPTS):
        live = await _live(context.cluster, step)
        found = digest(body_of(live))
        if found == params.digest:
            return StepOutcome(False, msg("{ref} says that already.", ref=params.label))
        if found != params.expect:
            raise PreconditionFailed(
                "{ref} was changed after the plan was made.",
                ref=params.label,
                expected="what the plan was made for",
                found="something else",
                hint="Somebody works on it. Look at `backout changes`, then plan anew.",
            )
        wanted = await wanted_body(context.cluster, live, params)
        await context.guard()
        try:
            stored = await context.cluster.patch(
                params.resource, params.name, patch(live, wanted), params.place, type="json"
            )
        except (Invalid, Conflict):
            if await _moved(context.cluster, step, live):
                continue
            raise
        if digest(body_of(stored)) != params.digest:
            raise PreconditionFailed(
                "The API server stored something else for {ref} than what was sent.",
                ref=params.label,
                expected="what it said before",
                found="something that a webhook or the schema of its kind changed, it seems",
                hint="Look at `backout diagnose`, then at the webhooks of its operator.",
            )
        return StepOutcome(True, msg("{ref} says again what it said before.", ref=params.label))
    raise restless(step)


async def wanted_body(reader: ClusterReader, live: Object, params: PutBackParams) -> Object:
    """What it is to say, from where that is kept."""
    origin = params.origin
    if isinstance(origin, FromTemplate):
        return with_template(live, await _template(reader, live, params, origin))
    if isinstance(origin, FromCapture):
        if origin.source is None:
            raise CaptureError("The step does not say which capture {ref} is put back from.", ref=params.label)
        return body_of(captured_object(origin.source.load(), params.ref))
    if isinstance(origin, FromApplied):
        found = applied_to(live)
        if found is None:
            raise RevisionNotFound(
                "{ref} has no note of a kubectl apply any more.", ref=params.label, hint="Plan anew."
            )
        return found[0]
    content, _ = await origin.load()
    body = body_of(content)
    return body if digest(body) == params.digest else with_replicas_of(body, live)


async def _template(reader: ClusterReader, live: Object, params: PutBackParams, origin: FromTemplate) -> Object:
    """By content, since names of revisions move."""
    items = await reader.list_all(KEPT[origin.kind], params.namespace)
    mine = [i for i in items if (owner := controller(i)) is not None and owner.get("uid") == live["metadata"]["uid"]]
    for item in sorted(mine, key=lambda item: item["metadata"]["name"] != origin.name):
        template = template_in(item)
        if digest(with_template(live, template)) == params.digest:
            return template
    raise RevisionNotFound(
        "No ReplicaSet or ControllerRevision of {ref} keeps that template any more.",
        ref=params.label,
        hint="Plan anew: `backout history` says which are there.",
    )


async def _live(reader: ClusterReader, step: StepOf[PutBackParams]) -> Object:
    params = step.params
    found = await reader.get(params.resource, params.name, params.place)
    uid = step.precondition.get("uid")
    if uid and found["metadata"]["uid"] != uid:
        raise PreconditionFailed(
            "{ref} was deleted and made again after the plan was made.",
            ref=params.label,
            expected="the object with uid {was}",
            found="one with uid {now}",
            was=str(uid),
            now=found["metadata"]["uid"],
            hint="Plan anew.",
        )
    return {**found, "apiVersion": params.api_version, "kind": params.kind}


async def _moved(reader: ClusterReader, step: StepOf[PutBackParams], live: Object) -> bool:
    now = await _live(reader, step)
    return bool(now["metadata"].get("generation") != live["metadata"].get("generation"))
