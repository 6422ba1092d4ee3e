# SPDX-License-Identifier: Apache-2.0
"""The parameters of checks are read strictly, when a plan begins and when they are measured."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.errors import PlanChanged
from backout.mechanisms import registry
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import Target
from backout.verify.verify import hold, verify

TARGET = Target("deployment", "web", "shop")


def check(code: str, **params: Any) -> Check:
    return Check(code=code, target=TARGET, title=msg("it is so"), params=params)


@pytest.mark.parametrize(
    "wrong",
    [
        check("workload-ready", replicas=3),
        check("endpoints", services="web"),
        check("owner-quiet", seconds="long"),
        check("object-restored", kind="ConfigMap", name="web"),
        check("http-answer", status="fine"),
    ],
    ids=lambda one: one.code,
)
def test_what_a_check_does_not_take_is_refused_before_and_unknown_when_measured(wrong: Check) -> None:
    with pytest.raises(PlanChanged, match=f"parameters of {wrong.code}"):
        hold([wrong])
    verdict = asyncio.run(verify(SmallCluster(), [wrong], 0.0, settle=0.0))  # type: ignore[arg-type]
    assert (verdict.outcome, verdict.checks[0].status) == ("unknown", "unknown")


def test_a_code_of_another_version_is_unknown_and_no_error() -> None:
    hold([check("weather", wind=3)])


def test_every_measurement_reads_strictly() -> None:
    for one in registry.every():
        for measure in one.measurements().values():
            assert measure.params.__struct_config__.forbid_unknown_fields
