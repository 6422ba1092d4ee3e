# SPDX-License-Identifier: Apache-2.0
"""``custom-resource``: a custom resource is as its operator says that it should be, and so is what is made of it.

Watched through the soak as workloads are. What nobody tells is unknown, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, Object, Resource
from backout.kube import projections
from backout.kube.operated import SILENT, Child, OperatedState, operated
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.rollout import rollout_with_pods
from backout.kube.workloads import controller_uid, revision_in_force
from backout.mechanisms.common.params import CustomParams
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import msg
from backout.verify.pods import pods_of
from backout.verify.scene import Scene, View

EVERY = "*"
"""Stands for a name where resources of a kind could not be listed when the checks were made."""


def views(params: CustomParams) -> Iterator[View]:
    """What is watched for it."""
    yield params.resource, params.place
    for resource in (*WORKLOAD_RESOURCES.values(), REPLICASETS, CONTROLLERREVISIONS, PODS):
        yield resource, params.namespace


def custom_resource(check: CheckOf[CustomParams], scene: Scene) -> Measured:
    """See the module."""
    params = check.params
    if params.name == EVERY:
        scene.objects(params.resource, params.place)
        return passed(msg("they can be read"))
    found = scene.get(params.resource, params.place, params.name)
    obj = {**found, "apiVersion": params.api_version, "kind": params.kind} if found is not None else None
    uid = str(found["metadata"]["uid"]) if found is not None else ""
    children = [_child(scene, workload, params.namespace) for workload in _made(scene, params, uid)]
    answer = operated(obj, children, params.known, changed=params.changed, answers=params.answers)
    names = [f"{child.kind.lower()}/{child.name}" for child in children]
    if answer.state is OperatedState.READY:
        return passed(answer.why, children=names)
    if answer.state is OperatedState.UNKNOWN:
        # An operator that has just begun may say it in a moment.
        return unknown(answer.why, again=answer.why == SILENT, children=names)
    return failed(answer.why, children=names)


def _made(scene: Scene, params: CustomParams, uid: str) -> Iterator[Object]:
    """What has it as its owner, and what was known to be made of it through another resource."""
    known = {(one.kind, one.name) for one in params.known}
    for kind, resource in WORKLOAD_RESOURCES.items():
        for workload in scene.objects(resource, params.namespace):
            owner = controller_uid(workload)
            if (owner and owner == uid) or (kind, workload["metadata"]["name"]) in known:
                yield {**workload, "apiVersion": resource.api_version, "kind": kind}


def _child(scene: Scene, workload: Object, namespace: str) -> Child:
    kind, meta = workload["kind"], workload["metadata"]
    revisions = [] if kind == "StatefulSet" else scene.objects(_revisions(kind), namespace)
    pods = [projections.pod(pod) for pod in pods_of(scene, workload, namespace)]
    return Child(
        kind=kind,
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation") or 0),
        rollout=rollout_with_pods(kind, projections.workload(workload), pods, revision_in_force(workload, revisions)),
    )


def _revisions(kind: str) -> Resource:
    return REPLICASETS if kind == "Deployment" else CONTROLLERREVISIONS
