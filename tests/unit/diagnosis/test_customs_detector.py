# SPDX-License-Identifier: Apache-2.0
"""A custom resource that its operator refuses is found, though every pod is well; one whose pods show it is not told twice."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from backout.cluster.port import Resource
from backout.diagnosis.detectors import customs
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.namespace import Listed
from backout.kube.projections import TemplatedWorkload

STORE = Resource("data.example/v1", "Store", "stores")


class Release:
    """A release of one custom resource."""

    in_force = None

    async def contents(self, record: Any) -> dict[tuple[str, str], Any]:
        return {
            ("Store", "main"): {"apiVersion": "data.example/v1", "kind": "Store"},
            ("Service", "x"): {"apiVersion": "v1"},
        }


class Space:
    """The part of a namespace that the detector asks."""

    name = "ns"

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.found, self.cluster = objects, self

    async def releases(self) -> dict[str, Release]:
        return {"app": Release()}

    async def resource(self, api_version: str, kind: str) -> Resource:
        return STORE

    async def objects(self, resource: Resource) -> Listed[dict[str, Any]]:
        return Listed([{**obj, "apiVersion": resource.api_version, "kind": resource.kind} for obj in self.found])


def store(name: str = "main", ready: str = "False") -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "message": "size: not a number", "observedGeneration": 1}
    meta = {"name": name, "namespace": "ns", "uid": "u1", "generation": 1}
    return {"metadata": meta, "spec": {}, "status": {"conditions": [condition]}}


def made(ready: int) -> TemplatedWorkload:
    owner = {"apiVersion": "data.example/v1", "kind": "Store", "name": "main", "uid": "u1", "controller": True}
    return msgspec.convert(
        {
            "metadata": {"name": "main-set", "namespace": "ns", "ownerReferences": [owner]},
            "spec": {"replicas": 2},
            "status": {"readyReplicas": ready},
        },
        TemplatedWorkload,
    )


def seen(obj: dict[str, Any], ready: int) -> list[Seen]:
    state = State(namespace="ns")
    state.workloads[("ns", "StatefulSet", "main-set")] = made(ready)  # type: ignore[assignment]
    return asyncio.run(customs.detect(Space(obj), state, None))  # type: ignore[arg-type]


def test_what_its_operator_refuses_is_told_with_its_words() -> None:
    found = seen(store(), ready=2)
    assert [(one.symptom.code, str(one.symptom.ref)) for one in found] == [("NotReconciled", "store/main")]
    assert "size: not a number" in found[0].symptom.message.text


@pytest.mark.parametrize(("obj", "ready"), [(store(), 1), (store(ready="True"), 2), (store("other"), 2)])
def test_what_is_well_or_shown_by_pods_or_of_no_release_is_not(obj: dict[str, Any], ready: int) -> None:
    assert seen(obj, ready) == []
