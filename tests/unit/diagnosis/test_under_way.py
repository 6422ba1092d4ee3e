# SPDX-License-Identifier: Apache-2.0
"""A rollout that is under way is not broken, as long as what is there before it serves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backout.diagnosis.detectors.symptoms import starting, under_way
from backout.kube.projections import PackedWorkload
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

KEY = ("shop", "Deployment", "web")


def deployment(status: dict[str, Any], spec: dict[str, Any] | None = None) -> PackedWorkload:
    return msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "shop", "generation": 2},
            "spec": {"replicas": 3, **(spec or {})},
            "status": {"observedGeneration": 2, **status},
        },
        PackedWorkload,
    )


def symptoms(*codes: str) -> list[Symptom]:
    return [
        Symptom(code=code, ref=ObjectRef("apps/v1", "Deployment", "web", "shop"), message=msg("x")) for code in codes
    ]


SERVING = {"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3}
STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


@pytest.mark.parametrize(
    ("status", "codes", "expected"),
    [
        (SERVING, ("NotReady",), True),
        (SERVING, ("CrashLoopBackOff",), False),
        (SERVING, ("NotReady", "CrashLoopBackOff"), False),
        ({**SERVING, "conditions": [STUCK]}, ("NotReady",), False),
        ({**SERVING, "readyReplicas": 1, "availableReplicas": 1}, ("NotReady",), False),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 0, "availableReplicas": 0}, ("NotReady",), False),
    ],
)
def test_only_while_earlier_pods_serve_and_the_deadline_has_not_passed(
    status: dict[str, Any], codes: tuple[str, ...], expected: bool
) -> None:
    assert under_way(KEY, deployment(status), symptoms(*codes)) is expected


def test_without_earlier_pods_it_is_an_outage() -> None:
    recreate = deployment({"replicas": 3, "updatedReplicas": 3}, {"strategy": {"type": "Recreate"}})
    assert not under_way(KEY, recreate, symptoms("NotReady"))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 0}, "0 of 3 pods are ready"),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}, ""),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 0, "conditions": [STUCK]}, ""),  # told as broken
    ],
)
def test_pods_that_show_nothing_yet_are_told_of(status: dict[str, Any], said: str) -> None:
    told = starting(KEY, deployment(status))
    assert (told.text if told else "").endswith(f"{said}." if said else "")
    assert bool(told) is bool(said)
