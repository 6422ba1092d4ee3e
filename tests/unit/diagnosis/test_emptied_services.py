# SPDX-License-Identifier: Apache-2.0
"""Services that had pods once, and for which nothing makes any now."""

from __future__ import annotations

from pathlib import Path

import pytest
from a_namespace import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize(
    ("about", "generation", "endpoints", "asked", "snapshot", "found"),
    [
        ("its pods are gone, and nobody knows what they were", 4, 0, True, False, True),
        ("a part that is yet to come", 1, 0, True, False, False),
        ("nobody asks it", 4, 0, False, False, False),
        ("somebody's own pods are behind it", 4, 1, True, False, False),
        ("a snapshot tells what there was", 4, 0, True, True, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_service_whose_pods_nothing_makes_any_more(
    scene: Scene, about: str, generation: int, endpoints: int, asked: bool, snapshot: bool, found: bool
) -> None:
    scene.workload("web", {"containers": [{"name": "app", "image": "registry.example/app:1"}]})
    scene.service("basket", pods=endpoints)
    piece = scene.objects["EndpointSlice", "basket-x"]
    meta = {"labels": piece["metadata"]["labels"], "generation": generation}
    scene.put("EndpointSlice", "basket-x", meta=meta, ports=piece["ports"], endpoints=piece["endpoints"])
    if asked:
        scene.ingress("basket", backend="basket")
    if snapshot:
        scene.snapshot()
    problems = [p for p in scene.problems().values() if p.target.name == "basket"]
    assert bool(problems) is found
    assert all(p.suspect is None and p.confidence == "unknown" and not p.mechanism for p in problems)
