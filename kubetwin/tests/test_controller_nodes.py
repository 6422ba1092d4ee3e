# SPDX-License-Identifier: Apache-2.0
"""Nodes whose kubelet never reports."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from twin_cluster import Cluster, cluster

from kubetwin.client import Obj
from kubetwin.kinds import NODES


def conditions(c: Cluster, name: str) -> list[tuple[str, str, str]]:
    node = c.get(NODES, name) or {}
    found = (node.get("status") or {}).get("conditions") or ()
    return [(item["type"], item["status"], item["reason"]) for item in found]


def taints(c: Cluster, name: str) -> set[tuple[str, str]]:
    node = c.get(NODES, name) or {}
    return {(item["key"], item["effect"]) for item in node["spec"].get("taints") or ()}


def test_a_node_that_never_reported_is_unknown_and_unreachable() -> None:
    async def main() -> None:
        async with cluster() as c:
            # Before that, it is only not known yet.
            ghost: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}}
            created = await c.api.create(NODES, ghost)
            assert created["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
            await c.until(NODES, lambda: not taints(c, "ghost"))
            assert conditions(c, "ghost") == []
            c.plane.ctx.settings = replace(c.plane.ctx.settings, node_startup_grace=0.0)
            await c.api.patch(NODES, "ghost", {"metadata": {"labels": {"a": "b"}}})
            unreachable = "node.kubernetes.io/unreachable"
            await c.until(
                NODES, lambda: taints(c, "ghost") == {(unreachable, "NoSchedule"), (unreachable, "NoExecute")}
            )
            kinds = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
            assert conditions(c, "ghost") == [(kind, "Unknown", "NodeStatusNeverUpdated") for kind in kinds]

    asyncio.run(main())
