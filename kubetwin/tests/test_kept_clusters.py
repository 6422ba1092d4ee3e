# SPDX-License-Identifier: Apache-2.0
"""Clusters that are started to be kept: what they served before they went down, they serve again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kubetwin import process
from kubetwin.client import Api, Resource
from kubetwin.kinds import CRDS
from kubetwin.transport import HttpTransport

NAMES = {"plural": "gauges", "kind": "Gauge", "singular": "gauge"}
SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gauges.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced", "names": NAMES, "versions": [VERSION]},
}
GAUGES = Resource("example.com", "v1", "gauges", "Gauge")
GAUGE = {"apiVersion": "example.com/v1", "kind": "Gauge", "metadata": {"name": "one", "namespace": "default"}}


async def _asked(kubeconfig: Path, *, new: bool) -> list[str]:
    """The names of the gauges; ``new``: define them and make one first."""
    transport = HttpTransport.from_kubeconfig(kubeconfig)
    try:
        api = Api(transport, user_agent="test")
        if new:
            await api.create(CRDS, DEFINITION)
            await api.create(GAUGES, GAUGE)
        return [item["metadata"]["name"] for item in (await api.list(GAUGES, "default"))["items"]]
    finally:
        await transport.close()


def test_custom_resources_are_served_again(tmp_path: Path) -> None:
    directory = tmp_path / "twin"
    for new in (True, False):
        twin = process.up(directory, ("cluster-01",), keep=True)
        try:
            assert asyncio.run(_asked(twin.kubeconfig, new=new)) == ["one"]
        finally:
            process.down(directory)
