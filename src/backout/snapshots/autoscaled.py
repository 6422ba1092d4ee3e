# SPDX-License-Identifier: Apache-2.0
"""Whose number of replicas belongs to an autoscaler, so that a restore keeps what it is now.

Facts: kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (a target with 0 replicas is not scaled: its
autoscaler rests), and keda.sh/docs/latest/concepts/scaling-deployments (KEDA makes a HorizontalPodAutoscaler that a
ScaledObject owns, and itself scales to and from 0).
"""

from __future__ import annotations

from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied, ObjectNotFound
from backout.kube.projections import Meta, Projection
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

_HPAS = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
Key = tuple[str, str, str]
"""Group, kind and name of what is scaled."""


class _Scaled(Projection, frozen=True):
    kind: str
    name: str
    api_version: str = ""


class _Spec(Projection, frozen=True):
    scale_target_ref: _Scaled


class _Hpa(Projection, frozen=True):
    metadata: Meta
    spec: _Spec


class Autoscaler(msgspec.Struct, frozen=True):
    """``name`` as people write it; ``to_zero`` when it may be what scaled to 0."""

    name: str
    to_zero: bool


async def autoscalers(cluster: ClusterReader, namespace: str) -> dict[Key, Autoscaler] | None:
    """By what they scale; None when they can't be listed.

    Raises:
        BackoutError: the API server fails.
    """
    try:
        found = await cluster.list_as(_Hpa, _HPAS, namespace)
    except AccessDenied:
        return None
    except ObjectNotFound:
        return {}
    return {
        (
            group_of(hpa.spec.scale_target_ref.api_version),
            hpa.spec.scale_target_ref.kind,
            hpa.spec.scale_target_ref.name,
        ): _named(hpa.metadata)
        for hpa in found
        if hpa.metadata.deletion_timestamp is None
    }


def _named(meta: Meta) -> Autoscaler:
    keda = any(owner.kind == "ScaledObject" for owner in meta.owner_references)
    return Autoscaler(f"horizontalpodautoscaler/{meta.name}", keda)


def group_of(api_version: str) -> str:
    """The API group, empty for the core group."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def replicas_of(obj: Object) -> Any:
    """``spec.replicas``, or None."""
    return (obj.get("spec") or {}).get("replicas")


def keeps_replicas(scaler: Autoscaler | None, live: Object) -> bool:
    """True when the live number is the autoscaler's. Who scaled to 0 by hand put the autoscaler to rest."""
    now = replicas_of(live)
    return scaler is not None and now is not None and (now != 0 or scaler.to_zero)


def with_replicas_of(content: Object, live: Object) -> Object:
    """``content`` with the live number of replicas."""
    return {**content, "spec": {**(content.get("spec") or {}), "replicas": replicas_of(live)}}


class Scalers:
    """The autoscalers of the namespace, read when a number of replicas differs."""

    def __init__(self, cluster: ClusterReader, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._read = False
        self._found: dict[Key, Autoscaler] | None = None

    async def of(self, ref: ObjectRef) -> Autoscaler | Message | None:
        """Who scales an object; a message when that can't be told."""
        if not self._read:
            self._found = await autoscalers(self._cluster, self._namespace)
            self._read = True
        if self._found is None:
            return msg(
                "You may not list HorizontalPodAutoscalers, so one of them may set its number of replicas again."
            )
        return self._found.get((group_of(ref.api_version), ref.kind, ref.name))
