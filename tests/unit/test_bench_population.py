# SPDX-License-Identifier: Apache-2.0
"""The large cluster that the benchmark measures on is the one that it describes."""

from __future__ import annotations

import json
from collections import Counter

from bench import busy, population

PODS = 1_000


def test_two_in_a_hundred_pods_are_broken_in_every_usual_way() -> None:
    plans = [plan for app in population.apps(6_000) for plan in population.pods_of(app)]
    broken = [plan for plan in plans if plan.fault]
    assert (len(plans), len(broken)) == (6_000, 120)
    assert set(Counter(plan.fault for plan in broken)) == set(population.FAULTS)


def test_names_are_unique() -> None:
    plans = [plan for app in population.apps(PODS) for plan in population.pods_of(app)]
    assert len({(plan.app.namespace, plan.name) for plan in plans}) == PODS


def test_what_the_controllers_count_is_what_there_is() -> None:
    for app in population.apps(PODS):
        plans = population.pods_of(app)
        healthy = sum(1 for plan in plans if not plan.fault)
        status = population.workload_status(app, 1, "now")
        assert (status["replicas"], status["readyReplicas"]) == (len(plans), healthy)
        if app.kind == "Deployment":
            assert sum(population.replicas_of(app, revision) for revision in range(3)) == len(plans)


def test_a_broken_pod_says_so_in_its_status_and_events() -> None:
    for app in population.apps(PODS):
        for plan in population.pods_of(app):
            status = population.pod_status(plan, "now")
            ready = [entry["status"] for entry in status["conditions"] if entry["type"] == "Ready"]
            warnings = [event for event in population.events_of(plan, "uid", "now") if event["type"] == "Warning"]
            assert bool(warnings) == bool(plan.fault) == (ready != ["True"])


def test_the_release_owns_deployments_of_its_namespace() -> None:
    owned = [app for app in population.apps(PODS) if app.released]
    assert {app.namespace for app in owned} == {"team-000"}
    records = list(population.release_records("team-000", owned, 1_700_000_000))
    assert [record["metadata"]["labels"]["version"] for record in records] == ["1", "2", "3", "4", "5"]
    assert len(json.dumps(records[-1])) < 1_000_000


def test_the_busy_namespace_is_as_busy_as_it_says() -> None:
    apps, around = busy.apps(), Counter(obj["kind"] for obj in busy.objects())
    deployments = sum(1 for app in apps if app.kind == "Deployment")
    revisions = 3 * deployments + 3 * (len(apps) - deployments)
    pods = sum(len(population.pods_of(app)) for app in apps)
    records = busy.RELEASES * busy.REVISIONS
    assert 1_900 <= sum(around.values()) + len(apps) + revisions + pods + records <= 2_100
    changes = busy.RELEASES * (busy.REVISIONS - 1) + 2 * len(apps) + len(list(busy.edits()))
    assert changes == 500
    assert sum(1 for app in apps if app.fault) == busy.BROKEN
    assert sum(1 for app in apps if app.fault == "crash") == 20
    assert sum(1 for _ in busy.events([("a", "1")], "2026-01-01T00:00:00Z")) == 10_000
