# SPDX-License-Identifier: Apache-2.0
"""Which revisions are good. Each history is one that Helm really leaves, with what a cluster then shows."""

from __future__ import annotations

import msgspec
import pytest
from helm_histories import deployment, fact, generation, goodness, judged, manifest, minutes, pod, statefulset

from backout.errors import Invalid
from backout.helm.payload import Hook, HookRun
from backout.mechanisms.common.evidence import Evidence
from backout.mechanisms.helm.history import with_ends
from backout.mechanisms.helm.judgement import Facts, judge
from backout.mechanisms.helm.settled import drifted, unsettled
from backout.model.message import msg


def test_pods_that_still_serve_prove_their_revision() -> None:
    """The commonest case: an ordered set, its highest pod crashes, the others still run the revision before."""
    history = [fact(1, "web:1"), fact(2, "web:2"), fact(3, "web:3", status="deployed")]
    seen = statefulset(
        [generation("r1", "web:1", 1, at=1), generation("r2", "web:2", 2, at=2), generation("r3", "web:3", 3, at=3)],
        [pod("web-0", "r2"), pod("web-1", "r2"), pod("web-2", "r3", failing="CrashLoopBackOff")],
        current="r2",
        update="r3",
    )
    assert goodness(history, seen) == "ugb"


def test_three_bad_in_a_row_though_helm_calls_one_superseded_and_one_deployed() -> None:
    history = [
        fact(1, "web:1", at=1),
        fact(2, "web:2", at=30),
        fact(3, "web:3", at=60),
        fact(4, "web:4", at=70, status="failed", description='Upgrade "web" failed: context deadline exceeded'),
        fact(5, "web:5", at=80, status="deployed"),
    ]
    # The set stays at the first bad pod: revisions 4 and 5 never reached any pod.
    seen = statefulset(
        [
            generation("r1", "web:1", 1, at=1),
            generation("r2", "web:2", 2, at=30),
            generation("r3", "web:3", 3, at=60),
            generation("r4", "web:4", 4, at=70),
            generation("r5", "web:5", 5, at=80),
        ],
        [pod("web-0", "r2", at=31), pod("web-1", "r2", at=31), pod("web-2", "r3", failing="CrashLoopBackOff", at=60)],
        current="r2",
        update="r5",
    )
    verdicts = judged(history, seen)
    assert [v.goodness for v in verdicts] == ["unknown", "good", "bad", "bad", "unknown"]
    assert "CrashLoopBackOff" in str(verdicts[2].reasons[0])


def test_a_set_that_was_fully_reached_is_good_though_no_pod_runs_it_any_more() -> None:
    history = [fact(1, "web:1", at=1), fact(2, "web:2", at=30), fact(3, "web:3", at=60, status="deployed")]
    seen = statefulset(
        [generation("r1", "web:1", 1, at=1), generation("r2", "web:2", 2, at=30), generation("r3", "web:3", 3, at=60)],
        [pod("web-0", "r3", failing="CrashLoopBackOff", at=60)],
        current="r2",
        update="r3",
        ordered=False,
    )
    assert goodness(history, seen) == "ugb"


def test_the_first_revision_of_a_set_is_current_from_birth_which_proves_nothing() -> None:
    history = [fact(1, "web:1", at=1), fact(2, "web:2", at=2, status="deployed")]
    generations = [generation("r1", "web:1", 1, at=0), generation("r2", "web:2", 2, at=2)]
    pods = [pod("web-0", "r2", failing="CrashLoopBackOff", at=2)]
    parallel = statefulset(generations, pods, current="r1", update="r2", ordered=False)
    assert goodness(history, parallel) == "ub"
    ordered = statefulset(generations, pods, current="r1", update="r2", ordered=True)
    assert goodness(history, ordered) == "gb", "an ordered set replaces pods only while all are ready"


def test_a_revision_that_came_after_the_current_one_of_the_set_never_completed() -> None:
    history = [fact(n, f"web:{n}", at=n * 10) for n in (1, 2, 3)] + [fact(4, "web:4", at=40, status="deployed")]
    seen = statefulset(
        [generation(f"r{n}", f"web:{n}", n, at=n * 10) for n in (1, 2, 3, 4)],
        [pod("web-0", "r2", at=21)],
        current="r2",
        update="r4",
    )
    assert goodness(history, seen) == "ugbu"


