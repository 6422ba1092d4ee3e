# SPDX-License-Identifier: Apache-2.0
"""What going back changes, and what the API server says to it beforehand. Writes nothing."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import ClusterReader, Object
from backout.errors import AccessDenied, BackoutError, Conflict, Invalid
from backout.kube.diff import diff_objects
from backout.kube.names import CHANGE_CAUSE
from backout.kube.templates import plain_template
from backout.mechanisms.common.patching import moved
from backout.mechanisms.workload.change import dry_run
from backout.mechanisms.workload.history import TemplateRevision, WorkloadHistory
from backout.model.change import Action, Changes, ObjectChange
from backout.model.message import Message, msg
from backout.model.part import Step
from backout.model.target import ObjectRef

Asked = tuple[Object | None, BackoutError | None]
"""What the API server would store, or why it would not."""


def preview(snapshot: WorkloadHistory, wanted: TemplateRevision, steps: list[Step], asked: Asked | None) -> Changes:
    """The fields that change on the workload, as the API server would store them where it could be asked."""
    obj, ref = snapshot.obj, ObjectRef.of(snapshot.obj)
    notes: list[Message] = []
    after = _changed(obj, {"template": wanted.template})
    if asked is not None:
        answer, problem = asked
        if answer is not None:
            after = _changed(obj, {"template": answer["spec"]["template"]})
        elif problem is not None:
            notes.append(msg("The API server was asked whether it would accept this: {words}", words=problem.message))
    for step in steps:
        if step.action == "workload.set-spec":
            parts = dict(step.params["parts"])
            after["spec"] = {k: v for k, v in {**after["spec"], **parts}.items() if v is not None}
        if step.action == "workload.set-partition":
            rolling = {"rollingUpdate": {"partition": step.params["partition"]}}
            after["spec"]["updateStrategy"] = {**(obj["spec"].get("updateStrategy") or {}), **rolling}
        if step.action == "workload.set-paused" and not step.params["paused"]:
            notes.append(msg("Its paused rollout is resumed until the pods are ready, and paused again."))
    fields = diff_objects(_changed(obj, {}), after)
    notes += [
        msg("Pod {pod} is deleted and made anew: it fails, and is of another revision.", pod=pod)
        for pod in snapshot.stuck
        if wanted.digest == snapshot.digest
    ]
    action: Action = "update" if fields else "keep"
    return Changes(objects=(ObjectChange(ref=ref, action=action, fields=fields, notes=tuple(notes)),))


def between(snapshot: WorkloadHistory, before: TemplateRevision | None, after: TemplateRevision) -> ObjectChange:
    """How the pod template changed from ``before`` (None: no such workload) to ``after``."""
    fields = diff_objects(
        _changed(snapshot.obj, {"template": before.template}) if before else None,
        _changed(snapshot.obj, {"template": after.template}),
    )
    return ObjectChange(ref=ObjectRef.of(snapshot.obj), action="update" if before else "create", fields=fields)


async def ask(cluster: ClusterReader, snapshot: WorkloadHistory, wanted: TemplateRevision) -> Asked:
    """The answer of a dry run, or why there is none."""
    try:
        return await dry_run(cluster, snapshot.obj, wanted.template, _cause(snapshot)), None
    except (Invalid, Conflict) as error:
        # Changed since it was read: the run looks again, and says so.
        return None, None if await moved(cluster, snapshot.obj) else error
    except AccessDenied as error:
        return None, error


def _cause(snapshot: WorkloadHistory) -> str:
    return str((snapshot.obj["metadata"].get("annotations") or {}).get(CHANGE_CAUSE, ""))


def _changed(obj: Object, spec: dict[str, Any]) -> Object:
    """The object with other fields of the spec; a pod template without what controllers add to it."""
    merged = {**obj["spec"], **spec}
    return {**obj, "spec": {**merged, "template": plain_template(merged["template"])}}
