# SPDX-License-Identifier: Apache-2.0
"""Whom a diagnosis blames: the object that somebody changed, or the workload's own last change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from a_namespace import NOW, NS, Scene, codes, reading, writer

from backout.model.target import Target

EDIT = writer("kubectl-edit", 90, "data/a")
FILE_ERROR = 'level=error err="reading /etc/app/a: line 1: what is this"'


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def edited(scene: Scene, *, kind: str = "ConfigMap", how: str = "env", snapshot: bool = True, **workload: Any) -> None:
    """A workload that crashes after somebody edited what it reads."""
    scene.config("settings", kind=kind)
    if snapshot:
        scene.snapshot()
    scene.config("settings", EDIT, kind=kind, data={"a": "2", "more": "3"})
    scene.workload("web", reading(how, "settings", kind=kind), ready=0, **workload)


@pytest.mark.parametrize("how", ["env", "volume", "subPath"])
def test_an_edit_is_blamed_for_what_reads_it(scene: Scene, how: str) -> None:
    edited(scene, how=how, restarted=80)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings"
    assert problem.mechanism == "objects" and codes(problem) == {"CrashLoopBackOff"}
    assert (problem.serving, problem.desired) == (0, 1)
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"
    assert problem.cause.text == "CrashLoopBackOff since kubectl-edit changed a, more"
    assert [(f.path, f.before, f.after) for f in problem.suspect.fields] == [
        ("data.a", "1", "2"),
        ("data.more", None, "3"),
    ]
    assert problem.confidence == "likely" and problem.snapshot
    assert [str(reader.ref) for reader in problem.readers] == ["deployment/web"]


def test_what_a_program_reads_did_not_break_one_that_never_began(scene: Scene) -> None:
    edited(scene, restarted=80)
    text = (
        'unable to start container process: error during container init: exec: "/opt/app": stat /opt/app: no such file'
    )
    scene.event("web-0", "Failed", f"Error: {text} or directory")
    (problem,) = scene.problems().values()
    assert problem.suspect is None or str(problem.suspect.target) != "configmap/settings"


@pytest.mark.parametrize(
    ("how", "runs", "blamed"),
    [
        ("env", 3600, False),  # it holds what the object held when it started
        ("subPath", 3600, False),
        ("volume", 3600, True),  # files follow their object
        ("env", 60, True),
    ],
)
def test_what_a_program_has_not_read_yet_did_not_break_it(scene: Scene, how: str, runs: float, blamed: bool) -> None:
    scene.config("settings", kind="Secret")
    scene.snapshot()
    scene.config("settings", EDIT, kind="Secret", data={"a": "2"})
    spec = reading(how, "settings", kind="Secret")
    scene.workload("web", spec, ready=0)
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, since=61, runs=runs)
    assert ("secret/settings" in scene.problems()) is blamed


def test_what_the_failing_pods_name_themselves_is_certain(scene: Scene) -> None:
    edited(scene, how="volume", logs=FILE_ERROR)
    problem = scene.problems()["configmap/settings"]
    assert problem.confidence == "certain"


def test_values_of_secrets_are_nowhere(scene: Scene) -> None:
    scene.config("settings", kind="Secret", data={"a": "canary-before"})
    scene.snapshot()
    scene.config("settings", EDIT, kind="Secret", data={"a": "canary-after"})
    scene.workload("web", reading("env", "settings", kind="Secret"), ready=0)
    found = scene.diagnosis()
    assert str(found.problems[0].target) == "secret/settings"
    assert found.problems[0].suspect is not None and found.problems[0].suspect.fields[0].secret
    text = msgspec.json.encode(found).decode()
    assert "canary" not in text and "Y2FuYXJ5" not in text


def test_without_a_snapshot_it_is_named_less_surely(scene: Scene) -> None:
    edited(scene, snapshot=False)
    problem = scene.problems()["configmap/settings"]
    assert problem.mechanism == "objects" and problem.confidence == "possible" and not problem.snapshot
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"
    assert "No good snapshot holds it" in " ".join(note.text for note in problem.notes)


@pytest.mark.parametrize("old", [False, True])
def test_a_later_change_of_the_template_is_to_blame_instead(scene: Scene, old: bool) -> None:
    edited(scene, template=70, **({} if old else {"restarted": 65}))
    assert set(scene.problems()) == {"deployment/web"}


def test_a_template_that_changed_later_does_not_help_where_the_pods_name_the_object(scene: Scene) -> None:
    edited(scene, template=70, how="volume", logs=FILE_ERROR)
    assert set(scene.problems()) == {"configmap/settings"}


def test_an_edit_after_the_first_sign_is_not_the_cause(scene: Scene) -> None:
    scene.config("settings", writer("kubectl-edit", 10, "data/a"))
    scene.workload("web", reading("env", "settings"), ready=0)
    assert set(scene.problems()) == {"deployment/web"}


@pytest.mark.parametrize(("how", "confidence"), [("volume", "certain"), ("env", "likely")])
def test_an_attempt_to_mend_it_does_not_hide_who_broke_it(scene: Scene, how: str, confidence: str) -> None:
    scene.config("settings")
    scene.snapshot()
    scene.config("settings", writer("kubectl-edit", 10, "data/a"), data={"a": "3"})
    scene.workload("web", reading(how, "settings"), ready=0, logs=FILE_ERROR if how == "volume" else "")
    problem = scene.problems()["configmap/settings"]
    assert problem.confidence == confidence
    assert "The first sign of it is older than the last change of it." in [reason.text for reason in problem.why]


def test_a_template_that_changed_right_before_it_began_is_to_blame_all_the_same(scene: Scene) -> None:
    scene.config("settings")
    scene.snapshot()
    scene.config("settings", writer("kubectl-edit", 10, "data/a"), data={"a": "3"})
    scene.workload("web", reading("env", "settings"), ready=0, template=70)
    assert set(scene.problems()) == {"deployment/web"}


def test_an_edit_that_is_in_the_good_snapshot_is_not_the_cause(scene: Scene) -> None:
    scene.config("settings", EDIT)
    scene.snapshot()
    scene.workload("web", reading("env", "settings"), ready=0)
    assert set(scene.problems()) == {"deployment/web"}


def test_an_old_edit_without_a_snapshot_is_not_the_cause(scene: Scene) -> None:
    scene.config("settings", writer("kubectl-edit", 3000, "data/a"))
    scene.workload("web", reading("env", "settings"), ready=0)
    assert set(scene.problems()) == {"deployment/web"}


def test_a_container_that_does_not_read_it_is_not_explained_by_it(scene: Scene) -> None:
    scene.config("settings", EDIT)
    spec = reading("env", "settings")
    spec["containers"].insert(0, {"name": "other", "image": "registry.example/other:1"})
    scene.workload("web", spec, ready=0)
    pod = scene.objects["Pod", "web-0"]
    for status in pod["status"]["containerStatuses"][1:]:
        status |= {"state": {"running": {}}, "ready": True, "restartCount": 0, "lastState": {}}
    scene.put("Pod", "web-0", meta=pod["metadata"], spec=pod["spec"], status=pod["status"])
    assert set(scene.problems()) == {"deployment/web"}


def test_what_argo_cd_wrote_last_is_not_an_edit(scene: Scene) -> None:
    scene.config("settings", writer("argocd-controller", 90, "data/a"))
    scene.workload("web", reading("env", "settings"), ready=0)
    assert set(scene.problems()) == {"deployment/web"}


def test_an_operators_object_is_named_but_not_offered(scene: Scene) -> None:
    scene.config("settings")
    scene.snapshot()
    owner = {"apiVersion": "example.com/v1", "kind": "Certificate", "name": "c", "uid": "u", "controller": True}
    scene.config("settings", EDIT, data={"a": "2"}, meta={"ownerReferences": [owner]})
    scene.workload("web", reading("env", "settings"), ready=0)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings" and problem.mechanism == ""
    assert "its operator would undo any change" in problem.notes[0].text


def test_other_symptoms_stay_with_the_workload(scene: Scene) -> None:
    edited(scene, restarted=80)
    spec = reading("env", "settings")
    scene.workload("big", spec, ready=0)
    pod = scene.objects["Pod", "big-0"]
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    pod["status"]["containerStatuses"][0] |= {"lastState": killed}
    scene.put("Pod", "big-0", meta=pod["metadata"], spec=spec, status=pod["status"])
    found = scene.problems()
    assert set(found) == {"configmap/settings", "deployment/big"}
    assert codes(found["deployment/big"]) == {"OOMKilled"}


def test_a_named_target_finds_the_object_that_broke_it(scene: Scene) -> None:
    edited(scene)
    for target in (Target("deployment", "web", NS, "small"), Target("configmap", "settings", NS, "small")):
        (problem,) = scene.diagnosis(NS, target).problems
        assert str(problem.target) == "configmap/settings"


# -- missing objects ---------------------------------------------------------------------------------------------------


def waiting(scene: Scene, *, others_ready: int = 1, kind: str = "StatefulSet") -> None:
    spec = reading("volume", "settings")
    scene.workload("web", spec, kind=kind, replicas=2, ready=others_ready)
    scene.pod("web-1", (kind, "web"), spec, {"app": "web"}, well=False, waiting={"reason": "ContainerCreating"})
    scene.event("web-1", "FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found')


def test_a_deleted_object_is_named_and_nobody_is_accused(scene: Scene) -> None:
    scene.config("settings")
    taken = scene.snapshot()
    scene.drop("ConfigMap", "settings")
    waiting(scene)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings" and codes(problem) == {"MissingReference"}
    assert problem.suspect is None and problem.confidence == "certain"
    notes = " ".join(note.text for note in problem.notes)
    assert "recorded nowhere" in notes and taken.short in notes


def test_ready_pods_of_the_same_template_prove_that_it_was_there(scene: Scene) -> None:
    waiting(scene)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings" and problem.confidence == "likely"


def test_an_object_that_never_was_is_the_business_of_who_named_it(scene: Scene) -> None:
    waiting(scene, others_ready=0)
    assert set(scene.problems()) == {"statefulset/web"}


def test_a_deleted_object_is_told_before_anything_restarts(scene: Scene) -> None:
    scene.workload("web", reading("volume", "settings"), replicas=2)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "configmap/settings"
    assert "the next can't start" in problem.symptoms[0].message.text
    assert (problem.serving, problem.desired) == (2, 2)


def test_an_optional_reference_may_lead_nowhere(scene: Scene) -> None:
    scene.workload("web", reading("volume", "settings", optional=True))
    scene.workload("api", reading("env", "settings", optional=True))
    assert scene.problems() == {}


def test_an_object_that_is_labelled_like_a_release_record_exists(scene: Scene) -> None:
    scene.config("settings", meta={"labels": {"owner": "helm"}})
    scene.workload("web", reading("volume", "settings"))
    assert scene.problems() == {}


def test_an_old_edit_that_no_snapshot_knows_is_only_possible(scene: Scene) -> None:
    scene.config("settings")
    scene.snapshot()
    scene.config("settings", writer("kubectl-edit", 3000, "data/a"), data={"a": "2"})
    scene.workload("web", reading("env", "settings"), ready=0)
    problem = scene.problems()["configmap/settings"]
    assert problem.confidence == "possible" and "which is long" in " ".join(why.text for why in problem.why)


def test_a_workload_without_pods_misses_nothing(scene: Scene) -> None:
    scene.workload("web", reading("volume", "settings"), replicas=0)
    assert scene.problems() == {}


def test_what_may_not_be_listed_is_not_missing(tmp_path: Path) -> None:
    from backout.errors import AccessDenied

    scene = Scene(tmp_path, denied={"ConfigMap": AccessDenied("No.")})
    scene.workload("web", reading("volume", "settings"))
    assert scene.diagnosis().problems == ()


def test_an_immutable_one_that_was_made_anew(scene: Scene) -> None:
    scene.config("settings", immutable=True)
    scene.snapshot()
    scene.config(
        "settings", writer("kubectl-create", 90, "data/a", "immutable"), born=90, data={"a": "2"}, immutable=True
    )
    scene.workload("web", reading("volume", "settings"), ready=0, logs=FILE_ERROR, restarted=80)
    (problem,) = scene.problems().values()
    assert codes(problem) == {"CrashLoopBackOff", "ImmutableReplaced"}
    assert problem.cause.text == "CrashLoopBackOff since kubectl-create made it anew with other content"


def test_snapshots_that_cannot_be_read_are_said(scene: Scene, tmp_path: Path) -> None:
    edited(scene)
    (tmp_path / "identity.age").unlink()
    problem = scene.problems()["configmap/settings"]
    assert "The snapshots can't be read" in problem.notes[0].text


def test_a_snapshot_of_an_incident_is_no_good_past(scene: Scene) -> None:
    scene.config("settings")
    scene.snapshot(healthy=False, incident=True)
    scene.config("settings", EDIT, data={"a": "2"})
    scene.workload("web", reading("env", "settings"), ready=0)
    assert scene.problems()["configmap/settings"].snapshot == ""


def test_a_healthy_namespace_opens_no_snapshot(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("nothing was wrong")

    monkeypatch.setattr("backout.snapshots.source.opened", never)
    scene.config("settings", EDIT)
    scene.workload("web", reading("volume", "settings"))
    assert scene.problems() == {}
    assert scene.cluster.asked == []


def test_events_tell_since_when_somebody_looked_in_vain(scene: Scene) -> None:
    scene.workload("web", reading("volume", "settings"), replicas=2)
    scene.event("web-1", "FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found')
    scene.event("web-0", "FailedMount", 'MountVolume.SetUp failed for volume "w" : configmap "settings-2" not found')
    (problem,) = scene.problems().values()
    (symptom,) = problem.symptoms
    assert symptom.since == NOW - timedelta(seconds=60)
    assert [e.ref.name for e in symptom.evidence if e.source == "event"] == ["web-1"]


def test_a_key_that_somebody_took_away(scene: Scene) -> None:
    scene.config("settings", kind="Secret", data={"a": "1", "b": "2"})
    scene.snapshot()
    scene.config("settings", writer("kubectl-edit", 90, "data/b"), kind="Secret", data={"b": "2"})
    spec = reading("env", "settings", kind="Secret")
    scene.workload("web", spec, ready=0)
    why = {"reason": "CreateContainerConfigError", "message": "couldn't find key a in Secret shop/settings"}
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, waiting=why)
    (problem,) = scene.problems().values()
    assert str(problem.target) == "secret/settings" and codes(problem) == {"CreateContainerConfigError"}
    assert problem.confidence == "certain"
    assert problem.cause.text == "CreateContainerConfigError since kubectl-edit changed a"


def test_what_failing_pods_name_and_nobody_may_read_makes_every_other_cause_less_sure(tmp_path: Path) -> None:
    from backout.errors import AccessDenied

    scene = Scene(tmp_path, denied={"Secret": AccessDenied("No.")})
    spec = reading("env", "settings", kind="Secret")
    scene.workload("web", spec, ready=0, template=70)
    why = {"reason": "CreateContainerConfigError", "message": "couldn't find key a in Secret shop/settings"}
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, waiting=why)
    (problem,) = scene.diagnosis().problems
    assert str(problem.target) == "deployment/web" and problem.confidence in ("possible", "unknown")
    said = "The failing pods name secret/settings, which you may not read: the cause may be there."
    assert problem.why[-1].text == said


@pytest.mark.parametrize("named", [True, False])
def test_an_image_that_cannot_be_pulled_is_explained_by_a_pull_secret_alone(scene: Scene, named: bool) -> None:
    scene.config("settings", kind="Secret", data={"a": "1"})
    scene.snapshot()
    scene.config("settings", EDIT, kind="Secret", data={"a": "2"})
    spec = reading("env", "settings", kind="Secret")
    if named:
        spec = {"imagePullSecrets": [{"name": "settings"}], "containers": [{"name": "app", "image": "r.example/app:1"}]}
    scene.workload("web", spec, ready=0, restarted=80)
    why = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "r.example/app:1"'}
    scene.pod("web-0", ("Deployment", "web"), spec, {"app": "web"}, well=False, waiting=why)
    assert set(scene.problems()) == {"secret/settings" if named else "deployment/web"}


NO_ANSWER = "dial tcp 10.0.0.9:5432: connect: connection refused"


@pytest.mark.parametrize(
    ("line", "confidence"),
    [
        ("", "likely"),  # the only difference
        ("exit status 3", "likely"),
        (NO_ANSWER, "possible"),  # of something else
        ("x509: certificate has expired or is not yet valid", "possible"),
        ("dial tcp: lookup database-two: no such host", "certain"),  # what was written there
        ("loading configuration for database-two", "likely"),  # an ordinary line
        ('level=info msg="no errors in /etc/app/a"', "likely"),
    ],
)
def test_what_the_last_words_say_of_an_edited_object(scene: Scene, line: str, confidence: str) -> None:
    scene.config("settings", data={"a": "database-one"})
    scene.snapshot()
    scene.config("settings", EDIT, data={"a": "database-two"})
    scene.workload("web", reading("env", "settings"), ready=0, logs=line)
    (problem,) = scene.problems().values()
    assert (str(problem.target), problem.confidence) == ("configmap/settings", confidence)


def test_of_two_objects_that_were_edited_none_is_the_only_difference(scene: Scene) -> None:
    names = ("settings", "decoy")
    for name in names:
        scene.config(name)
    scene.snapshot()
    for name in names:
        scene.config(name, EDIT, data={"a": "2"})
    spec = reading("env", "settings")
    spec["containers"][0]["env"] += [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "decoy", "key": "a"}}}]
    scene.workload("web", spec, ready=0)
    (problem,) = scene.problems().values()
    assert problem.confidence == "possible"
    assert any("was changed as well" in message.text for message in problem.against)


def test_a_decoy_beside_what_the_failing_pods_name(scene: Scene) -> None:
    scene.config("settings")
    scene.config("decoy")
    scene.snapshot()
    scene.config("settings", EDIT, data={"a": "2"})
    scene.config("decoy", writer("kubectl-edit", 70, "data/a"), data={"a": "2"})
    spec = reading("volume", "settings")
    spec["containers"][0]["env"] = [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "decoy", "key": "a"}}}]
    scene.workload("web", spec, ready=0, logs=FILE_ERROR)
    problem = scene.problems()["configmap/settings"]
    assert problem.confidence == "certain"
    assert "configmap/decoy" not in scene.problems()


@pytest.mark.parametrize(("logs", "confidence"), [("", "possible"), (FILE_ERROR, "likely")])
def test_a_change_that_is_much_older_than_the_failure_is_never_certain(
    scene: Scene, logs: str, confidence: str
) -> None:
    scene.config("settings")
    scene.snapshot()
    scene.config("settings", writer("kubectl-edit", 1500, "data/a"), data={"a": "2"})
    scene.workload("web", reading("volume", "settings"), ready=0, logs=logs)
    (problem,) = scene.problems().values()
    assert (str(problem.target), problem.confidence) == ("configmap/settings", confidence)


@pytest.mark.parametrize(
    "line",
    [
        "loading configuration from /etc/app/a",
        "2026-11-01T12:00:00Z INFO reading /etc/app/a, 0 errors",
        '{"level": "info", "msg": "parsed /etc/app/a"}',
    ],
)
def test_ordinary_lines_on_a_file_name_no_object(scene: Scene, line: str) -> None:
    edited(scene, how="volume", logs=line)
    assert scene.problems()["configmap/settings"].confidence == "likely"
