# SPDX-License-Identifier: Apache-2.0
"""What a pod shows when it runs, and when it fails in the ways that rollbacks are about.

The faults are chosen by the image tag, which only the simulated kubelet understands: on a cluster with real nodes these
tests are skipped (images of `registry.example` could not be pulled there anyway).
"""

from __future__ import annotations

import re

import pytest
from cluster_harness import Cluster
from cluster_harness.http import Obj
from cluster_harness.objects import config_map, container, pod

pytestmark = pytest.mark.usefixtures("running")


@pytest.fixture(autouse=True)
def simulated(cluster: Cluster) -> None:
    nodes = cluster.get("/api/v1/nodes").ok()["items"]
    runtimes = {node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes}
    labels = [node["metadata"].get("annotations", {}) for node in nodes]
    if not cluster.is_twin and not any("simulat" in str(found).lower() for found in (runtimes, labels)):
        names = {node["metadata"]["name"] for node in nodes}
        if not any(name.startswith("contract-") for name in names):
            pytest.skip("the nodes of this cluster are not simulated: they cannot be told to fail")


def pods(ns: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{ns}/pods" + (f"/{name}" if name else "")


def only(found: Obj) -> Obj:
    statuses = found["status"].get("containerStatuses") or [{}]
    return dict(statuses[0])


def waiting(found: Obj) -> str:
    return str(only(found).get("state", {}).get("waiting", {}).get("reason", ""))


def conditions(found: Obj) -> dict[str, str]:
    return {c["type"]: c["status"] for c in found["status"].get("conditions", ())}


def event(cluster: Cluster, ns: str, reason: str, name: str = "p") -> Obj:
    def matching(listed: Obj) -> list[Obj]:
        return [e for e in listed["items"] if e["reason"] == reason and e["involvedObject"]["name"] == name]

    return matching(cluster.wait(f"/api/v1/namespaces/{ns}/events", matching))[-1]


def test_a_pod_that_runs(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p")).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: conditions(p).get("Ready") == "True")
    status = found["status"]
    assert status["phase"] == "Running"
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"] and status["startTime"]
    assert conditions(found) == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }
    shown = only(found)
    assert (shown["name"], shown["ready"], shown["started"], shown["restartCount"]) == ("app", True, True, 0)
    assert set(shown["state"]) == {"running"}
    assert re.match(r"^\w+://[0-9a-f]{64}$", shown["containerID"])
    assert "sha256:" in shown["imageID"]
    for reason, message in (("Created", "Container created"), ("Started", "Container started")):
        assert event(cluster, ns, reason)["message"] == message
    started = event(cluster, ns, "Started")
    assert started["involvedObject"]["fieldPath"] == "spec.containers{app}"
    assert started["source"]["component"] == "kubelet"


def test_a_crash_loop(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p", image="registry.example/app:1.0-crash-exit3")).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: waiting(p) == "CrashLoopBackOff" and only(p)["restartCount"] >= 1)
    shown = only(found)
    assert re.match(
        r"^back-off [\w.]+ restarting failed container=app pod=p_" + ns + r"\([0-9a-f-]{36}\)$",
        shown["state"]["waiting"]["message"],
    )
    ended = shown["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert ended["startedAt"] and ended["finishedAt"] and ended["containerID"]
    assert shown["ready"] is False and shown["started"] is False
    assert found["status"]["phase"] == "Running"
    assert (conditions(found)["Ready"], conditions(found)["ContainersReady"]) == ("False", "False")
    ready = next(c for c in found["status"]["conditions"] if c["type"] == "Ready")
    assert ready["reason"] == "ContainersNotReady"
    assert ready["message"] == "containers with unready status: [app]"
    back_off = event(cluster, ns, "BackOff")
    assert back_off["type"] == "Warning"
    assert back_off["message"].startswith("Back-off restarting failed container app in pod p_")
    log = cluster.get(f"{pods(ns, 'p')}/log", query={"previous": True})
    assert log.status == 200 and log.text.strip()
    assert log.headers["content-type"] == "text/plain"
    tail = cluster.get(f"{pods(ns, 'p')}/log", query={"previous": True, "tailLines": 1}).text
    assert log.text.endswith(tail) and tail.count("\n") == 1


def test_out_of_memory(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p", image="registry.example/app:1.0-oom")).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: only(p).get("lastState", {}).get("terminated"))
    ended = only(found)["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


@pytest.mark.parametrize(
    ("tag", "words"), [("missing", "not found"), ("denied", "authorization"), ("unreachable", "dial tcp")]
)
def test_an_image_that_cannot_be_pulled(cluster: Cluster, ns: str, tag: str, words: str) -> None:
    image = f"registry.example/app:1.0-{tag}"
    cluster.post(pods(ns), pod("p", image=image)).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: waiting(p) == "ImagePullBackOff")
    assert found["status"]["phase"] == "Pending"
    assert only(found)["state"]["waiting"]["message"].startswith(f'Back-off pulling image "{image}"')
    assert only(found)["imageID"] == ""
    failed = event(cluster, ns, "Failed")
    assert failed["type"] == "Warning"
    messages = [
        e["message"] for e in cluster.get(f"/api/v1/namespaces/{ns}/events").ok()["items"] if e["reason"] == "Failed"
    ]
    assert any(m.startswith(f'Failed to pull image "{image}": ') and words in m for m in messages), messages
    assert "Error: ErrImagePull" in messages
    assert event(cluster, ns, "Pulling")["message"] == f'Pulling image "{image}"'


def test_never_ready(cluster: Cluster, ns: str) -> None:
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}
    obj = pod("p", image="registry.example/app:1.0-unready")
    obj["spec"]["containers"] = [container(image="registry.example/app:1.0-unready", readinessProbe=probe)]
    cluster.post(pods(ns), obj).ok()
    found = event(cluster, ns, "Unhealthy")
    assert found["message"] == "Readiness probe failed: HTTP probe failed with statuscode: 503"
    shown = cluster.get(pods(ns, "p")).ok()
    assert shown["status"]["phase"] == "Running"
    assert (only(shown)["ready"], only(shown)["started"], only(shown)["restartCount"]) == (False, True, 0)
    assert conditions(shown)["Ready"] == "False"


def test_a_failing_liveness_probe_restarts(cluster: Cluster, ns: str) -> None:
    probe = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    obj = pod("p")
    obj["spec"]["containers"] = [container(image="registry.example/app:1.0-unlive", livenessProbe=probe)]
    cluster.post(pods(ns), obj).ok()
    cluster.wait(pods(ns, "p"), lambda p: only(p).get("restartCount", 0) >= 1)
    killing = event(cluster, ns, "Killing")
    assert killing["message"] == "Container app failed liveness probe, will be restarted"


def test_a_missing_configuration_key(cluster: Cluster, ns: str) -> None:
    cluster.post(f"/api/v1/namespaces/{ns}/configmaps", config_map("settings", {"here": "x"})).ok()
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "gone"}}}]
    obj = pod("p")
    obj["spec"]["containers"] = [container(env=env)]
    cluster.post(pods(ns), obj).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: waiting(p) == "CreateContainerConfigError")
    assert only(found)["state"]["waiting"]["message"] == f"couldn't find key gone in ConfigMap {ns}/settings"
    assert found["status"]["phase"] == "Pending"
    assert event(cluster, ns, "Failed")["message"] == f"Error: couldn't find key gone in ConfigMap {ns}/settings"
    cluster.patch(f"/api/v1/namespaces/{ns}/configmaps/settings", {"data": {"gone": "back"}}).ok()
    cluster.wait(pods(ns, "p"), lambda p: conditions(p).get("Ready") == "True")


