# SPDX-License-Identifier: Apache-2.0
"""Policy: when something may begin (in the time of a place), how much at once, and how many people have to say yes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.contract.store.test_store_contract import part, plan

from backout.errors import BackoutError, ConfigError, FrozenError, OverLimitError
from backout.model.change import Changes, ObjectChange
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Step
from backout.model.settings import Settings, parse_settings
from backout.model.target import ObjectRef, Target
from backout.planning.document import check, seal
from backout.planning.policy import Policy, ends, with_risks

HEAD = """
clusters:
  a: {labels: {role: prod}}
  b: {labels: {role: prod}}
  c: {labels: {role: edge}}
  d: {}
stacks: {shop: {namespace: ns, clusters: [a, b, c, d]}}
policy:
"""


def policy(text: str) -> Policy:
    return Policy(parse_settings(HEAD + "\n".join(f"  {line}" for line in text.strip().splitlines()), "backout.yaml"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def operation(*clusters: str, deletes: int = 0, action: str = "helm.rollback", namespace: str = "ns") -> Operation:
    gone = tuple(ObjectChange(ref=ObjectRef("ConfigMap", f"x-{n}", namespace), action="delete") for n in range(deletes))
    step = Step(id="s", action=action, target=Target("helm", "thanos", namespace), title=msg("x"))
    return seal(
        plan(
            "",
            *(
                msgspec.structs.replace(part(name, name), steps=(step,), changes=Changes(objects=gone))
                for name in clusters
            ),
        )
    )


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        ("{from: '2026-12-24T18:00', to: '2026-12-27T06:00', zone: Europe/Berlin}", "2026-12-24T16:59", None),
        (
            "{from: '2026-12-24T18:00', to: '2026-12-27T06:00', zone: Europe/Berlin}",
            "2026-12-24T17:00",
            "2026-12-27T05:00",
        ),
        ("{from: '2026-12-24T18:00', to: '2026-12-27T06:00', zone: Europe/Berlin}", "2026-12-27T05:00", None),
        ("{days: [fri], from: '16:00', zone: Asia/Seoul}", "2026-11-27T06:59", None),
        ("{days: [fri], from: '16:00', zone: Asia/Seoul}", "2026-11-27T07:00", "2026-11-27T15:00"),
        ("{days: [fri], from: '16:00', zone: Asia/Seoul}", "2026-11-27T15:00", None),
        ("{days: [fri, sat, sun]}", "2026-11-27T00:00", "2026-11-30T00:00"),
        ("{days: [sat, sun]}", "2026-11-30T00:00", None),
        ("{days: [fri], from: '22:00', to: '06:00'}", "2026-11-28T05:59", "2026-11-28T06:00"),
        ("{days: [fri], from: '22:00', to: '06:00'}", "2026-11-28T06:00", None),
        ("{days: [fri], from: '22:00', to: '06:00'}", "2026-11-28T22:00", None),
        # The night in which clocks go back has an hour more, and both of its 02:30 are within.
        ("{days: [sun], to: '03:00', zone: Europe/Berlin}", "2026-10-25T01:30", "2026-10-25T02:00"),
        ("{days: [sun], to: '03:00', zone: Europe/Berlin}", "2026-10-25T02:00", None),
        ("{days: [mon, tue, wed, thu, fri, sat, sun]}", "2026-11-27T12:00", "2026-12-05T00:00"),
    ],
)
def test_when_a_window_is_open(window: str, now: str, until: str | None) -> None:
    (found,) = policy(f"freeze:\n  - {window}").settings.freeze
    end = ends(found, at(now))
    assert (end.astimezone(UTC) if end else None) == (at(until) if until else None)


def test_a_freeze_is_of_the_clusters_that_it_names() -> None:
    held = policy("freeze: [{name: Christmas, days: [thu], clusters: role=prod}]")
    now = at("2026-12-24T12:00")
    held.require_time(operation("c", "d").parts, now)
    with pytest.raises(FrozenError, match="Nothing is begun on b now: Christmas, until 2026-12-25 00:00 UTC"):
        held.require_time(operation("c", "b").parts, now)


@pytest.mark.parametrize(
    ("limits", "one", "refused"),
    [
        ("{clusters: 2}", operation("a", "b"), None),
        ("{clusters: 2}", operation("a", "b", "c"), "3 clusters"),
        ("{share: 50%}", operation("a", "b"), None),
        ("{share: 50%}", operation("a", "b", "c"), "3 clusters of stack shop"),
        ("{share: 1%}", operation("a"), None),
        ("{deletions: 0}", operation("a"), None),
        ("{deletions: 3}", operation("a", "b", deletes=2), "4 objects that are deleted"),
        ("{namespaces: ['ns', 'shop-*']}", operation("a"), None),
        ("{namespaces: ['shop-*']}", operation("a"), "acts in ns"),
    ],
)
def test_how_much_at_once(limits: str, one: Operation, refused: str | None) -> None:
    held = policy(f"limits: {limits}")
    if refused is None:
        held.require_size(one)
        return
    with pytest.raises(OverLimitError, match=refused):
        held.require_size(one)


@pytest.mark.parametrize(
    ("approvals", "one", "people"),
    [
        ("0", operation("a"), 0),
        ("2", operation("d"), 2),
        ("[{people: 2, clusters: role=prod}, {people: 1, clusters: role=edge}]", operation("c"), 1),
        ("[{people: 2, clusters: role=prod}, {people: 1, clusters: role=edge}]", operation("c", "a"), 2),
        ("[{people: 2, clusters: role=prod}]", operation("d"), 0),
        ("[{steps: [helm]}]", operation("a"), 1),
        ("[{steps: [helm.rollback, workload]}]", operation("a"), 1),
        ("[{steps: [workload]}]", operation("a"), 0),
        ("[{deletes: true}]", operation("a"), 0),
        ("[{deletes: true}]", operation("a", deletes=1), 1),
    ],
)
def test_how_many_people_say_yes(approvals: str, one: Operation, people: int) -> None:
    assert policy(f"approvals: {approvals}").people(one) == people


def test_what_stands_in_the_way_is_told_with_the_plan_which_is_sealed_anew() -> None:
    held = policy("freeze: [{days: [thu]}]\napprovals: 1\nlimits: {clusters: 1}")
    one = operation("a", "b")
    told = held.told(one, at("2026-12-24T12:00"))
    assert [risk.code for risk in told] == ["policy-freeze", "policy-limit", "policy-approval"]
    new = seal(with_risks(one, told))
    check(new)
    assert new.hash != one.hash and all(part.risks == told for part in new.parts)
    with pytest.raises(BackoutError):
        held.require_size(seal(with_risks(new, ())))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("freeze: [{days: [friday]}]", "friday"),
        ("freeze: [{zone: Mars/Olympus, days: [fri]}]", "no time zone Mars/Olympus"),
        ("freeze: [{zone: ../../etc/passwd, days: [fri]}]", "no time zone"),
        ("freeze: [{name: x}]", "it needs days, or a beginning and an end"),
        ("freeze: [{from: '2026-12-27T06:00', to: '2026-12-24T18:00'}]", "it ends before it begins"),
        ("freeze: [{days: [fri], from: '25:00'}]", "no time of day"),
        ("freeze: [{days: [fri], from: 16:00}]", "str"),
        ("freeze: [{days: [fri], clusters: 'a b'}]", "no label selector"),
        ("limits: {share: 200%}", "no share"),
        ("limits: {clusters: 0}", "clusters"),
        ("approvals: 9", "approvals"),
        ("approvals: [{steps: ['rm -rf']}]", "no kind of step"),
        ("approvals: [{persons: 2}]", "persons"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(text)
    assert said in caught.value.message and "backout.yaml, line" in caught.value.message, caught.value.message


def test_without_a_policy_nothing_is_held_back() -> None:
    held: Any = Policy(Settings())
    held.require_time(operation("a").parts, at("2026-12-24T12:00"))
    held.require_size(operation("a", "b", deletes=9))
    assert held.people(operation("a")) == 0
