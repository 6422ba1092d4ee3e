# SPDX-License-Identifier: Apache-2.0
"""The least that works for each reader: wait, wait for the reload, replace what fails, restart, or scale away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backout.kube.consumers import Consumer
from backout.kube.references import references
from backout.mechanisms.objects.needs import Need, Workload, decide, in_order
from backout.model.target import ObjectRef

HASH = "controller-revision-hash"
NOW = "web-2"


def pod(
    number: int, *, ready: bool = True, state: dict[str, Any] | None = None, revision: str = NOW, crashed: bool = False
) -> dict[str, Any]:
    status: dict[str, Any] = {"name": "app", "ready": ready, "state": state or {"running": {}}}
    if crashed:
        status |= {"restartCount": 2, "lastState": {"terminated": {"exitCode": 1}}}
    return {
        "metadata": {"name": f"web-{number}", "labels": {HASH: revision}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [status],
        },
    }


def spec(**container: Any) -> dict[str, Any]:
    return {
        "volumes": [{"name": "v", "configMap": {"name": "settings"}}],
        "containers": [{"name": "app", "image": "registry.example/app:1", **container}],
    }


MOUNTED = spec(volumeMounts=[{"name": "v", "mountPath": "/etc/app"}])
SUB_PATH = spec(volumeMounts=[{"name": "v", "mountPath": "/etc/app/a", "subPath": "a"}])
VARIABLE = {
    **spec(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]),
    "volumes": [],
}


def workload(
    pod_spec: dict[str, Any], *pods: dict[str, Any], kind: str = "StatefulSet", name: str = "web", **more: Any
) -> Workload:
    obj = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "x", "uid": f"u-{name}"},
        "spec": {
            "replicas": more.pop("replicas", max(1, len(pods))),
            **more,
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec},
        },
    }
    found = [reference for reference in references(pod_spec) if reference.name == "settings"]
    readers = tuple(
        Consumer(workload=ObjectRef.of(obj), container=r.container, how=r.how, path=r.path, keys=r.keys, reference=r)
        for r in found
    )
    return Workload(obj=obj, pods=tuple(pods), label=NOW, readers=readers)


def follows(_: Any, container: str, file: str) -> bool:
    return container == "app" and file == "/etc/app/a"


def never(*_: Any) -> bool:
    return False


A, B = frozenset({"a"}), frozenset({"b"})
WAITING = {"waiting": {"reason": "ContainerCreating"}}
CRASHING = {"waiting": {"reason": "CrashLoopBackOff"}}


def test_a_program_that_follows_its_file_is_only_waited_for() -> None:
    need = decide(workload(MOUNTED, pod(0), pod(1)), A, follows)
    assert (need.what, need.containers, need.settled) == ("reload", ("app",), True)


def test_a_key_that_it_does_not_follow_needs_a_restart() -> None:
    assert decide(workload(MOUNTED, pod(0)), A | B, follows).what == "restart"


@pytest.mark.parametrize(("pod_spec", "word"), [(SUB_PATH, "subPath"), (VARIABLE, "environment"), (MOUNTED, "once")])
def test_what_is_read_once_needs_a_restart(pod_spec: dict[str, Any], word: str) -> None:
    need = decide(workload(pod_spec, pod(0)), A, never)
    assert need.what == "restart"
    assert word in need.why.text


def test_a_sub_path_is_never_followed() -> None:
    assert decide(workload(SUB_PATH, pod(0)), A, lambda *_: True).what == "restart"


def test_a_reader_of_other_keys_is_left_alone() -> None:
    assert decide(workload(VARIABLE, pod(0)), B, never).what == "none"
    assert decide(workload(SUB_PATH, pod(0)), B, never).what == "none"


def test_pods_that_wait_for_the_object_need_nothing_but_waiting() -> None:
    need = decide(workload(VARIABLE, pod(0, ready=False, state=WAITING)), A, never)
    assert (need.what, need.settled, need.failing) == ("wait", False, False)


def test_pods_that_crash_over_it_are_replaced_since_their_next_start_may_be_far_away() -> None:
    crashing = pod(0, ready=False, state=CRASHING, crashed=True)
    assert decide(workload(VARIABLE, crashing), A, never).what == "replace"
    between = pod(0, ready=False, crashed=True)
    assert decide(workload(VARIABLE, between), A, never).what == "replace"


def test_pods_of_the_former_revision_do_not_count_while_a_rollout_hangs() -> None:
    old, new = pod(0, revision="web-1"), pod(1, ready=False, state=CRASHING, crashed=True)
    assert decide(workload(VARIABLE, old, new), A, never).what == "replace"


def test_a_program_that_follows_is_settled_first_where_some_pods_wait() -> None:
    need = decide(workload(MOUNTED, pod(0, ready=False, state=WAITING), pod(1)), A, follows)
    assert (need.what, need.settled, need.failing) == ("reload", False, False)


def test_a_reader_without_pods_is_left_alone() -> None:
    assert decide(workload(VARIABLE, replicas=0), A, never).what == "none"


def test_readers_of_an_object_that_is_made_anew_go_away_first() -> None:
    assert decide(workload(MOUNTED, pod(0)), A, follows, anew=True).what == "scale"
    assert decide(workload(MOUNTED, pod(0, ready=False, state=CRASHING)), A, follows, anew=True).what == "scale"
    assert decide(workload(MOUNTED, pod(0), kind="DaemonSet"), A, follows, anew=True).what == "delete-pods"
    owned = workload(MOUNTED, pod(0))
    owned.obj["metadata"]["ownerReferences"] = [{"kind": "Prometheus", "controller": True, "uid": "p"}]
    assert decide(owned, A, follows, anew=True).what == "delete-pods"


def test_an_init_container_has_read_it_already() -> None:
    init = {
        "volumes": [{"name": "v", "configMap": {"name": "settings"}}],
        "initContainers": [{"name": "init", "volumeMounts": [{"name": "v", "mountPath": "/x"}]}],
        "containers": [{"name": "app"}],
    }
    running = pod(0)
    running["status"]["initContainerStatuses"] = [{"name": "init", "state": {"terminated": {"exitCode": 0}}}]
    assert decide(workload(init, running), A, never).what == "restart"


def service(name: str, app: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": app}}}


def restarting(name: str, *args: str) -> Need:
    return decide(
        workload({**VARIABLE, "containers": [{**VARIABLE["containers"][0], "args": list(args)}]}, pod(0), name=name),
        A,
        never,
    )


def test_what_others_depend_on_is_restarted_first() -> None:
    services = [service("store", "store"), service("query", "query")]
    a = restarting("a", "--query=http://query:9090")
    query = restarting("query", "--endpoint=dnssrv+_grpc._tcp.store.x.svc")
    store = restarting("store", "--data=/var/my-store-dir")
    assert [need.ref.name for need in in_order([a, query, store], services)] == ["store", "query", "a"]


def test_names_within_longer_names_are_no_dependency_and_circles_end() -> None:
    services = [service("store", "store"), service("a", "a")]
    a, store = restarting("a", "--x=store-gateway:1"), restarting("store", "--y=http://a:1")
    assert [need.ref.name for need in in_order([store, a], services)] == ["a", "store"]
    both = [restarting("a", "store:1"), restarting("store", "a:1")]
    assert len(in_order(both, services)) == 2


def since(began: str) -> dict[str, Any]:
    return {"running": {"startedAt": f"2026-11-20T{began}Z"}}


HELD = datetime(2026, 11, 20, 10, 0, 0, 700000, tzinfo=UTC)
"""When all was healthy with the content that is put back."""


@pytest.mark.parametrize("pod_spec", [VARIABLE, SUB_PATH])
def test_what_has_only_read_it_while_all_was_healthy_is_left_alone(pod_spec: dict[str, Any]) -> None:
    before, within, after = (pod(0, state=since(at)) for at in ("09:59:59", "10:00:00", "10:00:01"))
    assert decide(workload(pod_spec, before), A, never, held=HELD).what == "none"
    assert decide(workload(pod_spec, within), A, never, held=HELD).what == "restart"
    assert decide(workload(pod_spec, before, after), A, never, held=HELD).what == "restart"
    assert decide(workload(pod_spec, before), A, never).what == "restart"
    assert decide(workload(pod_spec, pod(0)), A, never, held=HELD).what == "restart"


def test_mounted_files_may_have_been_read_again_since_by_a_program_that_nobody_knows() -> None:
    assert decide(workload(MOUNTED, pod(0, state=since("09:00:00"))), A, never, held=HELD).what == "restart"


def test_an_init_container_that_read_it_while_all_was_healthy_is_no_reason_to_restart() -> None:
    init = {**VARIABLE, "initContainers": VARIABLE["containers"], "containers": [{"name": "main", "image": "i:1"}]}
    done = pod(0)
    for began, what in (("09:00:00", "none"), ("11:00:00", "restart")):
        state = {"terminated": {"exitCode": 0, "startedAt": f"2026-11-20T{began}Z"}}
        done["status"] |= {"containerStatuses": [], "initContainerStatuses": [{"name": "app", "state": state}]}
        assert decide(workload(init, done), A, never, held=HELD).what == what


def test_a_rollout_that_fails_over_it_is_mended_although_former_pods_go_on() -> None:
    old = pod(0, revision="web-1", state=since("09:00:00"))
    assert decide(workload(VARIABLE, old, pod(1, ready=False, state=CRASHING)), A, never, held=HELD).what == "replace"
    mixed = workload(VARIABLE, pod(0, state=since("09:00:00")), pod(1, ready=False, state=CRASHING, crashed=True))
    assert decide(mixed, A, never, held=HELD).what == "replace"


def test_what_only_pods_of_an_earlier_template_read_restarts_nothing() -> None:
    found = workload(VARIABLE, pod(0))
    obj = {**found.obj, "spec": {**found.obj["spec"], "template": {"metadata": {}, "spec": {"containers": []}}}}
    assert decide(found, A, never).what == "restart"
    assert decide(msgspec.structs.replace(found, obj=obj), A, never).what == "none"