def test_a_revision_between_two_uses_of_the_current_one_is_not_called_bad() -> None:
    """1, 2, back to 1, then 3: that 2 is not current any more does not mean that it never was."""
    history = [
        fact(1, "web:1", at=10),
        fact(2, "web:2", at=20),
        fact(3, "web:1", at=30, description="Rollback to 1"),
        fact(4, "web:3", at=40, status="deployed"),
    ]
    seen = statefulset(
        [generation("r2", "web:2", 2, at=20), generation("r1", "web:1", 3, at=10), generation("r3", "web:3", 4, at=40)],
        [pod("web-0", "r1", at=31), pod("web-2", "r3", failing="OOMKilled", at=40)],
        current="r1",
        update="r3",
    )
    assert goodness(history, seen) == "gugb"


def test_a_deployment_whose_earlier_pods_still_serve_was_never_taken_over() -> None:
    history = [
        fact(n, text=manifest(f"web:{n}", "Deployment"), at=n * 10, status="superseded" if n < 4 else "deployed")
        for n in (1, 2, 3, 4)
    ]
    seen = deployment(
        [
            generation("a", "web:1", 1, at=10),
            generation("b", "web:2", 2, at=20, ready=3),
            generation("c", "web:3", 3, at=30),
            generation("d", "web:4", 4, at=40),
        ],
        [pod("b-1", "b", at=21), pod("b-2", "b", at=21), pod("d-1", "d", failing="ImagePullBackOff", at=40)],
    )
    assert goodness(history, seen) == "ugbb"


def test_a_recreate_deployment_lost_its_availability_when_the_bad_revision_began() -> None:
    history = [
        fact(n, text=manifest(f"web:{n}", "Deployment"), at=n * 10, status="superseded" if n < 4 else "deployed")
        for n in (1, 2, 3, 4)
    ]
    seen = deployment(
        [generation(name, f"web:{n}", n, at=n * 10) for n, name in enumerate("abcd", 1)],
        [pod("d-1", "d", failing="CrashLoopBackOff", at=40)],
        recreate=True,
        unavailable_since=minutes(30.2),
    )
    assert goodness(history, seen) == "ugub"


@pytest.mark.parametrize(
    ("status", "inner", "description"),
    [
        ("failed", "", 'Upgrade "web" failed: timed out waiting for the condition'),
        ("superseded", "", 'Rollback "web" failed: cannot patch "web"'),
        ("pending-upgrade", "", "Preparing upgrade"),
        ("pending-rollback", "", "Rollback to 1"),
        ("superseded", "failed", "Upgrade complete"),
        ("uninstalled", "", "Uninstallation complete"),
    ],
)
def test_what_helm_itself_holds_against_a_revision_counts(status: str, inner: str, description: str) -> None:
    history = [fact(1, "web:1", status=status, inner=inner, description=description), fact(2, "web:2", at=9000)]
    assert goodness(history) == "bu"


def test_a_failed_hook_counts_but_a_failed_test_does_not() -> None:
    bad = Hook(name="migrate", kind="Job", events=("pre-upgrade",), last_run=HookRun(phase="Failed"))
    test = Hook(name="probe", kind="Pod", events=("test",), last_run=HookRun(phase="Failed"))
    assert goodness([fact(1, "web:1", hooks=(bad,)), fact(2, "web:2", at=9000)]) == "bu"
    assert goodness([fact(1, "web:1", hooks=(test,)), fact(2, "web:2", at=9000)]) == "gu"


def test_failed_by_a_timeout_though_its_pods_are_ready_is_unknown_and_says_both() -> None:
    history = [
        fact(1, "web:1", at=1),
        fact(2, "web:2", at=30, status="failed", description='Upgrade "web" failed: timed out waiting'),
        fact(3, "web:3", at=60, status="deployed"),
    ]
    seen = statefulset(
        [generation(f"r{n}", f"web:{n}", n, at=at) for n, at in ((1, 1), (2, 30), (3, 60))],
        [pod("web-0", "r2", at=31), pod("web-2", "r3", failing="CrashLoopBackOff", at=60)],
        current="r2",
        update="r3",
    )
    verdict = judged(history, seen)[1]
    assert verdict.goodness == "unknown"
    assert "timed out" in str(verdict.reasons[0]) and "ready now" in str(verdict.reasons[1])


