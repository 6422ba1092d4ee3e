# SPDX-License-Identifier: Apache-2.0
"""Whether a single object has a way back: asked of its mechanism, which alone knows what it can go by."""

from __future__ import annotations

from backout.cluster.port import ClusterReader
from backout.errors import BackoutError
from backout.mechanisms import registry
from backout.model.target import OBJECTS, Target


async def way_back(cluster: ClusterReader, target: Target) -> str:
    """The mechanism that takes an object back; empty where nothing good is known of it, or its kind has none."""
    if target.kind not in OBJECTS:
        return registry.OF_KIND.get(target.kind, "")
    name = registry.OF_KIND[target.kind]
    try:
        reading = await registry.get(name).read(cluster, target)
    except BackoutError:
        return ""
    return name if any(one.goodness == "good" and not one.current for one in reading.revisions) else ""
