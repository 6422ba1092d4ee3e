# SPDX-License-Identifier: Apache-2.0
"""Each rule of attribution alone: what it takes for it to speak, and which way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from backout.diagnosis.attribution import rules
from backout.diagnosis.attribution.changes import Change
from backout.diagnosis.attribution.failures import Failure, Kind
from backout.diagnosis.attribution.hypotheses import Hypothesis, Other, Reason, Situation
from backout.diagnosis.attribution.workloads import situation_of
from backout.diagnosis.evidence.collect import PodMark
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import Generation, WorkloadHistory
from backout.kube.projections import ContainerStatus, Event, Pod
from backout.model.change import FieldChange
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Owner

T = datetime(2026, 11, 1, 12, tzinfo=UTC)
WEB = ObjectRef("apps/v1", "Deployment", "web", "shop")
OLD, NEW = "web-old", "web-new"
IMAGE = FieldChange("spec.template.spec.containers[name=main].image", "web:1", "web:2")
ENV = FieldChange("spec.template.spec.containers[name=main].env[name=A].value", "1", "2")
SELECTOR = FieldChange("spec.template.spec.nodeSelector.pool", None, "gone")


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    name: str, owner: str, *, began: int, turned: int, last: tuple[int, int] | None = None, restarts: int = 3
) -> Pod:
    status: dict[str, Any] = {
        "phase": "Running",
        "startTime": stamp(began),
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": stamp(turned)}],
    }
    if last is not None:
        ended = {"exitCode": 1, "startedAt": stamp(last[0]), "finishedAt": stamp(last[1])}
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        status["containerStatuses"] = [
            {"name": "main", "restartCount": restarts, "state": waiting, "lastState": {"terminated": ended}}
        ]
    meta = {
        "name": name,
        "namespace": "shop",
        "uid": name,
        "creationTimestamp": stamp(began),
        "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}],
    }
    return msgspec.convert({"metadata": meta, "status": status, "spec": {}}, Pod)


def started(name: str, seconds: int) -> Event:
    involved = {"kind": "Pod", "name": name, "namespace": "shop", "uid": name, "fieldPath": "spec.containers{main}"}
    return msgspec.convert(
        {
            "metadata": {"name": f"{name}.1"},
            "involvedObject": involved,
            "type": "Normal",
            "reason": "Started",
            "firstTimestamp": stamp(seconds),
            "lastTimestamp": stamp(seconds),
        },
        Event,
    )


def mark(name: str, owner: str, ready: int | None, restarts: int = 0) -> PodMark:
    since = None if ready is None else at(ready)
    return PodMark(
        namespace="shop", name=name, owner_kind="ReplicaSet", owner=owner, ready_since=since, restarts=restarts
    )


def situation(
    kind: Kind = Kind.CRASH,
    *,
    since: float = 60,
    now: float = 120,
    failing: tuple[Pod, ...] = (),
    marks: tuple[PodMark, ...] = (),
    events: tuple[Event, ...] = (),
    others: tuple[float, ...] = (),
    words: frozenset[str] = frozenset(),
    others_said: str = "",
    completed: int | None = None,
    said: str = "",
    init: dict[str, Any] | None = None,
) -> Situation:
    """``init``: an init container, which is the one that fails."""
    conditions = []
    if completed is not None:
        conditions = [
            {
                "type": "Progressing",
                "reason": "NewReplicaSetAvailable",
                "message": f'ReplicaSet "{NEW}" has successfully progressed.',
                "lastUpdateTime": stamp(completed),
            }
        ]
    spec: dict[str, Any] = {"containers": [{"name": "main", "readinessProbe": {"httpGet": {}}}]}
    template = {"spec": {**spec, "initContainers": [init]} if init is not None else spec}
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "creationTimestamp": stamp(-3600)},
        "spec": {"template": template},
        "status": {"conditions": conditions},
    }
    history = WorkloadHistory(
        key=("shop", "Deployment", "web"),
        obj=obj,
        owner=Owner(kind="none", message=msg("Nobody.")),
        generations=(
            Generation(name=OLD, template={}, order=1, created=at(-3600)),
            Generation(name=NEW, template={}, order=2, created=at(0)),
        ),
        marks=marks,
        failing=failing,
    )
    symptom = Symptom(code="x", ref=WEB, message=msg("x"), since=at(since))
    failure = Failure(
        symptom=symptom, kinds=frozenset({kind}), container=(init or {"name": "main"})["name"], said=said, text=said
    )
    return Situation(
        history=history,
        events=Events(events),
        failures=[failure],
        since=at(since),
        others=[Other(at=at(seconds), words=words, said=others_said) for seconds in others],
        now=at(now),
    )


def hypothesis(seen: Situation, *fields: FieldChange, when: float | None = 0, made: bool = False) -> Hypothesis:
    change = Change(
        at=None if when is None else at(when),
        actor="kubectl",
        source="replicaset",
        target=Target("deployment", "web", "shop", "c"),
        mechanism="workload",
        touches=(WEB,),
        fields=fields,
        revision=2,
        previous=1,
        generation=OLD if made else NEW,
        made=made,
        summary=msg("x"),
    )
    return Hypothesis(change=change, failures=list(seen.failures), fields=fields)


def asked(rule: rules.Rule, seen: Situation, found: Hypothesis) -> list[tuple[str, str]]:
    reasons: list[Reason] = list(rule(found, seen))
    return [(reason.rule, reason.weight) for reason in reasons]


@pytest.mark.parametrize(
    ("when", "since", "expected"),
    [
        (0, 60, [("soon", "for")]),
        (60, 58, [("soon", "for")]),  # clocks differ a little
        (60, 0, [("order", "clears")]),
        (0, 3600, [("late", "against")]),
        (None, 60, []),
    ],
)
def test_order(when: float | None, since: float, expected: list[tuple[str, str]]) -> None:
    seen = situation(since=since)
    assert asked(rules.order, seen, hypothesis(seen, IMAGE, when=when)) == expected


def test_a_template_that_ran_well_is_cleared() -> None:
    # ready for 55 s, then it ends after a second each time
    failing = pod("a", NEW, began=2, turned=60, last=(80, 81))
    seen = situation(failing=(failing,), events=(started("a", 4),))
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == [("ran-well", "clears")]


def test_a_program_that_ends_after_a_while_each_time_is_not_cleared_by_its_first_run() -> None:
    failing = pod("a", NEW, began=2, turned=60, last=(62, 117))
    seen = situation(failing=(failing,), events=(started("a", 4),))
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == []


def test_a_program_that_was_never_ready_is_not_cleared() -> None:
    failing = pod("a", NEW, began=2, turned=2, last=(50, 51))
    seen = situation(failing=(failing,), events=(started("a", 4),))
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == []


def test_others_of_the_same_template_that_are_ready_clear_it() -> None:
    failing = pod("a", NEW, began=2, turned=2, last=(50, 51))
    seen = situation(failing=(failing,), marks=(mark("b", NEW, 20),))
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == [("ran-well", "clears")]
    for other in (mark("b", OLD, 20), mark("b", NEW, 20, restarts=4), mark("b", NEW, 115), mark("b", NEW, None)):
        seen = situation(failing=(failing,), marks=(other,))
        assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == []


SECRET = ObjectRef("v1", "Secret", "db", "shop")
ROLE = ObjectRef("rbac.authorization.k8s.io/v1", "Role", "reads", "shop")
ROTATED = FieldChange("secret/db data.password", "a", "b", secret=True)


@pytest.mark.parametrize(
    ("began", "turned", "ref", "expected"),
    [
        (10, 80, SECRET, [("ran-well-with", "clears")]),
        (10, 14, SECRET, []),  # not for long
        (-10, 80, SECRET, []),  # made before: it may not have read it yet
        (10, 80, ROLE, []),  # rights are asked for when they are used
    ],
)
def test_a_secret_with_which_pods_ran_well_is_cleared(
    began: int, turned: int, ref: ObjectRef, expected: list[tuple[str, str]]
) -> None:
    failing = pod("a", NEW, began=began, turned=turned, last=(turned + 20, turned + 21))
    seen = situation(since=turned, failing=(failing,), events=(started("a", began),))
    found = hypothesis(seen, ROTATED)
    found.change = msgspec.structs.replace(found.change, generation="", touches=(ref,))
    assert asked(rules.ran_well_with, seen, found) == expected


def test_a_rollout_that_was_over_before_clears_what_asks_for_room() -> None:
    seen = situation(Kind.QUOTA, since=90, completed=30, marks=(mark("b", NEW, 20),))
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == [("ran-well", "clears")]
    # that some of its pods found room says nothing
    seen = situation(Kind.QUOTA, since=1, marks=(mark("b", NEW, 20),))
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == []


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((61.0,), [("others-at-once", "clears")]),
        ((58.0, 62.0), [("others-at-once", "clears")]),
        ((75.0,), []),  # what follows from it begins later
        ((-600.0,), []),
        ((), []),
    ],
)
def test_others_at_once(others: tuple[float, ...], expected: list[tuple[str, str]]) -> None:
    seen = situation(others=others)
    assert asked(rules.others_at_once, seen, hypothesis(seen, ENV)) == expected


DOWN = "dial tcp 10.20.30.40:6379: connect: connection refused"
NEW_FAILS = (pod("a", NEW, began=2, turned=2, last=(59, 60)),)
OLD_FAILS = (*NEW_FAILS, pod("b", OLD, began=-600, turned=61, last=(62, 63)))
OLD_READY = (mark("c", OLD, -600),)


@pytest.mark.parametrize(
    ("said", "words", "failing", "marks", "expected"),
    [
        # The same words: also a program that looks for what is down only as it starts.
        (DOWN, {"dependency"}, NEW_FAILS, OLD_READY, "clears"),
        (DOWN, {"dependency", "dns"}, OLD_FAILS, (), "clears"),
        # Others say what they miss, and this one does not.
        ("exit 3", {"dependency"}, NEW_FAILS, OLD_READY, None),
        ("exit 3", {"dependency"}, NEW_FAILS, (), "against"),
        ("exit 3", {"dependency"}, OLD_FAILS, OLD_READY, "against"),
        (DOWN, {"certificate"}, NEW_FAILS, OLD_READY, None),
        # Nobody says anything.
        ("", set(), NEW_FAILS, OLD_READY, "against"),
        ("", set(), NEW_FAILS, (), "clears"),
        ("", set(), OLD_FAILS, OLD_READY, "clears"),
    ],
)
def test_others_at_once_that_fail_in_another_way(
    said: str, words: set[str], failing: tuple[Pod, ...], marks: tuple[PodMark, ...], expected: str | None
) -> None:
    seen = situation(others=(58.0,), said=said, words=frozenset(words), failing=failing, marks=marks)
    found = asked(rules.others_at_once, seen, hypothesis(seen, IMAGE))
    assert found == ([("others-at-once", expected)] if expected else [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dial tcp web:8080: connect: connection refused", []),
        ("dial tcp web-mirror:8080: connect: connection refused", [("others-at-once", "against")]),
        ("web: parsing the answer", [("others-at-once", "against")]),
    ],
)
def test_who_misses_this_one_says_nothing_against_its_change(words: str, expected: list[tuple[str, str]]) -> None:
    seen = situation(Kind.OOM, others=(61.0,), words=frozenset({"dependency"}), others_said=words)
    assert asked(rules.others_at_once, seen, hypothesis(seen, ENV)) == expected


def scaled(seconds: int, message: str) -> Event:
    return msgspec.convert(
        {
            "metadata": {"name": f"web.{seconds}"},
            "involvedObject": {"kind": "Deployment", "name": "web", "namespace": "shop"},
            "type": "Normal",
            "reason": "ScalingReplicaSet",
            "message": message,
            "firstTimestamp": stamp(seconds),
            "lastTimestamp": stamp(seconds),
        },
        Event,
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), [("ran-well", "clears")]),
        ((scaled(5, f"Scaled up replica set {NEW} from 0 to 1"),), [("ran-well", "clears")]),
        (
            (
                scaled(5, f"Scaled up replica set {NEW} from 0 to 1"),
                scaled(80, f"Scaled up replica set {NEW} from 1 to 3"),
            ),
            [("ran-well", "clears")],
        ),
        # Complete without a pod, as one is that is scaled to 0.
        ((scaled(80, f"Scaled up replica set {NEW} from 0 to 1"),), []),
        ((scaled(80, f"Scaled up replica set {NEW} to 1"),), []),
        (
            (
                scaled(5, f"Scaled up replica set {NEW} from 0 to 1"),
                scaled(80, f"Scaled up replica set {NEW} from 0 to 1"),
            ),
            [],
        ),
    ],
)
def test_a_rollout_that_was_over_without_any_pod_proves_nothing(
    events: tuple[Event, ...], expected: list[tuple[str, str]]
) -> None:
    failing = pod("a", NEW, began=81, turned=81)
    seen = situation(Kind.NO_IMAGE, since=82, completed=10, failing=(failing,), events=events)
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == expected


@pytest.mark.parametrize(
    ("how", "started", "expected"), [("env", -5, [("not-read-yet", "clears")]), ("env", 5, []), ("volume", -5, [])]
)
def test_what_was_not_read_yet(how: str, started: int, expected: list[tuple[str, str]]) -> None:
    failing = pod("a", NEW, began=-60, turned=60)
    status = msgspec.convert({"name": "main", "state": {"running": {"startedAt": stamp(started)}}}, ContainerStatus)
    failing = msgspec.structs.replace(
        failing, status=msgspec.structs.replace(failing.status, container_statuses=(status,))
    )
    seen = situation(Kind.READINESS, failing=(failing,))
    env = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]}
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    seen.history.obj["spec"]["template"]["spec"] = {
        "containers": [{"name": "main", **(env if how == "env" else mounts)}],
        "volumes": [{"name": "v", "secret": {"secretName": "db"}}] if how == "volume" else [],
    }
    found = hypothesis(seen, ROTATED)
    found.change = msgspec.structs.replace(found.change, generation="", touches=(SECRET,))
    assert asked(rules.not_read_yet, seen, found) == expected


def test_pods_of_another_template_do_not_show_it() -> None:
    seen = situation(failing=(pod("a", OLD, began=-100, turned=60),))
    assert asked(rules.shown_by_its_pods, seen, hypothesis(seen, IMAGE)) == [("shown", "clears")]
    seen = situation(failing=(pod("a", NEW, began=2, turned=60),))
    assert asked(rules.shown_by_its_pods, seen, hypothesis(seen, IMAGE)) == []


def test_the_failures_own_words() -> None:
    seen = situation(Kind.SELECTOR)
    assert asked(rules.told_by_failure, seen, hypothesis(seen, SELECTOR)) == [("told-by-failure", "direct")]
    seen = situation(Kind.CRASH)
    assert asked(rules.told_by_failure, seen, hypothesis(seen, IMAGE)) == []
    seen = situation(Kind.CRASH, said="fatal: unknown host kafkaa:9092")
    quoted = FieldChange(ENV.path, "kafka:9092", "kafkaa:9092")
    assert asked(rules.told_by_failure, seen, hypothesis(seen, quoted)) == [("told-by-failure", "direct")]


@pytest.mark.parametrize(
    ("kind", "before", "after", "known"),
    [
        (Kind.NO_IMAGE, "r/web:1", "r/web:2", True),
        (Kind.PULL_DENIED, "r/web:1", "r/wbe:2", True),
        (Kind.PULL_DENIED, "r/web:1", "r/web:2", False),  # whether it would let the nodes in for the former one?
        (Kind.NO_REGISTRY, "r/web:1", "r/web:2", False),
    ],
)
def test_a_registry_that_lets_nobody_in_says_nothing_of_a_tag(kind: Kind, before: str, after: str, known: bool) -> None:
    seen = situation(
        kind, marks=(mark("b", OLD, -600),), said=f'Failed to pull image "{after}": registry.local says no'
    )
    found = hypothesis(seen, FieldChange(IMAGE.path, before, after))
    assert asked(rules.good_before, seen, found) == [("good-before" if known else "before", "for")]
    assert bool(asked(rules.told_by_failure, seen, found)) is known


@pytest.mark.parametrize(
    ("field", "direct"),
    [
        (FieldChange("spec.template.spec.volumes[name=v].configMap.name", "cfg", "cfgg"), True),
        (FieldChange("spec.template.spec.volumes[name=v].configMap.name", "a", "other"), False),
        (
            FieldChange("spec.template.spec.containers[name=main].env[name=A].valueFrom.secretKeyRef.key", "a", "b"),
            False,
        ),
    ],
)
def test_a_missing_object_is_a_changes_own_where_that_brought_its_name(field: FieldChange, direct: bool) -> None:
    seen = situation(Kind.CONFIG, said='Error: configmap "cfgg" not found')
    expected = [("told-by-failure", "direct")] if direct else []
    assert asked(rules.told_by_failure, seen, hypothesis(seen, field)) == expected


@pytest.mark.parametrize(
    ("line", "direct"),
    [
        ("error: /etc/conf/db.yaml: line 3: unexpected token", True),
        ("loading configuration from /etc/conf/db.yaml", False),
        ("error: /etc/other/db.yaml: line 3: unexpected token", False),
    ],
)
def test_a_file_of_the_object_that_a_release_changed(line: str, direct: bool) -> None:
    ref = ObjectRef("v1", "ConfigMap", "conf", "shop")
    seen = situation(said=line)
    seen.history.obj["spec"]["template"] = {
        "spec": {
            "containers": [{"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/etc/conf"}]}],
            "volumes": [{"name": "v", "configMap": {"name": "conf"}}],
        }
    }
    symptom = Symptom(code="CrashLoopBackOff", ref=WEB, message=msg("{line}", line=line))
    found = hypothesis(seen, FieldChange(f'{ref} data["db.yaml"]', "a", "b"))
    found.failures = [msgspec.structs.replace(failure, symptom=symptom) for failure in seen.failures]
    found.change = msgspec.structs.replace(found.change, touches=(ref,))
    assert asked(rules.named_object, seen, found) == ([("named-object", "direct")] if direct else [])


def test_last_words_that_the_change_could_not_have_brought() -> None:
    seen = situation(said="x509: certificate has expired or is not yet valid")
    assert asked(rules.logs, seen, hypothesis(seen, IMAGE)) == [("logs", "against")]
    assert asked(rules.logs, seen, hypothesis(seen, ENV)) == []
    seen = situation(said="loading configuration from /etc/app.yaml")
    assert asked(rules.logs, seen, hypothesis(seen, IMAGE)) == []


def test_creation_is_no_cause_of_what_ran() -> None:
    name = FieldChange("metadata.name", None, "web")
    seen = situation(failing=(pod("a", OLD, began=-3590, turned=60, last=(80, 81)),), marks=(mark("b", OLD, 0),))
    assert asked(rules.creation, seen, hypothesis(seen, name, made=True)) == [("creation", "clears")]
    seen = situation(failing=(pod("a", NEW, began=2, turned=60),))
    assert asked(rules.creation, seen, hypothesis(seen, name, made=True)) == [("creation", "clears")]
    seen = situation(failing=(pod("a", OLD, began=-3590, turned=-3590),))
    assert asked(rules.creation, seen, hypothesis(seen, name, made=True)) == []
    # A good snapshot that holds it as it was created, however short it ran; not one of another template.
    first = msgspec.structs.replace(seen.history.generations[0], template={"spec": {"nodeName": "x"}, "metadata": {}})
    seen.history.generations = (first, *seen.history.generations[1:])
    for node, told in (("x", [("creation", "clears")]), ("y", [])):
        seen.history.kept = {"spec": {"template": {"spec": {"nodeName": node}, "metadata": {}}}}
        assert asked(rules.creation, seen, hypothesis(seen, name, made=True)) == told


def test_what_was_before_is_ready() -> None:
    seen = situation(marks=(mark("b", OLD, -600),))
    assert asked(rules.good_before, seen, hypothesis(seen, IMAGE)) == [("good-before", "for")]
    seen = situation()
    assert asked(rules.good_before, seen, hypothesis(seen, IMAGE)) == []


def test_certain_needs_a_good_state_before_a_short_time_and_no_rival() -> None:
    seen = situation(since=5, failing=(pod("a", NEW, began=2, turned=2, last=(50, 51)),), marks=(mark("b", OLD, -600),))
    found = hypothesis(seen, IMAGE)
    rules.weigh(found, seen)
    assert found.confidence([]) == "certain"
    rival = hypothesis(seen, ENV)
    rules.weigh(rival, seen)
    assert found.confidence([rival]) == "likely"
    late = hypothesis(seen, IMAGE, when=-3000)
    rules.weigh(late, seen)
    assert late.confidence([]) == "possible"


def test_a_pause_is_no_cause_of_what_pods_of_the_change_suffer_from() -> None:
    def kinds(*codes: str) -> list[str]:
        symptoms = [Symptom(code=code, ref=WEB, message=msg("x"), since=at(0)) for code in codes]
        found = situation_of(situation(Kind.CRASH).history, symptoms, Events(), at(60))
        return [failure.symptom.code for failure in found.failures]

    assert kinds("CrashLoopBackOff", "PausedChange", "RolloutStuck") == ["CrashLoopBackOff"]
    assert kinds("PausedChange", "RolloutStuck") == ["PausedChange"]
    assert kinds("RolloutStuck") == ["RolloutStuck"]


def test_what_a_field_of_a_newer_kubernetes_does_is_not_known() -> None:
    seen = situation()
    newer = FieldChange("spec.template.spec.warpDrive", None, True)
    assert asked(rules.unknown_field, seen, hypothesis(seen, newer)) == [("unknown-field", "against")]
    assert asked(rules.unknown_field, seen, hypothesis(seen, newer, IMAGE)) == []


GATE = FieldChange("spec.template.spec.schedulingGates[name=acme.io/quota].name", None, "acme.io/quota")


@pytest.mark.parametrize(("held", "direct"), [("acme.io/quota", True), ("acme.io/net", False)])
def test_pods_say_themselves_which_gates_hold_them(held: str, direct: bool) -> None:
    seen = situation(Kind.GATED, said=f"web-1: held back by scheduling gates: {held}")
    assert (asked(rules.told_by_failure, seen, hypothesis(seen, GATE)) != []) is direct


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        # Each pod that got ready had to go through it.
        ({"name": "wait"}, [("ran-well", "clears")]),
        # It goes on beside the others, and nobody asks it.
        ({"name": "wait", "restartPolicy": "Always"}, []),
        ({"name": "wait", "restartPolicy": "Always", "startupProbe": {"httpGet": {}}}, [("ran-well", "clears")]),
    ],
)
def test_an_init_container_that_all_pods_went_through(init: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    failing = pod("a", NEW, began=45, turned=45)
    seen = situation(since=46, completed=10, failing=(failing,), init=init)
    assert asked(rules.ran_well, seen, hypothesis(seen, IMAGE)) == expected


def test_a_rollout_that_is_stuck_says_nothing_of_why() -> None:
    stuck = situation(Kind.FOLLOWS)
    assert asked(rules.says_nothing, stuck, hypothesis(stuck, IMAGE)) == [("says-nothing", "against")]
    found = hypothesis(stuck, IMAGE)
    rules.weigh(found, stuck)
    assert found.confidence([]) == "possible"
    patience = FieldChange("spec.progressDeadlineSeconds", 600, 5)
    assert asked(rules.says_nothing, stuck, hypothesis(stuck, patience)) == [], "that is why, and nothing else"
    crash = situation(Kind.CRASH)
    assert asked(rules.says_nothing, crash, hypothesis(crash, IMAGE)) == []
