# SPDX-License-Identifier: Apache-2.0
"""What is back already, when a rollback did not end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "verify"))

from small_cluster import SmallCluster

from backout.cluster.port import CONFIGMAPS
from backout.helm.payload import Release
from backout.helm.records import Record
from backout.mechanisms.helm.halfway import halfway

NS = "shop"


def config(name: str, word: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"word": word}}


def release(**words: str) -> Release:
    return Release(
        name="tiny",
        namespace=NS,
        version=1,
        manifest=yaml.safe_dump_all([config(name, word) for name, word in words.items()]),
    )


def head(status: str) -> Record:
    return Record(name="r", namespace=NS, release="tiny", revision=3, status=status, uid="u", resource_version="1")


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ({"a": "old", "b": "new", "same": "x"}, "back already: configmap/a; not yet: configmap/b"),
        ({"a": "old", "b": "old", "same": "x"}, "back already: configmap/a, configmap/b"),
        ({"same": "x"}, "none of it is back yet: configmap/a, configmap/b"),
    ],
)
def test_each_object_that_differs_is_looked_at(live: dict[str, str], said: str) -> None:
    objects = [config(name, word) for name, word in live.items()]
    for obj in objects:
        obj["metadata"] |= {"namespace": NS, "uid": f"u-{obj['metadata']['name']}"}
    cluster: Any = SmallCluster(*((CONFIGMAPS, obj) for obj in objects))
    before, wanted = release(a="new", b="new", same="x"), release(a="old", b="old", same="x")
    found = str(asyncio.run(halfway(cluster, head("pending-rollback"), before, wanted)))
    assert found == f"revision 3, pending-rollback; {said}"


def test_one_that_ended_is_told_by_its_state_alone() -> None:
    cluster: Any = SmallCluster()
    assert (
        str(asyncio.run(halfway(cluster, head("deployed"), release(a="x"), release(a="y")))) == "revision 3, deployed"
    )