def test_missing_configuration(cluster: Cluster, ns: str) -> None:
    obj = pod("p")
    obj["spec"]["containers"] = [container(envFrom=[{"configMapRef": {"name": "nowhere"}}])]
    cluster.post(pods(ns), obj).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: waiting(p) == "CreateContainerConfigError")
    assert only(found)["state"]["waiting"]["message"] == 'configmap "nowhere" not found'


def test_a_volume_that_is_not_there(cluster: Cluster, ns: str) -> None:
    volumes = [{"name": "v", "configMap": {"name": "nowhere"}}]
    obj = pod("p", volumes=volumes)
    obj["spec"]["containers"] = [container(volumeMounts=[{"name": "v", "mountPath": "/v"}])]
    cluster.post(pods(ns), obj).ok()
    found = event(cluster, ns, "FailedMount")
    assert found["message"] == 'MountVolume.SetUp failed for volume "v" : configmap "nowhere" not found'
    shown = cluster.get(pods(ns, "p")).ok()
    assert waiting(shown) == "ContainerCreating"
    assert shown["status"]["phase"] == "Pending"


def test_init_containers_run_first(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p", initContainers=[container("setup")])).ok()
    found = cluster.wait(pods(ns, "p"), lambda p: conditions(p).get("Ready") == "True")
    (setup,) = found["status"]["initContainerStatuses"]
    assert setup["state"]["terminated"]["reason"] == "Completed"
    assert setup["ready"] is True
    cluster.post(pods(ns), pod("q", initContainers=[container("setup", image="registry.example/app:1.0-crash")])).ok()
    found = cluster.wait(
        pods(ns, "q"),
        lambda p: (
            "waiting" in (p["status"].get("initContainerStatuses") or [{"state": {}}])[0]["state"]
            and p["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        ),
    )
    assert conditions(found)["Initialized"] == "False"
    assert waiting(found) == "PodInitializing"
    assert found["status"]["phase"] == "Pending"


def test_deletion_waits_for_the_kubelet(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p", terminationGracePeriodSeconds=3)).ok()
    cluster.wait(pods(ns, "p"), lambda p: conditions(p).get("Ready") == "True")
    found = cluster.delete(pods(ns, "p")).ok()
    assert found["metadata"]["deletionTimestamp"]
    cluster.wait_gone(pods(ns, "p"))
    assert event(cluster, ns, "Killing")["message"] == "Stopping container app"


def test_logs(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p")).ok()
    cluster.wait(pods(ns, "p"), lambda p: conditions(p).get("Ready") == "True")
    log = f"{pods(ns, 'p')}/log"
    lines = cluster.get(log).text.splitlines()
    assert lines
    stamped = cluster.get(log, query={"timestamps": True}).text.splitlines()[0]
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) ", stamped)
    assert cluster.get(log, query={"tailLines": 1}).text.splitlines() == lines[-1:]
    assert cluster.get(log, query={"limitBytes": 5}).text == "\n".join(lines)[:5]
    assert cluster.get(log, query={"container": "app"}).status == 200
    status = cluster.get(log, query={"container": "other"}).fails(400, "BadRequest")
    assert status["message"] == "container other is not valid for pod p"
    status = cluster.get(log, query={"previous": True}).fails(400, "BadRequest")
    assert status["message"] == 'previous terminated container "app" in pod "p" not found'


def test_logs_of_several_containers_need_a_name(cluster: Cluster, ns: str) -> None:
    obj = pod("p", nodeSelector={"no": "where"})
    obj["spec"]["containers"] = [container("a"), container("b")]
    cluster.post(pods(ns), obj).ok()
    status = cluster.get(f"{pods(ns, 'p')}/log").fails(400, "BadRequest")
    assert status["message"] == "a container name must be specified for pod p, choose one of: [a b]"


def test_logs_of_a_pod_that_has_not_started(cluster: Cluster, ns: str) -> None:
    cluster.post(pods(ns), pod("p", image="registry.example/app:1.0-missing")).ok()
    cluster.wait(pods(ns, "p"), lambda p: waiting(p) in ("ErrImagePull", "ImagePullBackOff"))
    status = cluster.get(f"{pods(ns, 'p')}/log").fails(400, "BadRequest")
    assert status["message"] in (
        'container "app" in pod "p" is waiting to start: trying and failing to pull image',
        'container "app" in pod "p" is waiting to start: image can\'t be pulled',
    )
