# SPDX-License-Identifier: Apache-2.0
"""What the status of a custom resource tells, as many operators write it; what tells nothing is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.custom_status import custom_health


def thing(status: Any = None, generation: int = 2, spec: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "generation": generation, **meta}, "spec": spec or {}, "status": status}


def said(**conditions: str) -> dict[str, Any]:
    return {
        "conditions": [{"type": kind, "status": status, "observedGeneration": 2} for kind, status in conditions.items()]
    }


CASES = [
    ("no status at all", thing(), "unknown"),
    ("an empty status", thing({}), "unknown"),
    ("a status that tells nothing", thing({"replicas": 1}), "unknown"),
    ("conditions that nobody knows", thing(said(Colour="True")), "unknown"),
    ("ready", thing(said(Ready="True")), "ready"),
    ("elastic, all shards", thing({"health": "green", "availableNodes": 1}), "ready"),
    ("elastic, shards are lost", thing({"health": "red", "phase": ""}), "failed"),
    ("elastic, at work", thing({"health": "green", "phase": "ApplyingChanges"}), "under-way"),
    ("elastic, replicas of shards are missing", thing({"health": "yellow"}), "unknown"),
    ("strimzi, a pool says how many, and not how", thing({"replicas": 2}, spec={"replicas": 2}), "unknown"),
    ("a route that its gateway takes", thing({"parents": [said(Accepted="True", ResolvedRefs="True")]}), "ready"),
    ("a route to nowhere", thing({"parents": [said(Accepted="True", ResolvedRefs="False")]}), "failed"),
    (
        "a route that one of two gateways takes",
        thing({"parents": [said(Accepted="True"), said(Accepted="False")]}),
        "failed",
    ),
    ("a policy that nothing accepts", thing({"ancestors": [said(Accepted="False")]}), "failed"),
    ("not ready", thing(said(Ready="False")), "failed"),
    ("not ready yet", thing(said(Ready="False", Reconciling="True")), "under-way"),
    ("ready, and still at work", thing(said(Ready="True", Progressing="True")), "under-way"),
    ("nobody can tell", thing(said(Ready="Unknown")), "unknown"),
    ("prometheus-operator, all well", thing(said(Available="True", Reconciled="True")), "ready"),
    ("prometheus-operator, some pods", thing(said(Available="Degraded", Reconciled="True")), "failed"),
    ("prometheus-operator, a field refused", thing(said(Available="True", Reconciled="False")), "failed"),
    (
        "prometheus-operator, paused",
        thing(said(Reconciled="Unknown", Available="True"), spec={"paused": True}),
        "paused",
    ),
    ("suspended", thing(said(Ready="True"), spec={"suspend": True}), "paused"),
    ("stalled", thing(said(Stalled="True", Ready="False")), "failed"),
    ("not stalled", thing(said(Stalled="False", Ready="True")), "ready"),
    ("degraded beside available", thing(said(Available="True", Degraded="True")), "failed"),
    ("an older generation was seen", thing({"observedGeneration": 1, **said(Ready="True")}), "under-way"),
    ("this generation was seen", thing({"observedGeneration": 2, **said(Ready="True")}), "ready"),
    (
        "the condition is of an older one",
        thing({"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}),
        "under-way",
    ),
    ("generations are not told", thing({"conditions": [{"type": "Ready", "status": "True"}]}), "ready"),
    ("a generation of zero is none", thing({"observedGeneration": 0, **said(Ready="True")}), "ready"),
    ("a phase that is good", thing({"phase": "Running"}), "ready"),
    ("a phase that is bad", thing({"phase": "Failed", "message": "no"}), "failed"),
    ("a phase on its way", thing({"state": "Creating"}), "under-way"),
    ("a phase that nobody knows", thing({"phase": "Blue"}), "unknown"),
    ("a health that is a word", thing({"health": "healthy"}), "ready"),
    ("a health that is an object", thing({"health": {"status": "Healthy"}}), "ready"),
    ("a health of a list", thing({"health": ["Healthy"]}), "unknown"),
    ("strimzi, not ready", thing(said(NotReady="True")), "failed"),
    (
        "crossplane, being made",
        thing({"conditions": [{"type": "Ready", "status": "False", "reason": "Creating"}]}),
        "under-way",
    ),
    (
        "a rollout at a step",
        thing({"stableRS": "a", "phase": "Paused", **said(Healthy="False", Available="True")}),
        "under-way",
    ),
    ("a rollout on its way", thing({"stableRS": "a", "phase": "Progressing", **said(Healthy="False")}), "under-way"),
    ("an aborted rollout", thing({"stableRS": "a", "phase": "Degraded", **said(Available="True")}), "failed"),
    ("a rollout that is well", thing({"stableRS": "a", "phase": "Healthy", **said(Completed="False")}), "ready"),
    (
        "pods alone, all of them",
        thing({"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}, spec={"replicas": 2}),
        "ready",
    ),
    (
        "pods alone, one of them old",
        thing({"replicas": 2, "readyReplicas": 2, "updatedReplicas": 1}, spec={"replicas": 2}),
        "under-way",
    ),
    ("it is being deleted", thing(said(Ready="True"), deletionTimestamp="2026-01-01T00:00:00Z"), "under-way"),
    ("a status of another shape", thing("fine"), "unknown"),
    ("conditions of another shape", thing({"conditions": ["Ready"]}), "unknown"),
]


@pytest.mark.parametrize(("about", "obj", "state"), CASES, ids=[case[0] for case in CASES])
def test_states(about: str, obj: dict[str, Any], state: str) -> None:
    assert custom_health(obj).state == state


def test_the_operators_own_words_are_kept_and_secrets_are_not() -> None:
    condition = {
        "type": "Reconciled",
        "status": "False",
        "reason": "ReconciliationFailed",
        "observedGeneration": 2,
        "message": "can't reach https://user:hunter2hunter2@example.com: " + "x" * 999,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    found = custom_health(thing({"conditions": [condition]}))
    assert found.reason == "ReconciliationFailed" and "hunter2" not in found.message and len(found.message) <= 300
    assert found.since is not None and found.since.year == 2026
