# SPDX-License-Identifier: Apache-2.0
"""What a server makes of a manifest is no difference; what somebody changes afterwards is one, and is named.

The answers are those of the cluster under test, so that every rule of defaulting here is held to a server's.
"""

from __future__ import annotations

import asyncio
import copy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_harness import Cluster as Harness

import kubetwin.lab
from backout.cluster.client import connect
from backout.kube.intent import canonical, canonical_template, drift, same_intent
from backout.tools import ensure

CHARTS = Path(kubetwin.lab.__file__).parent / "charts"
Obj = dict[str, Any]

POD: Obj = {
    "serviceAccountName": "default",
    "hostNetwork": False,
    "hostPID": False,
    "nodeSelector": {},
    "tolerations": [],
    "securityContext": {"runAsNonRoot": False, "supplementalGroups": []},
    "initContainers": [{"name": "init", "image": "registry.example/init", "env": []}],
    "containers": [
        {
            "name": "main",
            "image": "registry.example/main@sha256:" + "a" * 64,
            "command": [],
            "env": [
                {"name": "EMPTY", "value": ""},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "FROM", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": False}}},
            ],
            "ports": [{"containerPort": 80, "hostPort": 0}, {"containerPort": 81, "protocol": "UDP", "name": "udp"}],
            "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}, "requests": {"cpu": "0.5"}},
            "readinessProbe": {"httpGet": {"port": 80, "httpHeaders": []}, "initialDelaySeconds": 0},
            "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 5},
            "startupProbe": {"grpc": {"port": 80}},
            "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
            "securityContext": {"privileged": False, "allowPrivilegeEscalation": False, "runAsUser": 0},
            "volumeMounts": [{"name": "conf", "mountPath": "/conf", "readOnly": False}],
            "stdin": False,
            "tty": False,
        },
        {"name": "side", "image": "registry.example/side:latest", "imagePullPolicy": "Never"},
    ],
    "volumes": [
        {"name": "conf", "configMap": {"name": "c"}},
        {"name": "sec", "secret": {"secretName": "s", "optional": False}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "none"},
        {
            "name": "all",
            "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "c"}}]},
        },
        {"name": "down", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ],
}
LABELS = {"app": "x"}
TEMPLATE: Obj = {"metadata": {"labels": LABELS, "annotations": {}, "creationTimestamp": None}, "spec": POD}


def thing(api_version: str, kind: str, **body: Any) -> Obj:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": f"x-{kind.lower()}", "labels": {}}, **body}


def workload(kind: str, **spec: Any) -> Obj:
    return thing("apps/v1", kind, spec={"selector": {"matchLabels": LABELS}, "template": TEMPLATE, **spec})


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
JOB = {**POD, "restartPolicy": "Never"}
HOSTED = {**TEMPLATE, "spec": {**POD, "hostNetwork": True}}

MANIFESTS = [
    workload("Deployment", minReadySeconds=0, paused=False),
    workload("Deployment", replicas=0, revisionHistoryLimit=0, strategy={"type": "Recreate"}),
    workload("Deployment", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
    {**workload("Deployment"), "spec": {"selector": {"matchLabels": LABELS}, "template": HOSTED}},
    workload("StatefulSet", serviceName="x", volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": CLAIM}]),
    workload("StatefulSet", serviceName="x", updateStrategy={"rollingUpdate": {"partition": 0}}),
    workload("DaemonSet", updateStrategy={"type": "OnDelete"}),
    workload("DaemonSet"),
    workload("ReplicaSet", replicas=2),
    thing("batch/v1", "Job", spec={"template": {"spec": JOB}, "backoffLimit": 0}),
    thing(
        "batch/v1",
        "CronJob",
        spec={"schedule": "0 0 * * *", "suspend": False, "jobTemplate": {"spec": {"template": {"spec": JOB}}}},
    ),
    thing(
        "v1",
        "Service",
        spec={
            "ports": [{"port": 80}, {"port": 81, "name": "b", "targetPort": "web"}],
            "selector": LABELS,
            "externalIPs": [],
        }
        | {"ports": [{"port": 80}]},
    ),
    thing("v1", "Service", spec={"type": "NodePort", "ports": [{"port": 80, "targetPort": 8080}]}),
    thing("v1", "Service", spec={"clusterIP": "None", "ports": [], "selector": LABELS}),
    thing("v1", "Service", spec={"type": "LoadBalancer", "ports": [{"port": 80}], "sessionAffinity": "ClientIP"}),
    thing("v1", "ConfigMap", data={"a": "", "b": "x"}, immutable=False),
    thing("v1", "ConfigMap", data=None),
    thing("v1", "Secret", stringData={"a": "x"}),
    thing("v1", "Secret", data={"a": "eA=="}, type="Opaque"),
    thing("v1", "ServiceAccount", automountServiceAccountToken=False, imagePullSecrets=[]),
    thing("v1", "PersistentVolumeClaim", spec=CLAIM),
    thing("v1", "LimitRange", spec={"limits": [{"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}}]}),
    thing("v1", "ResourceQuota", spec={"hard": {"pods": "10", "limits.cpu": "1000m"}}),
    thing("rbac.authorization.k8s.io/v1", "Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
    thing(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        roleRef={"kind": "Role", "name": "x"},
        subjects=[{"kind": "ServiceAccount", "name": "x", "namespace": "default"}, {"kind": "Group", "name": "g"}],
    ),
    thing(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 80}]}]},
    ),
    thing(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={"podSelector": {}, "ingress": [], "egress": [{}], "policyTypes": ["Ingress", "Egress"]},
    ),
    thing(
        "networking.k8s.io/v1",
        "Ingress",
        spec={
            "rules": [
                {
                    "host": "x.example",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "x", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
    ),
    thing("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 0, "selector": {"matchLabels": LABELS}}),
    thing(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}},
    ),
]


def charts() -> Iterator[Obj]:
    """Every object of the lab's charts."""
    helm = asyncio.run(ensure("helm", install=False)).path
    for chart in sorted(CHARTS.iterdir()):
        text = subprocess.run([helm, "template", "rel", str(chart)], capture_output=True, text=True, check=True).stdout
        for obj in yaml.load_all(text, Loader=yaml.CSafeLoader):
            if obj:
                # All of them are asked about in the test's own namespace.
                obj["metadata"].pop("namespace", None)
                yield obj


async def answered(running: Harness, ns: str, manifests: list[Obj]) -> list[Obj]:
    """What the server makes of each; nothing is stored."""
    async with asyncio.timeout(240), connect(str(running.kubeconfig), running.context or "") as port:

        async def one(manifest: Obj) -> Obj:
            obj = copy.deepcopy(manifest)
            obj["metadata"]["namespace"] = ns
            return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **await port.dry_run_create(obj)}

        return [await one(manifest) for manifest in manifests]


def test_what_the_server_makes_of_a_manifest_is_no_difference(running: Harness, ns: str) -> None:
    answers = asyncio.run(answered(running, ns, MANIFESTS))
    for manifest, live in zip(MANIFESTS, answers, strict=True):
        assert drift(manifest, live) == (), manifest


def test_nor_what_it_makes_of_whole_charts(running: Harness, ns: str) -> None:
    served = [obj for obj in charts() if "monitoring.coreos.com" not in obj["apiVersion"]]
    assert len(served) > 50
    for manifest, live in zip(served, asyncio.run(answered(running, ns, served)), strict=True):
        assert same_intent(manifest, live), (manifest["kind"], drift(manifest, live))


def edited(path: str, value: Any) -> Callable[[Obj], None]:
    def edit(obj: Obj) -> None:
        node: Any = obj
        *steps, last = path.split(".")
        for step in steps:
            node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
        if value is None:
            node.pop(last)
        elif isinstance(node, list):
            node.insert(int(last), value)
        else:
            node[last] = value

    return edit


SPEC = "spec.template.spec"
MAIN = f"{SPEC}.containers.0"
EDITS = [
    (f"{MAIN}.image", "registry.example/main:2.0", "containers[name=main].image"),
    (f"{MAIN}.command", ["sh"], "containers[name=main].command"),
    (f"{MAIN}.env.4", {"name": "NEW", "value": "1"}, "env[name=NEW]"),
    (f"{MAIN}.env.0.value", "x", "env[name=EMPTY].value"),
    (f"{MAIN}.readinessProbe.initialDelaySeconds", 30, "readinessProbe.initialDelaySeconds"),
    (f"{MAIN}.readinessProbe.httpGet.path", "/other", "readinessProbe.httpGet.path"),
    (f"{MAIN}.securityContext.allowPrivilegeEscalation", None, "securityContext.allowPrivilegeEscalation"),
    (f"{MAIN}.securityContext.runAsUser", None, "securityContext.runAsUser"),
    (f"{MAIN}.resources.limits.memory", "64Mi", "resources.limits.memory"),
    (f"{MAIN}.imagePullPolicy", "Always", "imagePullPolicy"),
    (f"{SPEC}.initContainers.1", {"name": "wait", "image": "registry.example/wait:1"}, "initContainers[name=wait]"),
    (f"{SPEC}.nodeSelector", {"disk": "ssd"}, "nodeSelector.disk"),
    (f"{SPEC}.hostNetwork", True, "hostNetwork"),
    (f"{SPEC}.terminationGracePeriodSeconds", 0, "terminationGracePeriodSeconds"),
    (f"{SPEC}.volumes.7", {"name": "more", "emptyDir": {}}, "volumes[name=more]"),
    (f"{SPEC}.volumes.0.configMap.defaultMode", 256, "volumes[name=conf].configMap.defaultMode"),
    (f"{SPEC}.serviceAccountName", "other", "serviceAccountName"),
    ("spec.template.metadata.annotations", {"a": "b"}, "metadata.annotations.a"),
    ("spec.replicas", 0, "spec.replicas"),
    ("spec.paused", True, "spec.paused"),
    ("metadata.labels", {"team": "x"}, "metadata.labels.team"),
]


def test_what_somebody_changes_is_named_and_nothing_else(running: Harness, ns: str) -> None:
    manifest = MANIFESTS[0]
    live = asyncio.run(answered(running, ns, [manifest]))[0]
    for path, value, told in EDITS:
        changed = copy.deepcopy(live)
        edited(path, value)(changed)
        found = drift(manifest, changed)
        assert found and all(told in field.path for field in found), (path, found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"from": [{"namespaceSelector": {}}]}, {"from": [{"podSelector": {}}]}),
        ({}, {"ports": [{"port": 80, "protocol": "TCP"}]}),
    ],
)
def test_an_empty_selector_is_not_a_missing_one(before: Obj, after: Obj) -> None:
    policy = thing("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, "ingress": [before]})
    other = copy.deepcopy(policy)
    other["spec"]["ingress"] = [after]
    assert drift(policy, other)


def test_the_schema_of_a_custom_resource_tells_its_defaults() -> None:
    spec = {"type": "object", "properties": {"port": {"type": "string", "default": "web"}, "open": {"type": "boolean"}}}
    schema = {"type": "object", "properties": {"spec": spec}}
    manifest = thing("example.org/v1", "Watcher", spec={"open": False, "ruleSelector": {}})
    live = thing("example.org/v1", "Watcher", spec={"open": False, "ruleSelector": {}, "port": "web"})
    assert same_intent(manifest, live, schema=schema)
    assert [field.path for field in drift(manifest, live)] == ["spec.port"]
    live["spec"]["open"] = True
    del live["spec"]["ruleSelector"]
    assert {field.path for field in drift(manifest, live, schema=schema)} == {"spec.open", "spec.ruleSelector.matches"}


def test_the_canonical_form_is_stable_and_leaves_its_argument_alone() -> None:
    for manifest in MANIFESTS:
        before = copy.deepcopy(manifest)
        once = canonical(manifest)
        assert canonical(once) == once and manifest == before
    assert canonical_template(TEMPLATE)["spec"]["restartPolicy"] == "Always"
