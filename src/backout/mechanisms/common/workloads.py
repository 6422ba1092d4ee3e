# SPDX-License-Identifier: Apache-2.0
"""Reads of workload objects."""

from __future__ import annotations

from backout.cluster.port import CONTROLLERREVISIONS, REPLICASETS, ClusterReader, Object
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import controller_uid, revision_in_force, selector_of


async def load(cluster: ClusterReader, kind: str, name: str, namespace: str) -> Object:
    """The workload, with its kind.

    Raises:
        ObjectNotFound: there is none.
    """
    return {"apiVersion": "apps/v1", "kind": kind, **await cluster.get(WORKLOAD_RESOURCES[kind], name, namespace)}


async def revisions_of(cluster: ClusterReader, obj: Object) -> list[Object]:
    """The ReplicaSets of a Deployment, or the ControllerRevisions of a set, that it controls."""
    resource = REPLICASETS if obj["kind"] == "Deployment" else CONTROLLERREVISIONS
    found = await cluster.list_all(resource, obj["metadata"]["namespace"], labels=selector_of(obj))
    return [item for item in found if controller_uid(item) == obj["metadata"]["uid"]]


async def label_in_force(cluster: ClusterReader, obj: Object) -> str:
    """What pods of the revision in force carry in their label; empty while there is none."""
    return revision_in_force(obj, [] if obj["kind"] == "StatefulSet" else await revisions_of(cluster, obj))