def test_a_long_time_in_force_counts_where_nothing_else_speaks_and_nobody_rolled_back_from_it() -> None:
    day = 24 * 60 + 1
    assert goodness([fact(1, "web:1", at=0), fact(2, "web:2", at=day)]) == "gu"
    assert goodness([fact(1, "web:1", at=0), fact(2, "web:2", at=day / 2)]) == "uu"
    assert (
        goodness([fact(1, "web:1", at=0, left_for=0), fact(2, "web:2", at=1, left_for=1), fact(3, "web:1", at=9000)])
        == "uuu"
    )


def test_equal_manifests_share_a_verdict_but_a_failed_one_stays_bad() -> None:
    history = [
        fact(1, "web:1", at=10),
        fact(2, "web:2", at=20),
        fact(3, "web:1", at=30, status="failed", description='Release "web" failed: context deadline exceeded'),
        fact(4, "web:2", at=40, status="deployed"),
    ]
    seen = statefulset(
        [generation("r1", "web:1", 3, at=10), generation("r2", "web:2", 4, at=20)],
        [pod("web-0", "r1", at=11), pod("web-2", "r2", failing="CrashLoopBackOff", at=41)],
        current="r1",
        update="r2",
    )
    verdicts = judged(history, seen)
    assert [v.goodness[0] for v in verdicts] == ["g", "b", "u", "b"]
    assert any("revision 1" in str(reason) for reason in verdicts[2].reasons)


def test_equal_templates_with_another_configmap_are_not_the_same_state() -> None:
    volumes = [{"name": "c", "configMap": {"name": "settings"}}]
    good = manifest("web:1", "Deployment", config="good", volumes=volumes)
    bad = manifest("web:1", "Deployment", config="bad", volumes=volumes)
    history = [fact(1, text=good, at=10), fact(2, text=bad, at=20, status="deployed")]
    seen = deployment(
        [generation("a", "web:1", 1, at=10, ready=2, volumes=volumes)],
        [pod("a-1", "a", at=11), pod("a-2", "a", failing="CreateContainerConfigError", at=21)],
    )
    assert goodness(history, seen) == "gb"


def test_a_crash_loop_that_is_ready_for_a_moment_proves_nothing() -> None:
    history = [fact(1, "web:1", at=1), fact(2, "web:2", at=119.95, status="deployed")]
    seen = statefulset(
        [generation("r1", "web:1", 1, at=1), generation("r2", "web:2", 2, at=119.95)],
        [pod("web-2", "r2", at=119.97)],
        current="r1",
        update="r2",
        ordered=False,
    )
    assert goodness(history, seen)[1] == "u"


def test_an_unreadable_record_is_never_a_target() -> None:
    facts = fact(1, "web:1")
    broken = type(facts)(record=facts.record, release=None, started=facts.started, unreadable=Invalid("cut off"))
    assert goodness([broken, fact(2, "web:2", at=9000)]) == "bu"


def test_a_workload_scaled_to_zero_speaks_neither_for_nor_against() -> None:
    import msgspec

    history = [fact(1, "web:1", at=1), fact(2, "web:2", at=2, status="deployed")]
    seen = statefulset(
        [generation("r1", "web:1", 1, at=1), generation("r2", "web:2", 2, at=2)], [], current="r2", update="r2"
    )
    assert goodness(history, msgspec.structs.replace(seen, desired=0)) == "uu"


