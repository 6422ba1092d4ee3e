# SPDX-License-Identifier: Apache-2.0
"""A slice of `python -m bench incidents`: the cause of each is named, nothing is harmed, and what is well is left alone."""

from __future__ import annotations

import pytest
from bench import peers
from bench.incidents.command import SEED, line, well
from bench.incidents.page import Sum
from bench.incidents.playing import play
from bench.incidents.score import Score

INCIDENTS = (
    "image-that-crashes-0",
    "image-that-is-not-there-1",
    "environment-2",
    "node-selector-1",
    "request-beyond-the-quota-0",
    "key-that-was-removed-1",
    "content-that-does-not-load-1",
    "selector-of-a-service-1",
    "init-container-added-0",
    "registry-that-does-not-answer-0",
    "quota-used-by-others-0",
    "two-programs-two-actors-0",
)
STACKS = 30


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    helm = peers.helms().get("4")
    assert helm is not None, "helm 4 is not installed"
    names = [*INCIDENTS, *(f"healthy-{number}" for number in range(STACKS))]
    return play(SEED, names, STACKS, helm=helm, workers=2)


def test_causes_are_named_and_taken_back(scores: list[Score]) -> None:
    played = [score for score in scores if score.name in INCIDENTS]
    assert len(played) == len(INCIDENTS)
    assert not [line(score) for score in played if not well(score)]


def test_what_is_well_is_left_alone(scores: list[Score]) -> None:
    played = Sum([score for score in scores if score.name not in INCIDENTS])
    assert len(played.scores) == STACKS
    assert not [line(score) for score in played.scores if not well(score) or score.harm]
