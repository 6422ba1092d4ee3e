# SPDX-License-Identifier: Apache-2.0
"""The rules of Argo CD as tables; most cases are those that its own unit tests state (named beside each table)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from kubetwin.client import Obj
from kubetwin.gitops.argocd import autosync, hooks, tasks, windows
from kubetwin.gitops.argocd.application import with_conditions
from kubetwin.gitops.argocd.compare import Managed
from kubetwin.gitops.argocd.health import resource_health, worse
from kubetwin.gitops.argocd.projects import (
    default_project,
    destination_permitted,
    kind_permitted,
    refusals,
    source_permitted,
)
from kubetwin.gitops.argocd.settings import ArgoSettings
from kubetwin.gitops.argocd.tracking import Tracking, parsed
from kubetwin.gitops.documents import identity
from kubetwin.meta import stamp

# gitops-engine/pkg/health/health_test.go


def _obj(api: str, kind: str, spec: Any = None, status: Any = None, **meta: Any) -> Obj:
    found = {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "generation": 2, **meta}}
    return found | ({"spec": spec} if spec is not None else {}) | ({"status": status} if status is not None else {})


def _deploy(status: Obj, **spec: Any) -> Obj:
    whole = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3} | status
    return _obj("apps/v1", "Deployment", {"replicas": 3, **spec}, whole)


def _set(status: Obj, strategy: Obj) -> Obj:
    whole = {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 3, **status}
    return _obj("apps/v1", "StatefulSet", {"replicas": 3, "updateStrategy": strategy}, whole)


def _pod(phase: str, policy: str = "Always", state: Obj | None = None, ready: str = "False", **meta: Any) -> Obj:
    status: Obj = {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
    if state is not None:
        status["containerStatuses"] = [{"name": "c", **state}]
    return _obj("v1", "Pod", {"restartPolicy": policy}, status, **meta)


def _waiting(reason: str) -> Obj:
    return {"state": {"waiting": {"reason": reason, "message": "why"}}}


def _job(*conditions: tuple[str, str]) -> Obj:
    return _obj("batch/v1", "Job", {}, {"conditions": [{"type": k, "status": s} for k, s in conditions]})


def _hpa(*conditions: tuple[str, str, str]) -> Obj:
    found = [{"type": k, "status": s, "reason": r, "message": "m"} for k, s, r in conditions]
    return _obj("autoscaling/v2", "HorizontalPodAutoscaler", {}, {"conditions": found})


_ROLLING: Obj = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
_STALLED = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
_LATE = {"argocd.argoproj.io/ignore-restart-policy": "true"}
_GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("obj", "wanted"),
    [
        (_deploy({}), "Healthy"),
        (_deploy({"availableReplicas": 1}), "Progressing"),
        (_deploy({"updatedReplicas": 1}), "Progressing"),
        (_deploy({"replicas": 4}), "Progressing"),
        (_deploy({"observedGeneration": 1}), "Progressing"),
        (_deploy({"availableReplicas": 1, "conditions": _STALLED}), "Degraded"),
        (_deploy({"availableReplicas": 1}, paused=True), "Suspended"),
        (_set({}, _ROLLING), "Healthy"),
        (_set({"readyReplicas": 2}, _ROLLING), "Progressing"),
        (_set({"updatedReplicas": 1}, _ROLLING), "Progressing"),
        (_set({"updatedReplicas": 1}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}), "Healthy"),
        (_set({"updateRevision": "b", "currentRevision": "a"}, {"type": "RollingUpdate"}), "Progressing"),
        (_set({"updateRevision": "b", "currentRevision": "a"}, {"type": "OnDelete"}), "Healthy"),
        (_set({"observedGeneration": 0}, _ROLLING), "Progressing"),
        (_obj("apps/v1", "DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, {"observedGeneration": 2}), "Healthy"),
        (
            _obj(
                "apps/v1", "DaemonSet", {}, {"observedGeneration": 2, "desiredNumberScheduled": 2, "numberAvailable": 2}
            ),
            "Progressing",
        ),
        (_obj("v1", "PersistentVolumeClaim", {}, {"phase": "Bound"}), "Healthy"),
        (_obj("v1", "PersistentVolumeClaim", {}, {"phase": "Pending"}), "Progressing"),
        (_obj("v1", "PersistentVolumeClaim", {}, {"phase": "Lost"}), "Degraded"),
        (_obj("v1", "Service", {"type": "ClusterIP"}, {}), "Healthy"),
        (_obj("v1", "Service", {"type": "LoadBalancer"}, {"loadBalancer": {}}), "Progressing"),
        (_obj("v1", "Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{}]}}), "Healthy"),
        (_obj("networking.k8s.io/v1", "Ingress", {}, {"loadBalancer": {"ingress": [{"ip": "::1"}]}}), "Healthy"),
        (_obj("networking.k8s.io/v1", "Ingress", {}, {"loadBalancer": {}}), "Progressing"),
        (_job(), "Progressing"),
        (_job(("Failed", "True")), "Degraded"),
        (_job(("Complete", "True")), "Healthy"),
        (_job(("Suspended", "True")), "Suspended"),
        (_hpa(("AbleToScale", "True", "ReadyForNewScale")), "Healthy"),
        (_hpa(("AbleToScale", "True", "x"), ("ScalingActive", "False", "FailedGetObjectMetric")), "Degraded"),
        (_hpa(), "Progressing"),
        (_pod("Pending"), "Progressing"),
        (_pod("Running"), "Progressing"),
        (_pod("Running", ready="True"), "Healthy"),
        (_pod("Running", state=_waiting("CrashLoopBackOff")), "Degraded"),
        (_pod("Pending", state=_waiting("ImagePullBackOff")), "Degraded"),
        (_pod("Pending", state=_waiting("RunContainerError")), "Degraded"),
        (_pod("Pending", state=_waiting("ContainerCreating")), "Progressing"),
        (_pod("Running", state={"lastState": {"terminated": {"exitCode": 1}}}), "Degraded"),
        (_pod("Running", "Never"), "Progressing"),
        (_pod("Running", "Never", ready="True", annotations=_LATE), "Healthy"),
        (_pod("Running", "Never", state=_waiting("ImagePullBackOff"), annotations=_LATE), "Degraded"),
        (_pod("Running", "OnFailure"), "Progressing"),
        (_pod("Failed", "Never"), "Degraded"),
        (_pod("Succeeded", "Never"), "Healthy"),
        (_pod("Running", ready="True", **_GOING), "Progressing"),
        (_obj("v1", "ConfigMap"), None),
        (_obj("example.com/v1", "Deployment", {}, {}), None),
    ],
)
def test_health(obj: Obj, wanted: str | None) -> None:
    health = resource_health(obj)
    assert (health and health[0]) == wanted


def test_a_hook_pod_is_progressing_while_it_runs_whatever_its_annotations_say() -> None:
    health = resource_health(_pod("Running", "Never", ready="True", annotations=_LATE), hook=True)
    assert health is not None and health[0] == "Progressing"


def test_the_order_of_health_and_what_is_unknown_to_it() -> None:
    assert worse("Healthy", "Suspended") and worse("Missing", "Degraded") and worse("Degraded", "Unknown")
    assert not worse("Progressing", "Healthy") and not worse("Healthy", "other")


# pkg/apis/application/v1alpha1/types_test.go: TestSyncWindows_CanSync, _Matches, _SyncOverrun

_AT = dt.datetime(2026, 11, 30, 12, 30, tzinfo=dt.UTC)


def _window(kind: str, now: bool, manual: bool = False, **more: Any) -> Obj:
    return {
        "kind": kind,
        "schedule": "0 12 * * *" if now else "0 3 * * *",
        "duration": "1h",
        "manualSync": manual,
        **more,
    }


@pytest.mark.parametrize(
    ("found", "by_hand", "by_itself"),
    [
        ([], True, True),
        ([_window("deny", False, True)], True, True),
        ([_window("deny", False)], True, True),
        ([_window("allow", False, True), _window("allow", False)], False, False),
        ([_window("allow", True)], True, True),
        ([_window("allow", True), _window("deny", False)], True, True),
        ([_window("allow", False)], False, False),
        ([_window("allow", False, True)], True, False),
        ([_window("allow", False), _window("deny", False)], False, False),
        ([_window("allow", True), _window("allow", False)], True, True),
        ([_window("deny", True)], False, False),
        ([_window("deny", True, True)], True, False),
        ([_window("deny", True, True), _window("deny", True), _window("deny", True, True)], False, False),
        ([_window("deny", True), _window("allow", True, True)], False, False),
        ([_window("deny", True, True), _window("allow", True)], True, False),
        ([_window("deny", True, True), _window("allow", False)], True, False),
    ],
)
def test_sync_windows(found: list[Obj], by_hand: bool, by_itself: bool) -> None:
    assert windows.can_sync(found, _AT, manual=True) is by_hand
    assert windows.can_sync(found, _AT, manual=False) is by_itself


def test_a_sync_that_began_when_it_was_allowed_goes_on_where_windows_say_so() -> None:
    early = dt.datetime(2026, 11, 30, 11, 50, tzinfo=dt.UTC)
    assert windows.can_sync([_window("deny", True, syncOverrun=True)], _AT, manual=False, started=early)
    assert not windows.can_sync([_window("deny", True)], _AT, manual=False, started=early)
    both = [_window("deny", True, syncOverrun=True), _window("deny", True)]
    assert not windows.can_sync(both, _AT, manual=False, started=early)
    assert not windows.can_sync([_window("deny", True, syncOverrun=True)], _AT, manual=False, started=_AT)
    over = {**_window("allow", True, syncOverrun=True), "duration": "10m"}
    then = dt.datetime(2026, 11, 30, 12, 5, tzinfo=dt.UTC)
    assert windows.can_sync([over], _AT, manual=False, started=then)


@pytest.mark.parametrize(
    "bad", [{"schedule": "* * * *"}, {"schedule": "61 * * * *"}, {"schedule": "x * * * *"}, {"duration": "ten"}]
)
def test_a_window_that_cannot_be_read_lets_nothing_through(bad: Obj) -> None:
    with pytest.raises(windows.WindowError):
        windows.can_sync([{**_window("allow", True), **bad}], _AT, manual=True)


@pytest.mark.parametrize(
    ("schedule", "after", "wanted"),
    [
        ("*/15 * * * *", "2026-11-30T12:31", "2026-11-30T12:45"),
        ("0 22 * * *", "2026-11-30T22:00", "2026-12-01T22:00"),
        ("0 0 * * mon-fri", "2026-11-27T00:00", "2026-11-30T00:00"),
        ("0 0 1 * 0", "2026-11-28T00:00", "2026-11-29T00:00"),
        ("0 0 29 2 *", "2026-11-30T00:00", "2028-02-29T00:00"),
        ("@hourly", "2026-11-30T12:31", "2026-11-30T13:00"),
        ("5 4 * jan,mar sun", "2026-11-30T00:00", "2027-01-03T04:05"),
    ],
)
def test_schedules(schedule: str, after: str, wanted: str) -> None:
    assert windows.Schedule(schedule).next(dt.datetime.fromisoformat(after)) == dt.datetime.fromisoformat(wanted)


def test_windows_have_time_zones() -> None:
    seoul = {**_window("deny", True), "schedule": "0 21 * * *", "timeZone": "Asia/Seoul"}
    assert windows.active(seoul, _AT) and not windows.active({**seoul, "timeZone": "UTC"}, _AT)
    assert windows.active({**seoul, "schedule": "0 12 * * *", "timeZone": "Nowhere/Else"}, _AT)


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        ({"applications": ["shop"]}, True),
        ({"applications": ["sh*"]}, True),
        ({"applications": ["other"]}, False),
        ({"clusters": ["in-cluster"]}, True),
        ({"namespaces": ["prod"]}, True),
        ({"applications": ["other"], "namespaces": ["prod"]}, True),
        ({"applications": ["other"], "namespaces": ["prod"], "andOperator": True}, False),
        ({"applications": ["shop"], "namespaces": ["prod"], "andOperator": True}, True),
        ({}, False),
    ],
)
def test_which_windows_are_meant(window: Obj, wanted: bool) -> None:
    app = {"metadata": {"name": "shop"}, "spec": {"destination": {"name": "in-cluster", "namespace": "prod"}}}
    assert bool(windows.matching([window], app)) is wanted


# controller/appcontroller_test.go: TestAutoSync…, TestSkipAutoSync, TestAlreadyAttemptSync, TestSelfHealRemainingBackoff

_SOURCE = {"repoURL": "https://git.example/r", "path": "p"}
_OUT = [{"kind": "Deployment", "group": "apps", "name": "web", "status": "OutOfSync"}]


def _app(automated: Any = None, state: Any = None, **more: Any) -> Obj:
    policy: Obj = {} if automated is None else {"automated": automated}
    status = {"operationState": state} if state else {}
    return {"metadata": {"name": "shop"}, "spec": {"source": _SOURCE, "syncPolicy": policy}, "status": status, **more}


def _state(phase: str, revision: str, heals: int = 0, source: Obj = _SOURCE) -> Obj:
    return {
        "phase": phase,
        "message": "because",
        "operation": {"sync": {"selfHealAttemptsCount": heals}},
        "syncResult": {"revision": revision, "source": source},
        "finishedAt": stamp(),
    }


_PRUNED = [{"kind": "Deployment", "name": "web", "status": "OutOfSync", "requiresPruning": True}]
_NOW = {"operation": {"sync": {}}}
_DELETING = {"metadata": {"name": "shop", "deletionTimestamp": stamp()}}
_MOVED = {**_SOURCE, "path": "other"}


@pytest.mark.parametrize(
    ("app", "code", "resources", "starts", "error"),
    [
        (_app({}), "OutOfSync", _OUT, True, ""),
        (_app({"enabled": True}), "OutOfSync", _OUT, True, ""),
        (_app({"enabled": False}), "OutOfSync", _OUT, False, ""),
        (_app(), "OutOfSync", _OUT, False, ""),
        (_app({}), "Synced", _OUT, False, ""),
        (_app({}), "Unknown", _OUT, False, ""),
        (_app({}, **_NOW), "OutOfSync", _OUT, False, ""),
        (_app({}, **_DELETING), "OutOfSync", _OUT, False, ""),
        (_app({}), "OutOfSync", _PRUNED, False, ""),
        (_app({"prune": True, "allowEmpty": True}), "OutOfSync", _PRUNED, True, ""),
        (_app({"prune": True}), "OutOfSync", _PRUNED, False, "auto-sync will wipe out all resources"),
        (_app({}, _state("Succeeded", "new")), "OutOfSync", _OUT, False, ""),
        (_app({}, _state("Succeeded", "old")), "OutOfSync", _OUT, True, ""),
        (_app({}, _state("Succeeded", "new", source=_MOVED)), "OutOfSync", _OUT, True, ""),
        (_app({"selfHeal": True}, _state("Succeeded", "new")), "OutOfSync", _OUT, True, ""),
        (
            _app({"selfHeal": True}, _state("Failed", "new")),
            "OutOfSync",
            _OUT,
            False,
            "Failed last sync attempt to [new]: because",
        ),
        (_app({}, _state("Error", "new")), "OutOfSync", _OUT, False, "Failed last sync attempt to [new]: because"),
        (_app({}, _state("Failed", "old")), "OutOfSync", _OUT, True, ""),
        (_app({}, {"phase": "Error", "message": "m"}), "OutOfSync", _OUT, False, "Failed last sync attempt"),
    ],
)
def test_automated_sync(app: Obj, code: str, resources: list[Obj], starts: bool, error: str) -> None:
    decision = autosync.decide(app, {"status": code, "revision": "new"}, resources, ArgoSettings())
    assert (decision.operation is not None) is starts
    assert error in (decision.error or {}).get("message", "") and bool(error) is bool(decision.error)
    if decision.operation:
        assert decision.operation["initiatedBy"] == {"automated": True} and decision.operation["retry"] == {"limit": 5}
        assert decision.operation["sync"]["revision"] == "new"


def test_a_self_heal_is_partial_and_counts() -> None:
    app = _app(
        {"selfHeal": True, "prune": True}, _state("Succeeded", "new", 1) | {"finishedAt": "2026-01-01T00:00:00Z"}
    )
    found = autosync.decide(
        app,
        {"status": "OutOfSync", "revision": "new"},
        [*_OUT, {"kind": "Service", "status": "Synced"}],
        ArgoSettings(),
    )
    assert found.operation is not None and found.operation["sync"]["selfHealAttemptsCount"] == 2
    assert found.operation["sync"]["resources"] == [{"kind": "Deployment", "group": "apps", "name": "web"}]


@pytest.mark.parametrize(("count", "wanted"), [(0, 0), (1, 2), (2, 6), (3, 18), (4, 54), (5, 162), (6, 300), (9, 300)])
def test_the_back_off_of_self_heals(count: int, wanted: float) -> None:
    settings = ArgoSettings.real()
    assert autosync.heal_backoff({}, count, settings) == wanted
    left = autosync.heal_backoff({"finishedAt": stamp()}, count, settings)
    assert wanted - 2 <= left <= wanted


@pytest.mark.parametrize(
    ("retry", "count", "wanted"),
    [
        ({}, 0, 5),
        ({}, 3, 40),
        ({}, 10, 180),
        ({"backoff": {"duration": "1m", "factor": 3, "maxDuration": "1h"}}, 2, 540),
        ({"backoff": {"duration": "10s", "factor": 0}}, 0, 10),
    ],
)
def test_the_back_off_of_retries(retry: Obj, count: int, wanted: float) -> None:
    assert autosync.retry_delay(retry, count) == wanted
    with pytest.raises(ValueError, match="invalid duration"):
        autosync.retry_delay({"backoff": {"duration": "soon"}}, 0)


# gitops-engine/pkg/sync/sync_context_test.go, sync_tasks_test.go, hook/hook_test.go


def _managed(kind: str, name: str, wave: str = "", *, live: bool = False, target: bool = True) -> Managed:
    obj = _obj("apps/v1" if kind == "Deployment" else "v1", kind)
    obj["metadata"] = {"name": name, "annotations": {hooks.WAVE: wave} if wave else {}}
    return Managed(identity(obj), obj if target else None, obj if live else None)


def _made(*managed: Managed, hook_objects: list[Obj] | None = None, **more: Any) -> list[str]:
    options = {"wanted": lambda item: True, "skip_hooks": False, "prune_last": False, **more}
    found = tasks.made(list(managed), hook_objects or [], revision="0123456789", started=_AT, **options)
    return [f"{task.phase}/{task.wave}/{task.key.name}" for task in found]


def test_tasks_go_by_phase_wave_kind_and_name() -> None:
    hook = _obj("v1", "Pod", annotations={hooks.HOOK: "PreSync,PostSync"})
    hook["metadata"].pop("name")
    hook["metadata"]["generateName"] = "run-"
    managed = [
        _managed("Deployment", "b"),
        _managed("Deployment", "a"),
        _managed("ConfigMap", "z"),
        _managed("Namespace", "ns"),
        _managed("ConfigMap", "first", "-1"),
        _managed("Secret", "last", "3"),
    ]
    stamped = int(_AT.timestamp())
    plain = ["Sync/-1/first", "Sync/0/ns", "Sync/0/z", "Sync/0/a", "Sync/0/b", "Sync/3/last"]
    assert _made(*managed, hook_objects=[hook]) == [
        f"PreSync/0/run-0123456-presync-{stamped}",
        *plain,
        f"PostSync/0/run-0123456-postsync-{stamped}",
    ]
    assert _made(*managed, hook_objects=[hook], skip_hooks=True) == plain


def test_what_is_pruned_goes_in_the_opposite_order() -> None:
    gone = [_managed("ConfigMap", f"w{wave}", str(wave), live=True, target=False) for wave in (0, 1, 2)]
    assert _made(*gone) == ["Sync/0/w2", "Sync/1/w1", "Sync/2/w0"]
    kept = _managed("ConfigMap", "kept", "5")
    assert _made(*gone, kept, prune_last=True) == ["Sync/5/kept", "Sync/6/w0", "Sync/6/w1", "Sync/6/w2"]


@pytest.mark.parametrize(
    ("notes", "phases", "hook", "ignored"),
    [
        ({}, ["Sync"], False, False),
        ({hooks.HOOK: "PreSync"}, ["PreSync"], True, False),
        ({hooks.HOOK: "SyncFail,PreSync"}, ["PreSync", "SyncFail"], True, False),
        ({hooks.HOOK: "Skip"}, [], False, False),
        ({hooks.HOOK: "Unknown"}, [], True, True),
        ({hooks.HELM_HOOK: "pre-install,pre-upgrade"}, ["PreSync"], True, False),
        ({hooks.HELM_HOOK: "post-install"}, ["PostSync"], True, False),
        ({hooks.HELM_HOOK: "pre-rollback"}, [], True, True),
        ({hooks.HELM_HOOK: "crd-install"}, ["Sync"], False, False),
        ({hooks.HOOK: "PostSync", hooks.HELM_HOOK: "pre-install"}, ["PostSync"], True, False),
        ({hooks.HOOK: "PreDelete"}, [], True, False),
    ],
)
def test_hooks(notes: dict[str, str], phases: list[str], hook: bool, ignored: bool) -> None:
    obj = _obj("batch/v1", "Job", annotations=notes)
    assert (hooks.phases(obj), hooks.is_hook(obj), hooks.ignored(obj)) == (phases, hook, ignored)


def test_weights_of_helm_are_waves_and_policies_have_a_default() -> None:
    obj = _obj(
        "batch/v1", "Job", annotations={hooks.HELM_WEIGHT: "-5", hooks.HELM_DELETE_POLICY: "hook-succeeded,hook-failed"}
    )
    assert hooks.wave(obj) == -5 and hooks.delete_policies(obj) == ["HookSucceeded", "HookFailed"]
    assert hooks.delete_policies(_obj("v1", "Pod")) == ["BeforeHookCreation"]
    assert hooks.wave(_obj("v1", "Pod", annotations={hooks.WAVE: "soon"})) == 0


# util/argo/resource_tracking_test.go


@pytest.mark.parametrize("method", ["annotation", "label", "annotation+label"])
def test_marks(method: str) -> None:
    tracking = Tracking(method)
    obj = tracking.marked(_obj("apps/v1", "Deployment"), "shop", "prod")
    assert tracking.app_of(obj) == "shop" and tracking.own(obj, obj)
    copied = {**obj, "metadata": {**obj["metadata"], "name": "y"}}
    assert tracking.own(copied, None) is (method == "label")
    long = tracking.marked(_obj("v1", "Pod"), "a" * 62 + "-b", "prod")
    labels = long["metadata"].get("labels") or {}
    wanted = {"annotation": None, "label": "a" * 62 + "-b", "annotation+label": "a" * 62}[method]
    assert labels.get(tracking.label) == wanted and tracking.app_of(long) == "a" * 62 + "-b"


@pytest.mark.parametrize(
    "text", ["", "shop", "shop:apps/Deployment", "shop:Deployment:ns/x", "shop:apps/Deployment:x", "a:b/c:d/e/f"]
)
def test_what_is_no_tracking_id(text: str) -> None:
    assert parsed(text) is None
    assert parsed("shop:apps/Deployment:ns/x") == ("shop", ("apps", "Deployment", "ns", "x"))


# pkg/apis/application/v1alpha1/app_project_types_test.go, util/argo/argo_test.go


@pytest.mark.parametrize(
    ("repos", "url", "wanted"),
    [
        (["*"], "https://git.example/a.git", True),
        (["https://git.example/a"], "https://git.example/a.git", True),
        (["https://git.example/*"], "https://git.example/a", True),
        (["https://other.example/*"], "https://git.example/a", False),
        (["*", "!https://git.example/a"], "https://git.example/a.git", False),
        ([], "https://git.example/a", False),
    ],
)
def test_sources_of_a_project(repos: list[str], url: str, wanted: bool) -> None:
    assert source_permitted({"spec": {"sourceRepos": repos}}, url) is wanted


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ([{"server": "*", "namespace": "*"}], True),
        ([{"name": "in-cluster", "namespace": "prod"}], True),
        ([{"server": "https://one", "namespace": "dev"}], False),
        ([{"server": "https://one", "namespace": "*"}, {"server": "https://one", "namespace": "!prod"}], False),
        ([{"server": "*", "namespace": "*"}, {"server": "!https://one", "namespace": "*"}], False),
        ([], False),
    ],
)
def test_destinations_of_a_project(where: list[Obj], wanted: bool) -> None:
    assert destination_permitted({"spec": {"destinations": where}}, "in-cluster", "https://one", "prod") is wanted


def test_kinds_of_a_project() -> None:
    project: Obj = {"spec": {"namespaceResourceBlacklist": [{"group": "", "kind": "Secret"}]}}
    assert kind_permitted(project, "apps", "Deployment", "x", namespaced=True)
    assert not kind_permitted(project, "", "Secret", "x", namespaced=True)
    assert not kind_permitted(project, "", "Namespace", "x", namespaced=False)
    assert kind_permitted(default_project("argocd"), "", "Namespace", "x", namespaced=False)
    named: Obj = {"spec": {"clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "team-*"}]}}
    assert kind_permitted(named, "", "Namespace", "team-a", namespaced=False)
    assert not kind_permitted(named, "", "Namespace", "kube-system", namespaced=False)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"source": {"path": "a"}}, "repoURL"),
        ({"source": {"repoURL": "u"}}, "either spec.source.path or spec.source.chart"),
        ({"source": {"repoURL": "u", "chart": "c"}}, "targetRevision is required"),
        ({"destination": {}}, "destination server missing"),
        ({"destination": {"name": "a", "server": "b"}}, "both name and server"),
        ({"destination": {"server": "https://far"}}, 'cluster "https://far" not found'),
        ({}, ""),
    ],
)
def test_what_is_wrong_with_a_spec(spec: Obj, text: str) -> None:
    whole = {"source": _SOURCE, "destination": {"name": "in-cluster"}, **spec}
    app = {"metadata": {"name": "a"}, "spec": whole}
    found = refusals(app, default_project("argocd"), {"in-cluster": "https://kubernetes.default.svc"})
    assert (text in found[0]) if text else not found


def test_conditions_that_say_the_same_keep_their_time() -> None:
    old = {"type": "SyncError", "message": "m", "lastTransitionTime": "1"}
    other = {"type": "SharedResourceWarning", "message": "s", "lastTransitionTime": "1"}
    new = {**old, "lastTransitionTime": "2"}
    assert with_conditions([old, other], [new], {"SyncError"}) == [other, old]
    assert with_conditions([old, other], [], {"SyncError"}) == [other]