def test_changed_past_helm_or_stuck_or_pending_is_not_settled() -> None:
    history = [fact(1, "web:1", at=1), fact(2, "web:2", at=2, status="deployed")]
    calm = statefulset(
        [generation("r1", "web:1", 1, at=1), generation("r2", "web:2", 2, at=2)],
        [pod("web-0", "r2", at=3)],
        current="r2",
        update="r2",
    )
    key = ("StatefulSet", "monitoring", "web")
    assert not drifted(history, Evidence(workloads={key: calm}))
    assert not unsettled(history, Evidence(workloads={key: calm}))
    edited = statefulset([*calm.generations, generation("r3", "web:9", 3, at=50)], [], current="r2", update="r3")
    ((message, when),) = drifted(history, Evidence(workloads={key: edited}))
    assert "changed past Helm" in str(message) and when == minutes(50)
    stuck = statefulset(
        list(calm.generations), [pod("web-2", "r1", failing="CrashLoopBackOff")], current="r1", update="r2"
    )
    assert "web-2" in str(unsettled(history, Evidence(workloads={key: stuck}))[0])
    pending = [fact(1, "web:1"), fact(2, "web:2", status="pending-upgrade")]
    assert "pending-upgrade" in str(unsettled(pending, Evidence())[0])
    restarted = statefulset(
        [generation("r2", "web:2", 2, at=2, nodeName="x")], [pod("web-0", "r2", at=3)], current="r2", update="r2"
    )
    assert not drifted(history, Evidence(workloads={key: restarted})), "a template that only says more is no drift"


def test_a_good_snapshot_decides_where_the_cluster_does_not() -> None:
    said = msg("It was in force when everything was healthy.")

    def vouched(facts: Facts) -> Facts:
        return msgspec.structs.replace(facts, vouched=said)

    history = [
        vouched(fact(1, "web:1")),
        vouched(fact(2, "web:2", status="failed", description='Upgrade "web" failed: timed out')),
        vouched(fact(3, "web:3")),
        fact(4, "web:4", status="deployed"),
    ]
    seen = statefulset(
        [generation("r3", "web:3", 3, at=3), generation("r4", "web:4", 4, at=4)],
        [pod("web-0", "r3", failing="CrashLoopBackOff")],
        current="r3",
        update="r4",
    )
    verdicts = judged(history, seen)
    # What fails now is bad now, and what Helm records as failed stays so: both are told all the same.
    assert [verdict.goodness for verdict in verdicts[:3]] == ["good", "bad", "bad"]
    assert verdicts[0].reasons == (said,) and all(said in verdict.reasons for verdict in verdicts[:3])
    # Content that was proven so proves the same content elsewhere.
    assert judged([vouched(fact(1, "web:1")), fact(2, "web:1"), fact(3, "web:3")])[1].goodness == "good"


@pytest.mark.parametrize(
    ("vouched", "lacks", "blind", "expected"),
    [
        (True, True, False, "good"),
        (False, True, False, "bad"),  # nothing says that it ever was good
        (True, False, False, "bad"),  # all of it is there, and it fails
        (True, True, True, "bad"),  # whether it is there can't be seen
    ],
)
def test_what_fails_for_want_of_the_rest_speaks_not_against_what_a_snapshot_vouches_for(
    vouched: bool, lacks: bool, blind: bool, expected: str
) -> None:
    text = manifest("web:1")
    if lacks:
        text += "---\n" + text.replace("name: web", "name: db", 1)
    facts = fact(1, text=text, status="deployed")
    if vouched:
        facts = msgspec.structs.replace(facts, vouched=msg("All was well."))
    failing = statefulset(
        [generation("r1", "web:1", 1, at=1)],
        [pod("web-0", "r1", failing="CrashLoopBackOff")],
        current="r1",
        update="r1",
    )
    evidence = Evidence(
        workloads={("StatefulSet", "monitoring", "web"): failing}, blind=(msg("No right."),) if blind else ()
    )
    assert [one.goodness for one in judge([facts], evidence)] == [expected]


def test_how_long_a_pruned_revision_was_in_force_is_not_known_past_a_gap() -> None:
    history = [fact(1, "web:1", at=0), fact(9, "web:9", at=60 * 48, status="deployed")]
    assert judged(history)[0].goodness == "good"
    apart = [msgspec.structs.replace(history[0], gap=True), history[1]]
    assert judged(apart)[0].goodness == "unknown"
    assert "in force for" not in str(judged(apart)[0].reasons[0])


def test_a_rollback_that_was_taken_back_is_not_called_left_by_somebody() -> None:
    back = "Rollback to {}"
    history = [
        fact(1, "web:1"),
        fact(2, "web:2"),
        fact(3, "web:1", description=back.format(1)),
        fact(4, "web:2", description=back.format(2)),
        fact(5, "web:1", description=back.format(1)),
    ]
    ends = {one.record.revision: one.left_for for one in with_ends(history)}
    assert ends == {1: 0, 2: 1, 3: 0, 4: 1, 5: 0}
