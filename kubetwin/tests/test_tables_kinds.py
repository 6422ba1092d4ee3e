# SPDX-License-Identifier: Apache-2.0
"""Cells of the other kinds, and that every printer makes as many cells as it has columns."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kubetwin.apiserver.tables import _PRINTERS

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
CREATED = "2026-05-01T11:59:00Z"
TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}]}}
SELECTOR = {"matchLabels": {"app": "shop"}}


def cells(group: str, resource: str, **fields: Any) -> list[Any]:
    metadata = {"name": "thing", "creationTimestamp": CREATED, **fields.pop("metadata", {})}
    return list(_PRINTERS[group, resource].row({"metadata": metadata, **fields}, NOW))


CASES: list[tuple[str, str, dict[str, Any], list[Any]]] = [
    (
        "apps",
        "deployments",
        {
            "spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE},
            "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
        },
        ["thing", "1/3", 2, 1, "60s", "a,b", "x:1,y:2", "app=shop"],
    ),
    (
        "apps",
        "replicasets",
        {"spec": {"replicas": 0, "selector": SELECTOR, "template": TEMPLATE}, "status": {"replicas": 1}},
        ["thing", 0, 1, 0, "60s", "a,b", "x:1,y:2", "app=shop"],
    ),
    (
        "",
        "replicationcontrollers",
        {"kind": "ReplicationController", "spec": {"replicas": 2, "selector": {"a": "b"}, "template": TEMPLATE}},
        ["thing", 2, 0, 0, "60s", "a,b", "x:1,y:2", "a=b"],
    ),
    (
        "apps",
        "statefulsets",
        {"spec": {"replicas": 3, "template": TEMPLATE}, "status": {"readyReplicas": 2}},
        ["thing", "2/3", "60s", "a,b", "x:1,y:2"],
    ),
    (
        "apps",
        "daemonsets",
        {
            "spec": {"selector": SELECTOR, "template": TEMPLATE},
            "status": {
                "desiredNumberScheduled": 4,
                "currentNumberScheduled": 3,
                "numberReady": 2,
                "updatedNumberScheduled": 1,
            },
        },
        ["thing", 4, 3, 2, 1, 0, "<none>", "60s", "a,b", "x:1,y:2", "app=shop"],
    ),
    (
        "apps",
        "controllerrevisions",
        {
            "metadata": {
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True, "uid": "u"}
                ]
            },
            "revision": 4,
        },
        ["thing", "statefulset.apps/db", 4, "60s"],
    ),
    (
        "batch",
        "jobs",
        {
            "spec": {"completions": 3, "selector": SELECTOR, "template": TEMPLATE},
            "status": {
                "succeeded": 3,
                "startTime": "2026-05-01T11:59:00Z",
                "completionTime": "2026-05-01T11:59:12Z",
                "conditions": [{"type": "Complete", "status": "True"}],
            },
        },
        ["thing", "Complete", "3/3", "12s", "60s", "a,b", "x:1,y:2", "app=shop"],
    ),
    (
        "batch",
        "jobs",
        {"spec": {"parallelism": 2, "template": TEMPLATE}, "status": {"startTime": "2026-05-01T11:59:50Z"}},
        ["thing", "Running", "0/1 of 2", "10s", "60s", "a,b", "x:1,y:2", "<none>"],
    ),
    (
        "batch",
        "cronjobs",
        {
            "spec": {"schedule": "* * * * *", "suspend": False, "jobTemplate": {"spec": {"template": TEMPLATE}}},
            "status": {"active": [{}], "lastScheduleTime": "2026-05-01T11:59:00Z"},
        },
        ["thing", "* * * * *", "<none>", "False", 1, "60s", "60s", "a,b", "x:1,y:2", "<none>"],
    ),
    (
        "autoscaling",
        "horizontalpodautoscalers",
        {
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "minReplicas": 2,
                "maxReplicas": 5,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                    {"type": "Pods", "pods": {"target": {"averageValue": "1000m"}}},
                    {"type": "Object", "object": {"target": {"value": "10k"}}},
                ],
            },
            "status": {"currentReplicas": 2, "currentMetrics": [{"resource": {"current": {"averageUtilization": 7}}}]},
        },
        ["thing", "Deployment/web", "cpu: 7%/80%, <unknown>/1 + 1 more...", "2", 5, 2, "60s"],
    ),
    (
        "policy",
        "poddisruptionbudgets",
        {"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}},
        ["thing", "50%", "N/A", 1, "60s"],
    ),
    (
        "",
        "services",
        {
            "spec": {
                "type": "LoadBalancer",
                "clusterIPs": ["10.96.0.9"],
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
                "selector": {"b": "2", "a": "1"},
            }
        },
        ["thing", "LoadBalancer", "10.96.0.9", "<pending>", "80:30080/TCP,53/UDP", "60s", "a=1,b=2"],
    ),
    (
        "",
        "services",
        {"spec": {"type": "ExternalName", "externalName": "db.example"}},
        ["thing", "ExternalName", "<none>", "db.example", "<none>", "60s", "<none>"],
    ),
    (
        "",
        "services",
        {"spec": {"type": "ClusterIP", "clusterIPs": ["None"], "ports": [{"port": 80, "protocol": "TCP"}]}},
        ["thing", "ClusterIP", "None", "<none>", "80/TCP", "60s", "<none>"],
    ),
    (
        "",
        "endpoints",
        {"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 90}]}]},
        ["thing", "10.0.0.1:80,[fd00::1]:80,10.0.0.1:90 + 1 more...", "60s"],
    ),
    ("", "endpoints", {}, ["thing", "<none>", "60s"]),
    (
        "discovery.k8s.io",
        "endpointslices",
        {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.0.0.1"]}]},
        ["thing", "IPv4", "80", "10.0.0.1", "60s"],
    ),
    (
        "discovery.k8s.io",
        "endpointslices",
        {"addressType": "IPv4", "ports": [], "endpoints": []},
        ["thing", "IPv4", "<unset>", "<unset>", "60s"],
    ),
    (
        "networking.k8s.io",
        "ingresses",
        {
            "spec": {"ingressClassName": "nginx", "rules": [{"host": h} for h in "abcd"], "tls": [{}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "a.example"}]}},
        },
        ["thing", "nginx", "a,b,c + 1 more...", "192.0.2.7,a.example", "80, 443", "60s"],
    ),
    (
        "networking.k8s.io",
        "ingressclasses",
        {
            "metadata": {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "example/c", "parameters": {"apiGroup": "g", "kind": "K", "name": "n"}},
        },
        ["thing (default)", "example/c", "K.g/n", "60s"],
    ),
    ("networking.k8s.io", "networkpolicies", {"spec": {"podSelector": {}}}, ["thing", "<none>", "60s"]),
    (
        "",
        "persistentvolumes",
        {
            "spec": {
                "capacity": {"storage": "1024Mi"},
                "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": {"namespace": "shop", "name": "data"},
                "storageClassName": "fast",
                "volumeMode": "Filesystem",
            },
            "status": {"phase": "Bound"},
        },
        ["thing", "1Gi", "RWO,RWX", "Delete", "Bound", "shop/data", "fast", "<unset>", "", "60s", "Filesystem"],
    ),
    (
        "",
        "persistentvolumeclaims",
        {
            "spec": {"volumeName": "pv-1", "storageClassName": "fast", "volumeMode": "Filesystem"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
        },
        ["thing", "Bound", "pv-1", "1Gi", "RWO", "fast", "<unset>", "60s", "Filesystem"],
    ),
    (
        "",
        "persistentvolumeclaims",
        {
            "metadata": {"deletionTimestamp": CREATED},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Pending"},
        },
        ["thing", "Terminating", "", "", "", "", "<unset>", "60s", "<unset>"],
    ),
    (
        "storage.k8s.io",
        "storageclasses",
        {
            "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "p.example",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        ["thing (default)", "p.example", "Delete", "WaitForFirstConsumer", False, "60s"],
    ),
    (
        "",
        "nodes",
        {
            "metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "infra"}},
            "spec": {"unschedulable": True},
            "status": {
                "conditions": [{"type": "Ready", "status": "Unknown"}],
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.2", "kernelVersion": "6.1", "architecture": "amd64"},
            },
        },
        [
            "thing",
            "NotReady,SchedulingDisabled",
            "control-plane,infra",
            "60s",
            "v1.36.2",
            "192.0.2.1",
            "<none>",
            "<unknown>",
            "6.1 (amd64)",
            "<unknown>",
        ],
    ),
    (
        "",
        "events",
        {
            "type": "Warning",
            "reason": "BackOff",
            "message": " again\n",
            "involvedObject": {"kind": "Pod", "name": "web-0", "fieldPath": "spec.containers{app}"},
            "source": {"component": "kubelet", "host": "node-1"},
            "firstTimestamp": "2026-05-01T11:00:00Z",
            "lastTimestamp": "2026-05-01T11:59:30Z",
            "count": 7,
        },
        [
            "30s",
            "Warning",
            "BackOff",
            "pod/web-0",
            "spec.containers{app}",
            "kubelet, node-1",
            "again",
            "60m",
            7,
            "thing",
        ],
    ),
    (
        "",
        "events",
        {
            "type": "Normal",
            "reason": "R",
            "involvedObject": {"kind": "Pod", "name": "p"},
            "eventTime": "2026-05-01T11:59:00.000000Z",
            "reportingComponent": "c",
            "reportingInstance": "i",
        },
        ["60s", "Normal", "R", "pod/p", "", "c, i", "", "60s", 1, "thing"],
    ),
    ("", "secrets", {"type": "Opaque", "data": {"a": "", "b": ""}}, ["thing", "Opaque", 2, "60s"]),
    ("", "configmaps", {"data": {"a": ""}, "binaryData": {"b": ""}}, ["thing", 2, "60s"]),
    (
        "",
        "resourcequotas",
        {"status": {"hard": {"pods": "10", "limits.cpu": "2000m"}, "used": {"pods": "3"}}},
        ["thing", "pods: 3/10", "limits.cpu: 0/2", "60s"],
    ),
    (
        "rbac.authorization.k8s.io",
        "rolebindings",
        {
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "name": "u"},
                {"kind": "Group", "name": "g"},
                {"kind": "ServiceAccount", "namespace": "n", "name": "s"},
            ],
        },
        ["thing", "Role/r", "60s", "u", "g", "n/s"],
    ),
    (
        "certificates.k8s.io",
        "certificatesigningrequests",
        {
            "spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600},
            "status": {"conditions": [{"type": "Approved"}], "certificate": "x"},
        },
        ["thing", "60s", "s", "u", "60m", "Approved,Issued"],
    ),
    ("coordination.k8s.io", "leases", {"spec": {"holderIdentity": "me"}}, ["thing", "me", "60s"]),
    (
        "apiregistration.k8s.io",
        "apiservices",
        {"spec": {}, "status": {"conditions": [{"type": "Available", "status": "False", "reason": "NoEndpoints"}]}},
        ["thing", "Local", "False (NoEndpoints)", "60s"],
    ),
    (
        "scheduling.k8s.io",
        "priorityclasses",
        {"value": 1000, "preemptionPolicy": "Never"},
        ["thing", 1000, False, "60s", "Never"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations",
        {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}}},
        ["thing", "Limited", 5, "<none>", "<none>", "<none>", "60s"],
    ),
]


@pytest.mark.parametrize(("group", "resource", "fields", "wanted"), CASES, ids=[f"{c[0]}/{c[1]}" for c in CASES])
def test_cells(group: str, resource: str, fields: dict[str, Any], wanted: list[Any]) -> None:
    assert cells(group, resource, **fields) == wanted


MINIMAL = {
    "kind": "X",
    "spec": {"scaleTargetRef": {"kind": "K", "name": "n"}, "jobTemplate": {}},
    "roleRef": {"kind": "K", "name": "n"},
}


@pytest.mark.parametrize(("group", "resource"), sorted(_PRINTERS))
def test_even_an_empty_object_has_a_cell_for_every_column(group: str, resource: str) -> None:
    found = cells(group, resource, **MINIMAL)
    # The real server prints one cell more than it has columns for IP addresses.
    extra = 1 if resource == "ipaddresses" else 0
    assert len(found) == len(_PRINTERS[group, resource].columns) + extra
