# SPDX-License-Identifier: Apache-2.0
"""Whether a single object has a way back: asked of its mechanism, which alone knows what it can go by."""

from __future__ import annotations

from backout.cluster.port import ClusterReader
from backout.errors import BackoutError
from backout.kube.groups import custom
from backout.mechanisms import registry
from backout.model.target import OBJECTS, ObjectRef, Target, custom_kind, is_custom


def target_of(ref: ObjectRef, namespace: str, cluster: str) -> Target:
    """How an object is named as a target: custom resources by kind and group."""
    kind = custom_kind(ref.api_version, ref.kind) if custom(ref.api_version) else ref.kind.lower()
    return Target(kind, ref.name, namespace, cluster)


def mechanism_of(target: Target) -> str:
    """The mechanism of a kind of target; empty where it has none."""
    return registry.CUSTOMS if is_custom(target.kind) else registry.OF_KIND.get(target.kind, "")


async def way_back(cluster: ClusterReader, target: Target) -> str:
    """The mechanism that takes an object back; empty where nothing good is known of it, or its kind has none."""
    name = mechanism_of(target)
    if target.kind not in OBJECTS and not is_custom(target.kind):
        return name
    try:
        reading = await registry.get(name).read(cluster, target)
    except BackoutError:
        return ""
    return name if any(one.goodness == "good" and not one.current for one in reading.revisions) else ""
