# SPDX-License-Identifier: Apache-2.0
"""Quotas and limits, of others and of one's own making."""

from __future__ import annotations

from dataclasses import replace

from bench.incidents.kinds.common import LIMITS, scene
from bench.incidents.objects import main, make
from bench.incidents.situation import Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Kill, New, Scale, Step
from kubetwin.client import Obj

ONE = ("deployment", "statefulset")


@kind(LIMITS, 6)
def limit_range_of_others(draw: Draw, number: int) -> Situation:
    memory = {"requests": {"memory": "200Mi"}, "limits": {"memory": "200Mi"}}
    found = scene(draw, number, shapes=ONE, resources=memory)
    called = draw.choice(("max", "tenant-limits", "guardrails"))
    limit = make("limitrange", called, spec={"limits": [{"type": "Container", "max": {"memory": "100Mi"}}]})
    return found.situation(_of_others(found.of, f"limitrange/{called}", found.release), New(limit), Kill(found.app))


@kind(LIMITS)
def quota_of_others(draw: Draw, number: int) -> Situation:
    memory = {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}
    found = scene(draw, number + 1, shapes=ONE, resources=memory)
    found.after.clear()  # what is scaled or replaced then would be refused, too
    called = draw.choice(("tight", "tenant-quota", "compute"))
    hard = draw.choice(({"limits.memory": "16Mi"}, {"pods": "1"}))
    faults: list[Step] = [New(make("resourcequota", called, spec={"hard": hard})), Kill(found.app)]
    return found.situation(_of_others(found.of, f"resourcequota/{called}", found.release), *faults)


@kind(LIMITS, 6)
def quota_that_was_lowered(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=ONE)
    found.after.clear()
    called = draw.choice(("quota", "tenant-quota"))
    found.objects.insert(0, make("resourcequota", called, spec={"hard": {"pods": "30"}}))
    hand = draw.hand()

    def change(obj: Obj) -> None:
        obj["spec"]["hard"]["pods"] = "1"

    expected = replace(_of_others(found.of, f"resourcequota/{called}", found.release), outcomes=("recovered",))
    return found.situation(expected, Edit(f"resourcequota/{called}", change, hand), Kill(found.app))


def _of_others(of: str, limit: str, release: str) -> Expected:
    innocent = (of, *((f"helm/{release} went to revision",) if release else ()))
    return Expected(((limit,),), ("approval",), ("deletes",), innocent=innocent)


@kind(LIMITS)
def request_beyond_the_quota(draw: Draw, number: int) -> Situation:
    memory = {"requests": {"memory": "32Mi"}, "limits": {"memory": "32Mi"}}
    found = scene(draw, number, shapes=ONE, resources=memory)
    for each in found.objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            main(each)["resources"] = memory
    hard = {"requests.memory": "700Mi", "limits.memory": "700Mi"}
    found.objects.insert(0, make("resourcequota", "compute", spec={"hard": hard}))
    much = draw.choice(("900Mi", "2Gi"))

    def change(obj: Obj) -> None:
        main(obj)["resources"] = {"requests": {"memory": much}, "limits": {"memory": much}}

    return found.situation(found.expected(found.of, "memory", much), found.change(change))


@kind(LIMITS)
def scaled_beyond_the_quota(draw: Draw, number: int) -> Situation:
    found = scene(draw, 1, shapes=("deployment",), replicas=2, quiet=True)
    found.objects.insert(0, make("resourcequota", "pods", spec={"hard": {"pods": "8"}}))
    expected = Expected(((found.of, "replicas"),), ("recovered", "refused"))
    return found.situation(expected, Scale(found.of, 20 + number))
