# SPDX-License-Identifier: Apache-2.0
"""Situations are repeatable and many; the scorer tells right from wrong, and sees what was written."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from bench.incidents import score as scoring
from bench.incidents import scripts, topics
from bench.incidents.command import own
from bench.incidents.healthy import NOISES, stacks
from bench.incidents.page import Sum
from bench.incidents.score import Played, Score
from bench.incidents.situation import Expected, situations
from bench.incidents.state import as_written, differences

from backout import Diagnosis, Problem, Target
from backout.model.change import FieldChange, LedgerEntry
from backout.model.message import msg

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BAD_IMAGE = Expected((("deployment/web", "image", "2.0-crash"),))


def problem(target: str = "deployment/web", *, after: str = "web:2.0-crash", confidence: Any = "likely") -> Problem:
    kind, _, name = target.partition("/")
    change = LedgerEntry(
        at=NOW,
        source="replicaset",
        target=Target(kind, name),
        actor="kubectl-set",
        summary=msg("changed"),
        fields=(FieldChange("spec.template.spec.containers[name=web].image", "web:1.0", after),),
    )
    return Problem(
        target=Target(kind, name),
        mechanism="workload",
        symptoms=(),
        cause=msg("it crashes"),
        suspect=change,
        confidence=confidence,
    )


def diagnosis(*problems: Problem) -> Diagnosis:
    return Diagnosis(cluster="c", namespace="n", at=NOW, problems=problems)


def test_the_same_seed_draws_the_same_situations() -> None:
    first, again, other = situations(1), situations(1), situations(2)
    assert [(each.name, each.objects, each.expected) for each in first] == [
        (each.name, each.objects, each.expected) for each in again
    ]
    assert [each.name for each in first] == [each.name for each in other]
    assert [each.objects for each in first] != [each.objects for each in other]
    assert len({each.name for each in first}) == len(first)


def test_there_are_enough_of_every_area() -> None:
    areas = Counter(each.area for each in situations(1))
    assert sum(areas.values()) >= 200
    assert min(areas.values()) >= 6


def test_every_noise_is_played() -> None:
    found = stacks(1, len(NOISES))
    assert {noise for each in found for noise in each.told.split(", ")} == set(NOISES)
    assert all(not each.expected.broken for each in found)


@pytest.mark.parametrize(
    ("problems", "named"),
    [
        ([problem()], "right"),
        ([problem(confidence="possible")], "unknown"),
        ([problem(after="web:1.9")], "wrong"),
        ([problem("deployment/other")], "wrong"),
        ([], "silent"),
    ],
)
def test_named(problems: list[Problem], named: str) -> None:
    assert scoring.name(BAD_IMAGE, diagnosis(*problems))[0] == named


def test_two_causes_are_both_wanted() -> None:
    two = Expected((*BAD_IMAGE.names, ("deployment/api", "image")))
    assert scoring.name(two, diagnosis(problem()))[0] == "unknown"
    assert scoring.name(two, diagnosis(problem(), problem("deployment/api")))[0] == "right"


def test_who_is_innocent_may_not_be_blamed() -> None:
    expected = Expected((("configmap/conf",),), innocent=("deployment/web",))
    assert scoring.name(expected, diagnosis(problem(), problem("configmap/conf")))[0] == "wrong"


def test_nothing_to_blame() -> None:
    outage = Expected((), ("nothing",), guilty=("node/*",))
    assert scoring.name(outage, diagnosis(problem(confidence="possible")))[0] == "right"
    assert scoring.name(outage, diagnosis(problem()))[0] == "wrong"
    assert scoring.name(outage, diagnosis(problem("node/node-1")))[0] == "right"
    calm = Expected((), ("nothing",), broken=False)
    assert scoring.name(calm, diagnosis(problem(confidence="unknown")))[0] == "wrong"


def test_false_certainty_is_seen() -> None:
    right, wrong = problem(confidence="certain"), problem("deployment/other", confidence="certain")
    assert scoring.falsely_certain(BAD_IMAGE, diagnosis(right)) == []
    assert scoring.falsely_certain(BAD_IMAGE, diagnosis(right, wrong)) == [scoring.sentence(wrong)]


def deployment(image: str, replicas: int = 2) -> dict[str, Any]:
    container = {"name": "web", "image": image}
    template = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": image}},
        "spec": {"containers": [container]},
    }
    obj = {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "template": template}, "status": {"replicas": 9}}
    return as_written("deployment", obj)


GOOD, BROKEN = {"deployment/web": deployment("web:1.0")}, {"deployment/web": deployment("web:2.0-crash")}


def judged(after: dict[str, Any], *, expected: Expected = BAD_IMAGE, done: Any = "recovered", **more: Any) -> Score:
    score = Score("a", "a", "a", "1", named="right")
    played = Played(GOOD, BROKEN, BROKEN, after, more.get("unready", ()), more.get("first_wrote", False))
    scoring.judge(expected, (), done, "", played, score)
    return score


def test_back_and_ready_is_right() -> None:
    score = judged(GOOD)
    assert score.outcome and not score.harm and not score.false_success


def test_not_back_is_a_false_success() -> None:
    score = judged(BROKEN)
    assert not score.outcome and "image" not in score.harm and score.false_success


def test_not_ready_is_a_false_success() -> None:
    assert judged(GOOD, unready=("deployment/web",)).false_success == ["not ready: deployment/web"]


def test_what_the_fault_had_not_changed_may_not_be_written() -> None:
    assert judged({"deployment/web": deployment("web:1.0", replicas=3)}).harm == ["deployment/web spec replicas"]
    assert judged({**GOOD, "configmap/new": {"data": {}}}).harm == ["configmap/new "]


def test_nothing_may_be_written_where_no_change_did_it() -> None:
    outage = Expected((), ("nothing",))
    assert judged(GOOD, expected=outage).harm
    assert judged(BROKEN, expected=outage, done="refused").outcome


def test_writing_before_the_approval_is_harm() -> None:
    expected = Expected(BAD_IMAGE.names, ("approval",), ("takeover",))
    assert judged(GOOD, expected=expected, done="approval").outcome
    assert not judged(GOOD, expected=expected, done="approval", first_wrote=True).outcome


def test_differences_are_told_by_field() -> None:
    assert differences({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}}) == {"a b": (1, 2)}


def test_thresholds() -> None:
    right = [Score(str(n), "k", "area", "1", named="right", outcome=True) for n in range(97)]
    wrong = [Score(str(n), "k", "area", "1", named="unknown") for n in range(3)]
    assert not Sum([*right, *wrong]).missed()
    assert Sum([*right, *wrong, wrong[0]]).missed()
    assert Sum([*right, Score("x", "k", "area", "1", named="right", harm=["a"])]).missed()


def test_every_topic_is_tried_often_enough() -> None:
    counts = topics.counted(own([], [*situations(1), *stacks(1, 100)]))
    assert {topic: count for topic, count in counts.items() if count < topics.LEAST} == {}


def test_a_script_is_scored_as_a_situation() -> None:
    result = {"case": "801-calm", "named": "wrong", "named_why": "false alarm", "healthy": True, "outcome": "no"}
    result |= {"outcome_why": "exit 7", "harm": [], "false_success": [], "certain": 1, "falsely_certain": ["web"]}
    found = Sum(
        [scripts.score({**result, "diagnose_s": 1.0, "case_s": 9.0}), scripts.score({"case": "102-x", "error": "no"})]
    )
    assert found.missed() == [
        "named 0 of 1, wanted 97%",
        "false alarms: 1, such as 801-calm",
        "false certainty: 1, such as 801-calm",
        "not set up: 1, such as 102-x",
    ]
