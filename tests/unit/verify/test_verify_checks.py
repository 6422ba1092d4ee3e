# SPDX-License-Identifier: Apache-2.0
"""Each check says pass, fail or unknown with the measured value, over states that real clusters show."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    PODS,
    PVCS,
    REPLICASETS,
    SERVICES,
    STATEFULSETS,
    Object,
    Resource,
)
from backout.errors import AccessDenied
from backout.kube.definitions import CRDS
from backout.mechanisms.helm.strays import part_digest
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import Target
from backout.model.verdict import CheckResult, Verdict
from backout.verify import verify as verifying
from backout.verify.defaults import namespace_checks, workload_checks
from backout.verify.verify import verify

NS = "monitoring"


def meta(name: str, owner: str = "", labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    owners = [{"controller": True, "uid": owner, "kind": "X", "name": "x"}] if owner else []
    return {
        "name": name,
        "namespace": NS,
        "uid": f"uid-{name}",
        "labels": labels or {},
        "ownerReferences": owners,
        **more,
    }


def pod(
    name: str, owner: str, labels: dict[str, str], *, ready: bool = True, restarts: int = 0, waiting: str = ""
) -> Object:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    volume = {"persistentVolumeClaim": {"claimName": f"data-{name}"}}
    return {
        "metadata": meta(name, owner, labels),
        "spec": {"containers": [{"name": "main"}], "volumes": [volume]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"name": "main", "restartCount": restarts, "state": state}],
        },
    }


TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}


def deployment(replicas: int = 2) -> list[tuple[Resource, Object]]:
    counters = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    hashed = copy.deepcopy(TEMPLATE)
    hashed["metadata"]["labels"]["pod-template-hash"] = "aaa"
    of_set = {"pod-template-hash": "aaa"}
    return [
        (
            DEPLOYMENTS,
            {
                "metadata": meta("web", generation=3),
                "spec": {"replicas": replicas, "template": TEMPLATE},
                "status": {"observedGeneration": 3, **counters},
            },
        ),
        (REPLICASETS, {"metadata": meta("web-aaa", "uid-web", of_set), "spec": {"template": hashed}}),
        *((PODS, pod(f"web-{n}", "uid-web-aaa", {"app": "web", "pod-template-hash": "aaa"})) for n in range(replicas)),
    ]


def stateful(replicas: int = 3, **spec: Any) -> list[tuple[Resource, Object]]:
    counters = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    labels = {"app": "db", "controller-revision-hash": "db-2"}
    return [
        (
            STATEFULSETS,
            {
                "metadata": meta("db", generation=1),
                "spec": {"replicas": replicas, "template": TEMPLATE, **spec},
                "status": {"observedGeneration": 1, "updateRevision": "db-2", "currentRevision": "db-2", **counters},
            },
        ),
        *((PODS, pod(f"db-{n}", "uid-db", labels)) for n in range(replicas)),
    ]


def check(code: str, target: str = "deployment/web", **params: Any) -> Check:
    kind, _, name = target.partition("/")
    return Check(code=code, target=Target(kind, name, NS), title=msg("title"), params=params)


def measure(cluster: SmallCluster, *checks: Check, soak: float = 0.0, settle: float = 0.0) -> Verdict:
    return asyncio.run(verify(cluster, checks, soak, settle=settle))  # type: ignore[arg-type]


def one(cluster: SmallCluster, wanted: Check, **more: float) -> CheckResult:
    return measure(cluster, wanted, **more).checks[0]


def changed(objects: list[tuple[Resource, Object]], number: int, **changes: Any) -> list[tuple[Resource, Object]]:
    """``objects`` with dotted paths of one of them set: ``status__readyReplicas=1``."""
    copied = copy.deepcopy(objects)
    for path, value in changes.items():
        node = copied[number][1]
        *way, last = path.split("__")
        for part in way:
            node = node.setdefault(part, {})
        node[last] = value
    return copied


def test_a_healthy_deployment_passes_with_the_numbers() -> None:
    result = one(SmallCluster(*deployment()), check("workload-ready"))
    assert (result.status, result.measured.text) == ("pass", "2 of 2 pods ready, revision aaa")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((0, {"metadata__generation": 4}), "has not seen generation 4"),
        ((0, {"spec__template": {"metadata": {"labels": {"app": "web"}}, "spec": {}}}), "has made no revision"),
        ((0, {"status__availableReplicas": 1}), "availableReplicas=1"),
        ((0, {"spec__replicas": 3}), "2 of 3 pods exist"),
        ((2, {"metadata__labels__pod-template-hash": "old"}), "1 of 2 pods are of another revision: web-0"),
        ((2, {"metadata__deletionTimestamp": "2026-11-22T00:00:00Z"}), "still terminating: web-0"),
        ((2, {"status__conditions": []}), "1 of 2 pods ready: web-0 (not ready)"),
    ],
)
def test_what_is_wrong_with_a_deployment_is_named(change: tuple[int, dict[str, Any]], said: str) -> None:
    result = one(SmallCluster(*changed(deployment(), change[0], **change[1])), check("workload-ready"))
    assert result.status == "fail"
    assert said in result.measured.text


def test_a_missing_workload_fails_and_its_reason_of_waiting_is_kubernetes_word() -> None:
    assert one(SmallCluster(), check("workload-ready")).measured.text == "Deployment web does not exist"
    objects = deployment()
    objects[2] = (
        PODS,
        pod("web-0", "uid-web-aaa", {"pod-template-hash": "aaa"}, ready=False, waiting="CrashLoopBackOff"),
    )
    assert "web-0 (CrashLoopBackOff)" in one(SmallCluster(*objects), check("workload-ready")).measured.text


def test_images_and_hash_pin_the_revision() -> None:
    cluster = SmallCluster(*deployment())
    assert one(cluster, check("workload-ready", images={"main": "web:1"}, hash="aaa")).status == "pass"
    wrong = one(cluster, check("workload-ready", images={"main": "web:2"}))
    assert (wrong.status, wrong.expected and wrong.expected.text) == ("fail", "main=web:2")
    assert one(cluster, check("workload-ready", images=["web:1"])).status == "pass"
    assert one(cluster, check("workload-ready", images=["web:9"])).status == "fail"
    assert one(cluster, check("workload-ready", hash="bbb")).status == "fail"


def test_a_stuck_stateful_set_is_not_ready_although_two_of_three_serve() -> None:
    objects = stateful()
    old = {"app": "db", "controller-revision-hash": "db-1"}
    objects[3] = (PODS, pod("db-2", "uid-db", old, ready=False, waiting="CrashLoopBackOff"))
    assert one(SmallCluster(*stateful()), check("workload-ready", "statefulset/db")).status == "pass"
    result = one(SmallCluster(*objects), check("workload-ready", "statefulset/db"))
    assert (result.status, result.measured.text) == ("fail", "1 of 3 pods are of another revision: db-2")


@pytest.mark.parametrize(
    ("strategy", "why"),
    [({"type": "OnDelete"}, "(updateStrategy OnDelete)"), ({"rollingUpdate": {"partition": 2}}, "(partition 2)")],
)
def test_old_pods_that_stay_by_design_are_explained(strategy: dict[str, Any], why: str) -> None:
    objects = changed(stateful(updateStrategy=strategy), 1, **{"metadata__labels__controller-revision-hash": "db-1"})
    result = one(SmallCluster(*objects), check("workload-ready", "statefulset/db"))
    assert result.status == "fail"
    assert why in result.measured.text


def test_a_daemon_set_is_held_to_its_newest_revision() -> None:
    counters = dict.fromkeys(("updatedNumberScheduled", "numberReady", "numberAvailable", "desiredNumberScheduled"), 1)
    objects: list[tuple[Resource, Object]] = [
        (
            DAEMONSETS,
            {
                "metadata": meta("ds", generation=1),
                "spec": {"template": TEMPLATE},
                "status": {"observedGeneration": 1, **counters},
            },
        ),
        *(
            (
                CONTROLLERREVISIONS,
                {
                    "metadata": meta(f"ds-{name}", "uid-ds", {"controller-revision-hash": name}),
                    "revision": number,
                    "data": {"spec": {"template": {**template, "$patch": "replace"}}},
                },
            )
            for number, (name, template) in enumerate((("a", {"spec": {}}), ("b", TEMPLATE)), 1)
        ),
        (PODS, pod("ds-x", "uid-ds", {"controller-revision-hash": "b"})),
    ]
    assert one(SmallCluster(*objects), check("workload-ready", "daemonset/ds")).status == "pass"
    objects[3] = (PODS, pod("ds-x", "uid-ds", {"controller-revision-hash": "a"}))
    assert one(SmallCluster(*objects), check("workload-ready", "daemonset/ds")).status == "fail"


def left_over(name: str, owner: str, labels: dict[str, str], reason: str) -> tuple[Resource, Object]:
    """A pod that ended against its will, and that nobody has cleaned up."""
    found = pod(name, owner, labels, ready=False)
    return PODS, {**found, "status": {"phase": "Failed", "reason": reason}}


@pytest.mark.parametrize("reason", ["Evicted", "Terminated", "Preempting", "NodeAffinity"])
@pytest.mark.parametrize("revision", ["aaa", "of-before"])
def test_a_left_over_pod_does_not_make_a_deployment_unhealthy(reason: str, revision: str) -> None:
    labels = {"app": "web", "pod-template-hash": revision}
    cluster = SmallCluster(*deployment(), left_over("web-gone", "uid-web-aaa", labels, reason))
    assert one(cluster, check("workload-ready")).measured.text == "2 of 2 pods ready, revision aaa"
    assert one(cluster, check("pods-ready")).measured.text == "2 of 2 pods ready"
    whole = Check(code="pods-ready", target=Target("namespace", "", NS), title=msg("all"))
    assert one(cluster, whole).status == "pass"


def test_a_failed_pod_that_nobody_replaces_is_not_ready() -> None:
    cluster = SmallCluster(*deployment(), left_over("alone", "", {}, "Evicted"))
    whole = Check(code="pods-ready", target=Target("namespace", "", NS), title=msg("all"))
    assert one(cluster, whole).measured.text == "2 of 3 pods ready: alone (Evicted)"


def test_scaled_to_zero_is_ready() -> None:
    assert one(SmallCluster(*deployment(0)), check("workload-ready")).measured.text == "0 of 0 pods ready, revision aaa"


@pytest.mark.parametrize("code", ["workload-ready", "no-new-restarts", "endpoints", "pvc-bound", "pods-ready"])
def test_what_may_not_be_read_is_unknown_never_a_pass(code: str) -> None:
    denied = {kind: AccessDenied("You may not list {kind}.", kind=kind) for kind in ("Pod", "Service", "EndpointSlice")}
    verdict = measure(SmallCluster(*deployment(), denied=denied), check(code), soak=0.05)
    assert verdict.outcome == "unknown"
    assert "could not be measured: You may not list" in verdict.checks[0].measured.text


def test_no_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backout.verify.scene.SYNC_TIMEOUT", 0.1)
    result = one(SmallCluster(*deployment(), silent=("Pod",)), check("workload-ready"))
    assert result.status == "unknown"


def test_an_unknown_code_is_unknown() -> None:
    assert one(SmallCluster(), check("from-the-future")).status == "unknown"


@pytest.mark.parametrize("moment", ["settle", "soak"])
def test_a_watch_that_brings_nothing_is_no_proof_that_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """What is read once more decides: in the soak a restart, before it a pod that got ready after all."""
    monkeypatch.setattr(verifying, "_OLD", 0.0)

    class Deaf(SmallCluster):
        def _tell(self, resource: Resource, event: Any) -> None:
            return

    def state(**first: Any) -> list[tuple[Resource, Object]]:
        objects = deployment()
        labels = objects[2][1]["metadata"]["labels"]
        return [*objects[:2], (PODS, pod("web-0", "uid-web-aaa", labels, **first)), *objects[3:]]

    cluster = Deaf(*state(ready=moment == "soak"))
    checks = [check("workload-ready"), check("no-new-restarts")]

    async def main() -> Verdict:
        working = asyncio.create_task(verify(cluster, checks, 0.4, settle=0.4))  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        for resource, obj in state(restarts=3 if moment == "soak" else 0):
            cluster.put(resource, obj)
        return await working

    verdict = asyncio.run(main())
    assert verdict.outcome == ("not-recovered" if moment == "soak" else "recovered"), verdict


def test_settle_waits_for_the_watch_and_soak_ends_early_on_a_restart() -> None:
    broken = deployment()
    good = broken[2][1]
    broken[2] = (PODS, pod("web-0", "uid-web-aaa", good["metadata"]["labels"], ready=False))
    cluster = SmallCluster(*broken)
    checks = (check("workload-ready"), check("no-new-restarts"))
    soaked: list[float] = []

    async def main() -> tuple[Verdict, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def crash() -> None:
            cluster.put(PODS, pod("web-1", "uid-web-aaa", good["metadata"]["labels"], restarts=1))

        def on_soak(seconds: float) -> None:
            soaked.append(seconds)
            loop.call_later(0.1, crash)

        loop.call_later(0.1, cluster.put, PODS, good)
        verdict = await verify(cluster, checks, 600.0, on_soak=on_soak, settle=600.0)  # type: ignore[arg-type]
        return verdict, loop.time() - began

    verdict, took = asyncio.run(main())
    assert soaked == [600.0]
    assert took < 60
    assert verdict.outcome == "not-recovered"
    assert [result.status for result in verdict.checks] == ["pass", "fail"]
    assert verdict.checks[1].measured.text == "restarted: web-1/main +1"
    assert verdict.soak < 60


def test_a_whole_soak_without_a_restart_passes_and_says_how_long() -> None:
    verdict = measure(SmallCluster(*deployment()), check("workload-ready"), check("no-new-restarts"), soak=0.2)
    assert verdict.outcome == "recovered"
    assert verdict.checks[1].measured.text == "0 restarts of 2 containers in 0.2 s"


def test_restarts_before_the_soak_do_not_count() -> None:
    objects = changed(deployment(), 2, status__containerStatuses=[{"name": "main", "restartCount": 41, "state": {}}])
    assert measure(SmallCluster(*objects), check("no-new-restarts"), soak=0.1).outcome == "recovered"


def test_a_restart_of_a_pod_that_is_gone_when_the_soak_ends_counts_for_the_namespace() -> None:
    cluster = SmallCluster(*deployment())
    labels = {"pod-template-hash": "aaa"}

    async def main() -> Verdict:
        loop = asyncio.get_running_loop()

        def come_and_go(_: float) -> None:
            loop.call_later(0.02, cluster.put, PODS, pod("web-9", "uid-web-aaa", labels, restarts=2))
            loop.call_later(0.021, cluster.drop, PODS, "web-9", NS)

        return await verify(cluster, (check("no-new-restarts", f"namespace/{NS}"),), 0.5, on_soak=come_and_go)  # type: ignore[arg-type]

    verdict = asyncio.run(main())
    assert verdict.outcome == "not-recovered"
    assert "web-9" in verdict.checks[0].measured.text


def test_without_a_soak_restarts_are_unknown() -> None:
    assert measure(SmallCluster(*deployment()), check("no-new-restarts")).outcome == "unknown"


def service(name: str, **selector: str) -> tuple[Resource, Object]:
    return SERVICES, {"metadata": meta(name), "spec": {"selector": selector}}


def slices(name: str, *ready: bool | None) -> tuple[Resource, Object]:
    points = [{"addresses": ["10.0.0.1"], "conditions": {} if value is None else {"ready": value}} for value in ready]
    labels = {"kubernetes.io/service-name": name}
    return ENDPOINTSLICES, {"metadata": meta(f"{name}-x", labels=labels), "endpoints": points}


def test_endpoints() -> None:
    both = [service("web", app="web"), service("other", app="other")]
    result = one(SmallCluster(*deployment(), *both, slices("web", True, None, False)), check("endpoints"))
    assert (result.status, result.measured.text) == ("pass", "ready addresses: web: 2")
    empty = one(SmallCluster(*deployment(), *both, slices("web", False)), check("endpoints"))
    assert (empty.status, empty.measured.text) == ("fail", "no ready address behind web")
    named = one(
        SmallCluster(*both, slices("web", True)), check("endpoints", f"namespace/{NS}", services=["web", "gone"])
    )
    assert (named.status, named.measured.text) == ("fail", "no such Service with a selector: gone")
    assert one(SmallCluster(*deployment()), check("endpoints")).measured.text == "no Service selects these pods"


def claim(name: str, phase: str) -> tuple[Resource, Object]:
    return PVCS, {"metadata": meta(name), "status": {"phase": phase}}


def test_claims() -> None:
    ready = [claim(f"data-db-{n}", "Bound") for n in range(3)]
    assert (
        one(SmallCluster(*stateful(), *ready), check("pvc-bound", "statefulset/db")).measured.text
        == "3 of 3 claims Bound"
    )
    lost = [*ready[:2], claim("data-db-2", "Lost")]
    assert one(SmallCluster(*stateful(), *lost), check("pvc-bound", "statefulset/db")).status == "fail"
    missing = one(SmallCluster(*stateful(), *ready[:2]), check("pvc-bound", "statefulset/db"))
    assert "data-db-2 (missing)" in missing.measured.text
    unused = [*ready, claim("spare", "Pending")]
    assert one(SmallCluster(*stateful(), *unused), check("pvc-bound", f"namespace/{NS}")).status == "pass"
    named = check("pvc-bound", f"namespace/{NS}", names=["spare"])
    assert one(SmallCluster(*stateful(), *unused), named).status == "fail"


def test_objects_present_and_absent() -> None:
    cluster = SmallCluster((CONFIGMAPS, {"metadata": meta("cm")}))
    params = {"api_version": "v1", "kind": "ConfigMap", "name": "cm"}
    assert one(cluster, check("object-present", **params)).status == "pass"
    assert one(cluster, check("object-absent", **params)).status == "fail"
    assert one(cluster, check("object-present", **params, uid="another")).status == "fail"
    assert one(cluster, check("object-absent", **params, uid="another")).status == "pass"
    denied = SmallCluster(denied={"ConfigMap": AccessDenied("No.")})
    assert one(denied, check("object-absent", **params)).status == "unknown"


def test_live_objects_are_held_to_their_capture_part_by_part() -> None:
    captured = {"metadata": meta("cm"), "data": {"a": "1"}}
    entry = {"api_version": "v1", "kind": "ConfigMap", "name": "cm", "namespace": NS}
    wanted = check("live-restored", objects=[{**entry, "parts": {"data": part_digest(captured, "data")}}])
    assert one(SmallCluster((CONFIGMAPS, captured)), wanted).status == "pass"
    wrong = one(SmallCluster((CONFIGMAPS, {**captured, "data": {"a": "2"}})), wanted)
    assert wrong.status == "fail" and "configmap/cm: data" in str(wrong.measured)
    assert one(SmallCluster(), wanted).status == "fail"
    assert one(SmallCluster(denied={"ConfigMap": AccessDenied("No.")}), wanted).status == "unknown"


def test_default_checks_of_a_namespace() -> None:
    services = [service("web", app="web"), service("lost", app="nothing")]
    objects = [*deployment(), *stateful(), *services, slices("web", True), claim("data-db-0", "Bound")]
    checks = asyncio.run(namespace_checks(SmallCluster(*objects), NS))  # type: ignore[arg-type]
    assert [(c.code, str(c.target)) for c in checks] == [
        ("workload-ready", "deployment/web"),
        ("workload-ready", "statefulset/db"),
        ("endpoints", f"namespace/{NS}"),
        ("pvc-bound", f"namespace/{NS}"),
        ("no-new-restarts", f"namespace/{NS}"),
    ]
    assert checks[2].params == {"services": ["lost", "web"], "idle": ["lost"]}
    ready = one(SmallCluster(*objects), checks[2])
    assert (ready.status, ready.measured.text) == ("pass", "ready addresses: web: 1; of parts that do not run: lost")
    idle = asyncio.run(namespace_checks(SmallCluster(*deployment(0), *services), NS))  # type: ignore[arg-type]
    assert idle[1].params["idle"] == ["lost", "web"], (
        "a Service before a workload scaled to zero has no address by design"
    )
    blind = SmallCluster(*deployment(), denied={"Deployment": AccessDenied("No.")})
    verdict = measure(blind, *asyncio.run(namespace_checks(blind, NS)), soak=0.05)  # type: ignore[arg-type]
    assert verdict.outcome == "unknown"


def test_every_check_of_a_workload_has_a_measurement() -> None:
    codes = {c.code for c in workload_checks(Target("deployment", "web", NS))}
    assert codes <= verifying.CODES


STORE = Resource("data.example/v1", "Store", "stores")


def store(*, observed: int = 2, ready: str = "True") -> tuple[Resource, Object]:
    condition = {"type": "Ready", "status": ready, "message": "no such field", "observedGeneration": observed}
    spoken = {"observedGeneration": observed, "conditions": [condition]}
    return STORE, {"metadata": meta("main", generation=2), "spec": {}, "status": spoken}


OWNED = [{"controller": True, "uid": "uid-main", "kind": "Store", "name": "main", "apiVersion": "data.example/v1"}]


def operated(**more: Any) -> Check:
    known = [{"kind": "StatefulSet", "name": "db", "namespace": NS, "uid": "uid-db", "generation": 1}]
    params = {"api_version": "data.example/v1", "kind": "Store", "plural": "stores", "name": "main", "namespace": NS}
    return check("custom-resource", "store/main", **params, known=known, **more)


def test_a_custom_resource_is_held_to_its_operators_word_and_to_what_that_makes() -> None:
    made = changed(stateful(), 0, metadata__ownerReferences=OWNED)
    good = one(SmallCluster(store(), *made), operated(changed=True))
    assert (good.status, good.data["children"]) == ("pass", ["statefulset/db"])
    refused = one(SmallCluster(store(ready="False"), *made), operated(changed=True))
    assert (refused.status, refused.measured.text) == ("fail", "its operator says: no such field")
    assert one(SmallCluster(store(observed=1), *made), operated(changed=True)).status == "fail"
    crashing = changed(made, 1, status__conditions=[{"type": "Ready", "status": "False"}])
    result = one(SmallCluster(store(), *crashing), operated(changed=True))
    assert result.status == "fail" and "statefulset/db: " in result.measured.text
    assert one(SmallCluster(*made), operated(changed=True)).measured.text == "it does not exist"


def test_a_custom_resource_of_which_nobody_tells_leaves_the_verdict_unknown() -> None:
    silent = STORE, {"metadata": meta("main", generation=2), "spec": {}}
    made = changed(stateful(), 0, metadata__ownerReferences=OWNED)
    verdict = measure(SmallCluster(silent, *made), operated(changed=True))
    assert (verdict.outcome, verdict.checks[0].status) == ("unknown", "unknown")
    assert one(SmallCluster(silent, *made), operated()).status == "pass"


def test_a_pod_that_an_operator_made_and_that_restarts_ends_the_soak() -> None:
    made = changed(stateful(), 0, metadata__ownerReferences=OWNED)
    cluster = SmallCluster(store(), *made)
    workloads = [{"kind": "StatefulSet", "name": "db"}]

    async def scene() -> Verdict:
        running = asyncio.create_task(
            verify(
                cluster,  # type: ignore[arg-type]
                [operated(), check("no-new-restarts", "store/main", workloads=workloads, namespace=NS)],
                5.0,
            )
        )
        await asyncio.sleep(0.3)
        sick = pod("db-1", "uid-db", {"app": "db", "controller-revision-hash": "db-2"}, restarts=1)
        cluster.put(PODS, sick)
        return await running

    verdict = asyncio.run(scene())
    assert (verdict.outcome, verdict.checks[1].status) == ("not-recovered", "fail")


STORES = Resource("data.example/v1", "Store", "stores")


def definition(*, status: bool) -> tuple[Resource, Object]:
    version = {"name": "v1", **({"subresources": {"status": {}}} if status else {})}
    return CRDS, {"metadata": {"name": "stores.data.example"}, "spec": {"group": "data.example", "versions": [version]}}


def resource_of(status: Any = None) -> tuple[Resource, Object]:
    return STORES, {"metadata": meta("main", generation=1), "spec": {}, **({"status": status} if status else {})}


CUSTOM = [
    ("it says that it is ready", resource_of({"conditions": [{"type": "Ready", "status": "True"}]}), True, "recovered"),
    (
        "its operator refuses it",
        resource_of({"conditions": [{"type": "Ready", "status": "False"}]}),
        True,
        "not-recovered",
    ),
    ("nobody has said anything", resource_of(), True, "unknown"),
    ("its kind has no status", resource_of(), False, "recovered"),
]


@pytest.mark.parametrize(("about", "obj", "status", "outcome"), CUSTOM, ids=[case[0] for case in CUSTOM])
def test_a_namespace_is_as_its_custom_resources_say(
    about: str, obj: tuple[Resource, Object], status: bool, outcome: str
) -> None:
    async def play() -> Verdict:
        cluster = SmallCluster(*deployment(), obj, definition(status=status))
        checks = await namespace_checks(cluster, NS)  # type: ignore[arg-type]
        mine = [c for c in checks if c.code in ("custom-resource", "workload-ready")]
        return await verify(cluster, mine, 0.0, settle=0.0)  # type: ignore[arg-type]

    assert asyncio.run(play()).outcome == outcome
