# SPDX-License-Identifier: Apache-2.0
"""Every recorded exchange gets the answer that a real control plane gave."""

from __future__ import annotations

import json
import os

import pytest
from cluster_harness import Cluster
from cluster_harness.exchanges import all_scenes, answers_path, difference, play, scenes


@pytest.mark.parametrize(("name", "scene"), all_scenes(), ids=lambda value: value.replace(" ", "-"))
def test_exchange(cluster: Cluster, ns: str, name: str, scene: str) -> None:
    steps = scenes(name)[scene]
    found = play(cluster, ns, steps)
    path = answers_path(name)
    recorded = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("BACKOUT_TEST_RECORD") == "1":
        assert not cluster.is_twin, "answers are recorded from a real control plane only"
        known = {key: value for key, value in recorded.items() if key in scenes(name)}
        path.write_text(json.dumps({**known, scene: found}, indent=1, sort_keys=True) + "\n")
        return
    assert scene in recorded, f"no answers are recorded for {name}: {scene}"
    wrong = []
    for step, wanted, got in zip(steps, recorded[scene], found, strict=True):
        text = difference(wanted, got)
        if cluster.is_twin and "twin" in step:
            text = "" if text else "this answer is marked as different on the twin, and is not: take the mark away"
        if text:
            wrong.append(f"--- {step['send']}\n{text}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(steps)} answers differ", *wrong])
