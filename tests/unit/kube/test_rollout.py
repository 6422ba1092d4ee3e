# SPDX-License-Identifier: Apache-2.0
"""How far a rollout is: one table by the counters, as `kubectl rollout status` answers, and one with the pods."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from backout.kube.projections import pod, workload
from backout.kube.rollout import Rollout, RolloutState, minimum, rollout, rollout_with_pods

NEW, OLD = "web-new", "web-old"
WHEN = "2026-11-22T12:00:00Z"
RS = [{"kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": True}]


def deployment(wanted: int | None = 3, *, spec: Any = None, seen: int = 2, **status: Any) -> dict[str, Any]:
    count = 1 if wanted is None else wanted
    counters = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
    return {
        "metadata": {"name": "web", "uid": "u", "generation": 2},
        "spec": {**({} if wanted is None else {"replicas": wanted}), **(spec or {})},
        "status": {"observedGeneration": seen, **counters, **status},
    }


def stateful(wanted: int = 3, *, update: Any = None, policy: str = "", **status: Any) -> dict[str, Any]:
    spec = {"podManagementPolicy": policy, **({"updateStrategy": update} if update else {})}
    return deployment(wanted, spec=spec, **{"currentRevision": NEW, "updateRevision": NEW, **status})


def daemons(wanted: int = 3, *, update: Any = None, seen: int = 2, **status: Any) -> dict[str, Any]:
    names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
    return {
        "metadata": {"name": "web", "uid": "u", "generation": 2},
        "spec": {"updateStrategy": update} if update else {},
        "status": {"observedGeneration": seen, **dict.fromkeys(names, wanted), **status},
    }


def condition(type: str, status: str, reason: str) -> dict[str, Any]:
    return {"type": type, "status": status, "reason": reason, "message": "exceeded quota", "lastTransitionTime": WHEN}


LATE = [condition("Progressing", "False", "ProgressDeadlineExceeded")]
DONE_ONCE = [condition("Progressing", "True", "NewReplicaSetAvailable")]
REFUSED = [condition("ReplicaFailure", "True", "FailedCreate")]
PARTITION = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
D, T, E = "Deployment", "StatefulSet", "DaemonSet"
DONE, GOES, STUCK, PAUSED, UNKNOWN = (
    RolloutState.COMPLETE,
    RolloutState.UNDER_WAY,
    RolloutState.STUCK,
    RolloutState.PAUSED,
    RolloutState.UNKNOWN,
)


class Row(NamedTuple):
    """A status and what it means; ``over`` when every pod was made anew."""

    name: str
    kind: str
    obj: dict[str, Any]
    state: RolloutState
    reason: str = ""
    over: bool = True


TABLE = [
    Row("complete", D, deployment(), DONE),
    Row("complete, replicas not said", D, deployment(None), DONE),
    Row("complete, scaled to zero", D, deployment(0), DONE),
    Row("complete, paused", D, deployment(spec={"paused": True}), DONE),
    Row(
        "complete, being scaled down",
        D,
        deployment(1, replicas=3, updatedReplicas=3, availableReplicas=3, readyReplicas=3),
        DONE,
    ),
    Row(
        "being scaled down, one is not available",
        D,
        deployment(1, replicas=3, updatedReplicas=3, availableReplicas=2, readyReplicas=2),
        GOES,
        "not-ready",
    ),
    Row("not seen yet", D, deployment(seen=1), GOES, "unobserved", False),
    Row("made a moment ago, no status", D, {"metadata": {"name": "web", "generation": 1}}, GOES, "unobserved", False),
    Row("too few are updated", D, deployment(updatedReplicas=1, replicas=4), GOES, "updating", False),
    Row("old ones go", D, deployment(replicas=4), GOES, "old-pods", False),
    Row(
        "Recreate, none runs",
        D,
        deployment(
            spec={"strategy": {"type": "Recreate"}}, replicas=0, updatedReplicas=0, readyReplicas=0, availableReplicas=0
        ),
        GOES,
        "updating",
        False,
    ),
    Row("new ones start", D, deployment(readyReplicas=1, availableReplicas=1), GOES, "not-ready"),
    Row("ready, not for minReadySeconds yet", D, deployment(availableReplicas=2), GOES, "unavailable"),
    Row(
        "was complete, lost a pod",
        D,
        deployment(readyReplicas=2, availableReplicas=2, conditions=DONE_ONCE),
        GOES,
        "not-ready",
    ),
    Row("paused with a change", D, deployment(spec={"paused": True}, updatedReplicas=0), PAUSED, "paused", False),
    Row(
        "paused with a change, whatever the deadline",
        D,
        deployment(spec={"paused": True}, updatedReplicas=1, conditions=LATE),
        PAUSED,
        "paused",
        False,
    ),
    Row("passed its deadline", D, deployment(updatedReplicas=1, replicas=4, conditions=LATE), STUCK, "deadline", False),
    Row(
        "passed its deadline before this change",
        D,
        deployment(seen=1, updatedReplicas=1, conditions=LATE),
        GOES,
        "unobserved",
        False,
    ),
    Row(
        "Recreate, passed its deadline",
        D,
        deployment(readyReplicas=0, availableReplicas=0, conditions=LATE),
        STUCK,
        "deadline",
    ),
    Row("came through after its deadline", D, deployment(conditions=LATE), DONE),
    Row("pods can't be created", D, deployment(updatedReplicas=0, conditions=REFUSED), STUCK, "replica-failure", False),
    Row(
        "being deleted",
        D,
        {**deployment(), "metadata": {"name": "web", "generation": 2, "deletionTimestamp": WHEN}},
        GOES,
        "deleting",
        False,
    ),
    Row("complete set", T, stateful(), DONE),
    Row("a set under way", T, stateful(updatedReplicas=1, currentRevision=OLD), GOES, "updating", False),
    Row("a set whose last pod starts", T, stateful(readyReplicas=2), GOES, "not-ready"),
    Row("partition reached", T, stateful(update=PARTITION, updatedReplicas=1, currentRevision=OLD), DONE),
    Row(
        "partition not reached",
        T,
        stateful(update=PARTITION, updatedReplicas=0, currentRevision=OLD),
        GOES,
        "updating",
        False,
    ),
    Row(
        "partition above all",
        T,
        stateful(2, update={"rollingUpdate": {"partition": 5}}, updatedReplicas=0, currentRevision=OLD),
        DONE,
    ),
    Row(
        "OnDelete with a change",
        T,
        stateful(update={"type": "OnDelete"}, updatedReplicas=1, currentRevision=OLD),
        PAUSED,
        "on-delete",
        False,
    ),
    Row("OnDelete, all replaced", T, stateful(update={"type": "OnDelete"}, currentRevision=OLD), DONE),
    Row(
        "a set that can't make its pod",
        T,
        stateful(replicas=2, updatedReplicas=2, readyReplicas=2, availableReplicas=2, conditions=REFUSED),
        STUCK,
        "replica-failure",
        False,
    ),
    Row("complete on every node", E, daemons(), DONE),
    Row("no node wanted", E, daemons(0), DONE),
    Row("daemons not seen yet", E, daemons(seen=1), GOES, "unobserved", False),
    Row("some nodes have the new one", E, daemons(updatedNumberScheduled=1), GOES, "updating", False),
    Row("one daemon is not ready", E, daemons(numberReady=2, numberAvailable=2), GOES, "not-ready"),
    Row(
        "daemons OnDelete",
        E,
        daemons(update={"type": "OnDelete"}, updatedNumberScheduled=0),
        PAUSED,
        "on-delete",
        False,
    ),
    Row("a kind without a rollout", "Job", {"metadata": {"name": "j"}}, UNKNOWN, "kind", False),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_by_the_counters(row: Row) -> None:
    found = rollout(row.kind, workload(row.obj))
    assert (found.state, found.reason, found.rolled_out) == (row.state, row.reason, row.over)
    assert found.complete is (row.state is DONE)
    assert found.why.text
    assert (found.since is not None) is (row.state is STUCK or row.reason == "deleting")


def test_the_table_is_long_enough_to_be_one() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) >= 20
    assert {row.state for row in TABLE} == set(RolloutState)


def test_why_pods_can_t_be_created_is_told() -> None:
    found = rollout(D, workload(deployment(updatedReplicas=0, conditions=REFUSED)))
    assert found.why.text == "pods can't be created: exceeded quota"


@pytest.mark.parametrize(
    ("kind", "obj", "least"),
    [
        (D, deployment(4), 3),
        (D, deployment(3), 3),
        (D, deployment(1, spec={"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}), 0),
        (D, deployment(10, spec={"strategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": "35%"}}}), 7),
        (D, deployment(4, spec={"strategy": {"type": "Recreate"}}), 0),
        (T, stateful(5), 4),
        (T, stateful(5, update={"rollingUpdate": {"maxUnavailable": "30%"}}), 3),
        (T, stateful(5, update={"type": "OnDelete"}), 0),
        (E, daemons(5), 4),
        (E, daemons(5, update={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}), 5),
        (E, daemons(0), 0),
    ],
)
def test_how_many_must_be_available_meanwhile(kind: str, obj: dict[str, Any], least: int) -> None:
    assert minimum(kind, workload(obj)) == least


# -- with the pods -----------------------------------------------------------------------------------------------------


def a_pod(
    name: str, *, label: str = NEW, ready: bool = True, going: bool = False, phase: str = "Running", state: Any = None
) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": name,
        "labels": {"controller-revision-hash": label, "pod-template-hash": label},
        "ownerReferences": RS,
    }
    if going:
        meta["deletionTimestamp"] = WHEN
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "reason": "" if ready else "Why"}]
    return {
        "metadata": meta,
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": [state or {"ready": ready}]},
    }


CRASHES = {"name": "web", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
THREE = [a_pod("web-0"), a_pod("web-1"), a_pod("web-2")]
EVICTED = a_pod("web-x", ready=False, phase="Failed")
EVICTED_OLD = a_pod("web-y", label=OLD, ready=False, phase="Failed")
LOST = a_pod("web-2", ready=False, phase="Unknown")


def judged(kind: str, obj: dict[str, Any], pods: list[dict[str, Any]], revision: str = NEW) -> Rollout:
    return rollout_with_pods(kind, workload(obj), [pod(each) for each in pods], revision)


@pytest.mark.parametrize(
    ("obj", "pods", "revision", "state", "reason", "words"),
    [
        (stateful(), THREE, NEW, DONE, "", "3 of 3 pods are ready"),
        (stateful(0), [], NEW, DONE, "", "0 of 0"),
        (stateful(), [*THREE, EVICTED], NEW, DONE, "", "3 of 3 pods are ready"),
        (stateful(), [*THREE, EVICTED_OLD, EVICTED], NEW, DONE, "", "3 of 3 pods are ready"),
        (stateful(), [*THREE, a_pod("web-z", ready=False, phase="Succeeded")], NEW, DONE, "", "3 of 3 pods are ready"),
        (stateful(seen=1), THREE, NEW, GOES, "unobserved", "has not seen"),
        (stateful(), THREE, "", GOES, "no-revision", "has not made the revision"),
        (
            stateful(),
            [*THREE[:2], a_pod("web-2", label=OLD)],
            NEW,
            GOES,
            "old-pods",
            "1 pods are of another revision: web-2",
        ),
        (
            stateful(),
            [*THREE[:2], a_pod("web-2", ready=False)],
            NEW,
            GOES,
            "not-ready",
            "2 of 3 pods are ready; not yet: web-2",
        ),
        (stateful(), [*THREE, a_pod("web-3", going=True)], NEW, GOES, "terminating", "still terminating: web-3"),
        (stateful(), THREE[:2], NEW, GOES, "missing-pods", "2 of 3 pods exist"),
        (stateful(readyReplicas=2), THREE, NEW, GOES, "counters", "still counts readyReplicas=2"),
        (stateful(), [*THREE[:2], LOST], NEW, UNKNOWN, "lost", "not yet: web-2"),
        (
            stateful(updatedReplicas=1, currentRevision=OLD),
            [*THREE[:2], a_pod("web-2", label=OLD, ready=False, state=CRASHES)],
            NEW,
            STUCK,
            "ordered",
            "another revision: web-2",
        ),
        (
            stateful(updatedReplicas=1, policy="Parallel"),
            [*THREE[:2], a_pod("web-2", label=OLD, ready=False, state=CRASHES)],
            NEW,
            GOES,
            "old-pods",
            "web-2",
        ),
        (
            stateful(updatedReplicas=1, update={"type": "OnDelete"}),
            [*THREE[:2], a_pod("web-2", label=OLD)],
            NEW,
            PAUSED,
            "on-delete",
            "OnDelete",
        ),
        (
            stateful(update=PARTITION, updatedReplicas=1, currentRevision=OLD),
            [a_pod("web-0", label=OLD), a_pod("web-1", label=OLD), THREE[2]],
            NEW,
            DONE,
            "",
            "3 of 3",
        ),
        (
            stateful(update=PARTITION, updatedReplicas=1, currentRevision=OLD),
            [a_pod("web-0", label=OLD), a_pod("web-1", label="web-older"), THREE[2]],
            NEW,
            GOES,
            "old-pods",
            "web-1",
        ),
    ],
)
def test_with_every_pod(
    obj: dict[str, Any], pods: list[dict[str, Any]], revision: str, state: RolloutState, reason: str, words: str
) -> None:
    found = judged(T, obj, pods, revision)
    assert (found.state, found.reason) == (state, reason)
    assert words in found.why.text


def test_pods_that_a_partition_keeps_and_pods_that_fail_are_named() -> None:
    pods = [a_pod("web-0", label=OLD), a_pod("web-1", label=OLD), a_pod("web-2", ready=False, state=CRASHES)]
    found = judged(T, stateful(update=PARTITION, updatedReplicas=1, currentRevision=OLD, readyReplicas=2), pods)
    assert found.kept == ("web-0", "web-1")
    assert [(name, problem.code) for name, problem in found.failing] == [("web-2", "CrashLoopBackOff")]
    assert found.unready == (("web-2", "CrashLoopBackOff"),)


def test_a_stuck_deployment_stays_stuck_whatever_its_pods_look_like() -> None:
    found = judged(D, deployment(updatedReplicas=1, replicas=4, conditions=LATE), [*THREE, a_pod("web-3", label=OLD)])
    assert (found.state, found.reason, found.old) == (STUCK, "deadline", ("web-3",))
