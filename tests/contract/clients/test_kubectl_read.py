# SPDX-License-Identifier: Apache-2.0
"""kubectl's reading commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cluster_harness import Cluster
from cluster_harness.clients import Program, eventually
from cluster_harness.objects import config_map, pod, workload

pytestmark = pytest.mark.usefixtures("running")


@pytest.fixture
def web(kubectl: Program) -> str:
    """A deployment of two pods that is ready."""
    kubectl("create", "deployment", "web", "--image=registry.example/app:1.0", "--replicas=2", "--port=80")
    kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    return "web"


def test_get_tables(kubectl: Program, web: str) -> None:
    head, row = kubectl("get", "deployments").lines
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "2/2", "2", "2"]
    wide, row = kubectl("get", "deploy", "web", "-o", "wide").lines
    assert wide.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert row.split()[5:] == ["app", "registry.example/app:1.0", "app=web"]
    pods = kubectl("get", "pods", "-o", "wide")
    assert pods.lines[0].split() == [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED",
        "NODE",
        "READINESS",
        "GATES",
    ]
    for found in pods.rows:
        assert found[1:4] == ["1/1", "Running", "0"]
    assert kubectl("get", "pods", "--no-headers").out.count("Running") == 2


def test_get_other_forms(kubectl: Program, web: str) -> None:
    assert kubectl("get", "deploy/web", "-o", "json").json["spec"]["replicas"] == 2
    assert kubectl("get", "deploy", "web", "-o", "yaml").yaml["kind"] == "Deployment"
    assert kubectl("get", "deploy", "-o", "json").json["kind"] == "List"
    assert kubectl("get", "deploy", "-o", "name").out == "deployment.apps/web\n"
    assert kubectl("get", "deploy", "-o", "jsonpath={.items[*].metadata.name}").out == "web"
    columns = kubectl("get", "deploy", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas").out
    assert [line.split() for line in columns.splitlines()] == [["N", "R"], ["web", "2"]]
    assert kubectl("get", "deploy", "-o", "go-template={{len .items}}").out == "1"
    assert kubectl("get", "deployments.v1.apps", "web", "-o", "name").out == "deployment.apps/web\n"
    both = kubectl("get", "deploy,rs", "-o", "name").lines
    assert both[0] == "deployment.apps/web"
    assert both[1].startswith("replicaset.apps/web-")
    everything = kubectl("get", "all").out
    assert "deployment.apps/web" in everything and "pod/web-" in everything


def test_get_with_selectors(kubectl: Program, web: str) -> None:
    kubectl("create", "configmap", "one", "--from-literal=a=b")
    kubectl("label", "configmap", "one", "tier=front")
    assert kubectl("get", "cm", "-l", "tier=front", "-o", "name").out == "configmap/one\n"
    assert kubectl("get", "cm", "-l", "tier in (front,back)", "-o", "name").out == "configmap/one\n"
    assert kubectl("get", "cm", "--field-selector", "metadata.name=one", "-o", "name").out == "configmap/one\n"
    assert (
        kubectl("get", "pods", "--field-selector", "status.phase=Running", "-l", "app=web", "-o", "name").out.count(
            "pod/"
        )
        == 2
    )
    shown = kubectl("get", "cm", "one", "--show-labels").lines[1]
    assert shown.split()[-1] == "tier=front"
    assert kubectl("get", "cm", "one", "-L", "tier").lines[0].split()[-1] == "TIER"
    assert "No resources found in" in kubectl("get", "cm", "-l", "nothing=here").err
    sorted_names = kubectl("get", "pods", "--sort-by=.metadata.name", "-o", "name").lines
    assert sorted_names == sorted(sorted_names)
    assert kubectl("get", "pods", "-A", "--chunk-size=1", "-o", "name").out.count("pod/web-") >= 2


def test_get_what_is_not_there(kubectl: Program) -> None:
    result = kubectl("get", "deployment", "nope", fails=True)
    assert result.err == 'Error from server (NotFound): deployments.apps "nope" not found\n'
    assert kubectl("get", "deployment", "nope", "--ignore-not-found").out == ""
    assert 'the server doesn\'t have a resource type "gizmos"' in kubectl("get", "gizmos", fails=True).err


def test_get_watch(kubectl: Program) -> None:
    kubectl("create", "configmap", "first")
    process = kubectl.start("get", "configmaps", "-w", "--output-watch-events", "--request-timeout=240s")
    try:
        assert process.stdout is not None
        head = process.stdout.readline()
        assert head.split() == ["EVENT", "NAME", "DATA", "AGE"]
        seen = [process.stdout.readline().split()[:3]]
        while seen[-1][1] != "first":
            seen.append(process.stdout.readline().split()[:3])
        kubectl("create", "configmap", "second", "--from-literal=a=b")
        while seen[-1][1] != "second":
            seen.append(process.stdout.readline().split()[:3])
        assert seen[-1] == ["ADDED", "second", "1"]
        kubectl("delete", "configmap", "second")
        while seen[-1][0] != "DELETED":
            seen.append(process.stdout.readline().split()[:3])
        assert seen[-1][:2] == ["DELETED", "second"]
    finally:
        process.terminate()
        process.communicate(timeout=600)


def test_describe(kubectl: Program, web: str) -> None:
    text = kubectl("describe", "deployment", "web").out
    assert re.search(r"^Replicas:\s+2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable$", text, re.M)
    assert re.search(r"^StrategyType:\s+RollingUpdate$", text, re.M)
    assert re.search(r"^RollingUpdateStrategy:\s+25% max unavailable, 25% max surge$", text, re.M)
    assert re.search(r"^NewReplicaSet:\s+web-\w+ \(2/2 replicas created\)$", text, re.M)
    scaled = re.search(r"Normal\s+ScalingReplicaSet\s+\S+( \(.*\))?\s+deployment-controller\s+(.*)", text)
    assert scaled is not None
    assert re.fullmatch(r"Scaled up replica set web-\w+ from 0 to 2", scaled[2])
    pods = kubectl("describe", "pods", "-l", "app=web").out
    assert re.search(r"^Status:\s+Running$", pods, re.M)
    assert re.search(r"^Controlled By:\s+ReplicaSet/web-", pods, re.M)
    started = re.compile(r"Normal\s+Started\s+\S+( \(.*\))?\s+kubelet\s+")
    name = kubectl("get", "pods", "-l", "app=web", "-o", "name").lines[0]
    eventually(lambda: started.search(kubectl("describe", name).out))
    for kind in ("nodes", "namespace", "serviceaccounts", "replicasets"):
        assert kubectl("describe", kind).out


def test_describe_the_rest(kubectl: Program) -> None:
    kubectl("create", "secret", "generic", "s", "--from-literal=password=hidden")
    text = kubectl("describe", "secret", "s").out
    assert "password:  6 bytes" in text and "hidden" not in text
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    assert re.search(r"^TargetPort:\s+8080/TCP$", kubectl("describe", "service", "web").out, re.M)
    kubectl("create", "configmap", "c", "--from-literal=a=b")
    assert "a:\n----\nb\n" in kubectl("describe", "configmap", "c").out
    kubectl("create", "role", "r", "--verb=get", "--resource=pods")
    assert re.search(r"pods\s+\[\]\s+\[\]\s+\[get\]", kubectl("describe", "role", "r").out)


def test_describe_a_stateful_set_and_its_claim(cluster: Cluster, ns: str, kubectl: Program) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    obj = workload("StatefulSet", "db", spec={"volumeClaimTemplates": [claim]})
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(obj))
    kubectl("rollout", "status", "statefulset/db", "--timeout=240s")
    assert re.search(
        r"^Pods Status:\s+1 Running / 0 Waiting / 0 Succeeded / 0 Failed$", kubectl("describe", "sts", "db").out, re.M
    )
    assert re.search(r"^Used By:\s+db-0$", kubectl("describe", "pvc", "data-db-0").out, re.M)


def test_logs(cluster: Cluster, ns: str, kubectl: Program, web: str) -> None:
    name = kubectl("get", "pods", "-l", "app=web", "-o", "name").lines[0]
    lines = eventually(lambda: kubectl("logs", name).lines)
    assert kubectl("logs", name, "--tail=1").lines == lines[-1:]
    assert kubectl("logs", "deployment/web", "--tail=1").out
    assert len(kubectl("logs", "-l", "app=web", "--tail=1", "--prefix").lines) == 2
    assert kubectl("logs", name, "--timestamps", "--tail=1").out[:2] == "20"
    assert kubectl("logs", name, "--since=1h").lines[: len(lines)] == lines
    assert kubectl("logs", name, "-c", "app").out
    previous = kubectl("logs", name, "--previous", fails=True).err
    assert 'previous terminated container "app" in pod "' in previous


def test_logs_of_a_crash(kubectl: Program) -> None:
    kubectl("run", "bad", "--image=registry.example/app:1.0-crash-exit4")
    kubectl("wait", "pod/bad", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=240s")
    assert kubectl("logs", "bad", "--previous").out.strip()


def test_logs_follow_until_the_end(kubectl: Program, web: str) -> None:
    name = kubectl("get", "pods", "-l", "app=web", "-o", "name").lines[0]
    eventually(lambda: kubectl("logs", name).lines)
    process = kubectl.start("logs", "-f", name)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        kubectl("delete", name, "--wait=false")
        process.communicate(timeout=600)
        assert process.returncode == 0
    finally:
        process.kill()


def test_events(kubectl: Program, web: str) -> None:
    found = kubectl("events", "--for=deployment/web")
    assert found.lines[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert "ScalingReplicaSet" in found.out
    assert "Started" in kubectl("events", "--types=Normal").out
    assert kubectl("get", "events", "--sort-by=.lastTimestamp").lines[0].split()[:3] == ["LAST", "SEEN", "TYPE"]
    assert kubectl("get", "events", "--field-selector=reason=ScalingReplicaSet", "-o", "name").out.startswith(
        "event/web."
    )


def test_auth_can_i(cluster: Cluster, ns: str, kubectl: Program) -> None:
    assert kubectl("auth", "can-i", "delete", "deployments").out == "yes\n"
    denied = kubectl("auth", "can-i", "get", "pods", "--as=nobody", fails=True)
    assert denied.out == "no\n"
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--user=reader-of-pods")
    assert kubectl("auth", "can-i", "get", "pods", "--as=reader-of-pods").out == "yes\n"
    assert kubectl("auth", "can-i", "get", "pods", "--subresource=log", "--as=reader-of-pods").out == "yes\n"
    kubectl("auth", "can-i", "delete", "pods", "--as=reader-of-pods", fails=True)
    listed = kubectl("auth", "can-i", "--list", "--as=reader-of-pods").out
    assert re.search(r"^pods\s+\[\]\s+\[\]\s+\[get list\]$", listed, re.M)
    assert re.search(r"^selfsubjectaccessreviews.authorization.k8s.io\s+\[\]\s+\[\]\s+\[create\]$", listed, re.M)
    assert "*.*" in kubectl("auth", "can-i", "--list").out
    who = kubectl("auth", "whoami", "-o", "json").json
    assert "system:authenticated" in who["status"]["userInfo"]["groups"]
    refused = kubectl("get", "secrets", "--as=reader-of-pods", fails=True).err
    assert refused == (
        'Error from server (Forbidden): secrets is forbidden: User "reader-of-pods" cannot list resource "secrets" '
        f'in API group "" in the namespace "{ns}"\n'
    )


def test_api_resources_and_versions(kubectl: Program) -> None:
    rows = {row[0]: row for row in kubectl("api-resources").rows}
    assert rows["deployments"][1:] == ["deploy", "apps/v1", "true", "Deployment"]
    assert rows["nodes"][1:] == ["no", "v1", "false", "Node"]
    names = kubectl("api-resources", "--api-group=apps", "-o", "name").lines
    assert names == [
        f"{n}.apps" for n in ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets")
    ]
    wide = kubectl("api-resources", "--api-group=apps", "-o", "wide").out
    assert "create,delete,deletecollection,get,list,patch,update,watch" in wide
    assert "apps/v1" in kubectl("api-versions").lines
    assert "Server Version: v1." in kubectl("version").out


def test_explain(kubectl: Program) -> None:
    text = kubectl("explain", "deployment.spec.strategy").out
    assert text.startswith(
        "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: strategy <DeploymentStrategy>"
    )
    assert re.search(r"rollingUpdate\t<RollingUpdateDeployment>", text)
    assert "-required-" in kubectl("explain", "pod.spec.containers").out
    assert "containers\t<[]Container> -required-" in kubectl("explain", "pod.spec", "--recursive").out
    assert 'field "nope" does not exist' in kubectl("explain", "pod.nope", fails=True).err
    assert kubectl("explain", "pvc").out.startswith("KIND:       PersistentVolumeClaim\n")


def test_explain_a_custom_resource(cluster: Cluster, ns: str, kubectl: Program) -> None:
    group = f"{ns}.example.com"
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "description": "What is wanted.",
                                    "properties": {"size": {"type": "integer", "description": "How large."}},
                                }
                            },
                        }
                    },
                }
            ],
        },
    }
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(crd))
    try:
        kubectl("wait", "--for=condition=Established", f"crd/gadgets.{group}", "--timeout=240s")
        text = eventually(
            lambda: (
                next(
                    (
                        r.out
                        for r in (kubectl("explain", "gadgets.spec.size", "--api-version", f"{group}/v1"),)
                        if "How large." in r.out
                    ),
                    "",
                )
                if f"{group}/v1" in kubectl("api-versions").lines and _explains(kubectl, group)
                else ""
            )
        )
        assert "FIELD: size <integer>" in text
        gadget = {"apiVersion": f"{group}/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3}}
        eventually(lambda: _tried(kubectl, "apply", "-f", "-", stdin=yaml.safe_dump(gadget)))
        assert kubectl("get", "gd").lines[0].split() == ["NAME", "AGE"]
        assert kubectl("get", f"gadgets.{group}", "g", "-o", "jsonpath={.spec.size}").out == "3"
    finally:
        cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.{group}")


def _tried(kubectl: Program, *arguments: str, stdin: str | None = None) -> bool:
    try:
        kubectl(*arguments, stdin=stdin)
    except AssertionError:
        return False
    return True


def _explains(kubectl: Program, group: str) -> bool:
    return _tried(kubectl, "explain", "gadgets.spec.size", "--api-version", f"{group}/v1")


def test_diff(kubectl: Program, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", **config_map("c", {"a": "1"})}))
    kubectl("apply", "-f", str(file))
    assert kubectl("diff", "-f", str(file)).out == ""
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", **config_map("c", {"a": "2"})}))
    changed = kubectl("diff", "-f", str(file), fails=True)
    assert changed.code == 1
    assert '-  a: "1"' in changed.out and '+  a: "2"' in changed.out
    assert kubectl("diff", "--server-side", "--force-conflicts", "-f", str(file), fails=True).code == 1


def test_wait(kubectl: Program, web: str) -> None:
    assert (
        kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=240s").out
        == "deployment.apps/web condition met\n"
    )
    assert (
        kubectl("wait", "pods", "-l", "app=web", "--for=condition=Ready", "--timeout=240s").out.count("condition met")
        == 2
    )
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=240s")
    timed_out = kubectl("wait", "deployment/web", "--for=condition=Nope", "--timeout=1s", fails=True).err
    assert timed_out == "error: timed out waiting for the condition on deployments/web\n"
    kubectl("create", "configmap", "c")
    kubectl("delete", "configmap", "c", "--wait=false")
    kubectl("wait", "configmap/c", "--for=delete", "--timeout=240s")
    process = kubectl.start("wait", "configmap/later", "--for=create", "--timeout=240s")
    kubectl("create", "configmap", "later")
    assert process.communicate(timeout=600)[0] == "configmap/later condition met\n"


def test_kustomize(kubectl: Program, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config_map("c", {"a": "1"})))
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [c.yaml]\nnamePrefix: my-\nlabels: [{pairs: {team: ops}}]\n"
    )
    assert yaml.safe_load(kubectl("kustomize", str(tmp_path)).out)["metadata"]["name"] == "my-c"
    assert kubectl("apply", "-k", str(tmp_path)).out == "configmap/my-c created\n"
    assert kubectl("get", "-k", str(tmp_path), "-o", "name").out == "configmap/my-c\n"
    assert kubectl("delete", "-k", str(tmp_path)).out.startswith('configmap "my-c" deleted')


def test_top_says_that_there_are_no_metrics(kubectl: Program) -> None:
    assert "Metrics API not available" in kubectl("top", "pods", fails=True).err


def test_cluster_info(kubectl: Program) -> None:
    assert "Kubernetes control plane" in kubectl("cluster-info").out
    assert kubectl("get", "--raw", "/readyz").out == "ok"


def test_a_pod_in_trouble_shows_it(kubectl: Program) -> None:
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(pod("bad", image="registry.example/app:1.0-crash")))
    kubectl(
        "wait",
        "pod/bad",
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff",
        "--timeout=240s",
    )
    row = eventually(lambda: next((r for r in kubectl("get", "pod", "bad").rows if r[2] == "CrashLoopBackOff"), None))
    assert row[1] == "0/1"
    assert re.match(r"^\d+$", row[3]) and row[4].startswith("(") and row[5] == "ago)"
