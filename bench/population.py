# SPDX-License-Identifier: Apache-2.0
"""The objects of a large cluster, as controllers and kubelets write them. Pure: names and sizes follow from a number.

A namespace holds 40 Deployments of 10 pods and 5 StatefulSets of 20 (500 pods), with the ReplicaSets and
ControllerRevisions of their earlier templates. In each, three Deployments and one StatefulSet had a bad change: 10 of
its 500 pods (2 %) are broken, in turn in each of the usual ways. Every second namespace has a Helm release that owns
ten of the Deployments, one of the broken among them.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]

DEPLOYMENTS, DEPLOYMENT_PODS = 40, 10
SETS, SET_PODS = 5, 20
PER_NAMESPACE = DEPLOYMENTS * DEPLOYMENT_PODS + SETS * SET_PODS
BROKEN_DEPLOYMENTS, BROKEN_PODS_EACH = 3, 3
BROKEN_PER_NAMESPACE = BROKEN_DEPLOYMENTS * BROKEN_PODS_EACH + 1
RELEASE, RELEASE_DEPLOYMENTS, RELEASE_REVISIONS = "shop", 10, 5
PODS_PER_NODE = 100
REGISTRY = "registry.example.com/shop"
FAULTS = ("crash", "missing", "unready", "oom", "config", "unschedulable")
REASON = {
    "crash": "CrashLoopBackOff",
    "oom": "CrashLoopBackOff",
    "missing": "ImagePullBackOff",
    "config": "CreateContainerConfigError",
}


def namespaces(pods: int) -> list[str]:
    """The namespaces that hold so many pods (rounded up to whole namespaces)."""
    return [f"team-{number:03d}" for number in range(-(-pods // PER_NAMESPACE))]


def nodes(pods: int) -> list[str]:
    """The nodes that so many pods run on."""
    return [f"worker-{number:04d}" for number in range(-(-pods // PODS_PER_NODE))]


@dataclass(frozen=True, slots=True)
class App:
    """One workload: which, where, and what is wrong with its newest template (nothing: ``fault`` is empty)."""

    kind: str
    name: str
    namespace: str
    number: int
    fault: str = ""
    released: bool = False

    @property
    def replicas(self) -> int:
        return DEPLOYMENT_PODS if self.kind == "Deployment" else SET_PODS

    @property
    def broken(self) -> int:
        """How many of its pods are broken: a rolling update stops at the first ones."""
        return 0 if not self.fault else BROKEN_PODS_EACH if self.kind == "Deployment" else 1

    @property
    def revisions(self) -> list[str]:
        """The image tags of its templates, oldest first; the last is the bad one where something is wrong."""
        return ["1.8.2", "1.9.0", "1.9.1"]

    def template_hash(self, revision: int) -> str:
        return f"{(self.number * 31 + revision * 7919 + 0x5BD1E995) % 0xFFFFFFFF:08x}c"

    def annotations(self) -> dict[str, str]:
        """Helm's marks where a release owns it."""
        if not self.released:
            return {}
        return {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": self.namespace}

    def labels(self) -> dict[str, str]:
        found = {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/component": "backend",
            "app.kubernetes.io/part-of": "shop",
        }
        return {**found, "app.kubernetes.io/managed-by": "Helm"} if self.released else found


def apps(pods: int) -> Iterator[App]:
    """Every workload of a cluster of so many pods."""
    number = 0
    fault = 0
    for index, namespace in enumerate(namespaces(pods)):
        for place in range(DEPLOYMENTS):
            # The last of the release's ten is broken, and two that nobody owns.
            bad = place in (RELEASE_DEPLOYMENTS - 1, 20, 30)
            kind = FAULTS[fault % len(FAULTS)] if bad else ""
            fault += bad
            released = index % 2 == 0 and place < RELEASE_DEPLOYMENTS
            yield App("Deployment", f"{word(place)}-api-{place:02d}", namespace, number, kind, released)
            number += 1
        for place in range(SETS):
            kind = FAULTS[fault % len(FAULTS)] if place == 0 else ""
            fault += place == 0
            yield App("StatefulSet", f"{word(place)}-store-{place:02d}", namespace, number, kind)
            number += 1


def word(number: int) -> str:
    """What a shop is made of."""
    return ("checkout", "catalogue", "payments", "inventory", "search", "session", "billing", "shipping")[number % 8]


def pod_spec(app: App, tag: str, node: str = "") -> Obj:
    """Two containers with the usual fields, as a template has them; ``node`` as the scheduler sets it."""
    main: Obj = {
        "name": "main",
        "image": f"{REGISTRY}/{app.name}:{tag}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["--config=/etc/app/config.yaml", "--log.level=info", "--http-address=0.0.0.0:8080"],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}},
            {"name": "DATABASE_HOST", "value": f"postgres.{app.namespace}.svc.cluster.local"},
            {"name": "CACHE_HOST", "value": f"redis.{app.namespace}.svc.cluster.local"},
            {"name": "OTEL_SERVICE_NAME", "value": app.name},
            {"name": "GOMEMLIMIT", "value": "450MiB"},
        ],
        "ports": [
            {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "livenessProbe": _probe("/-/healthy"),
        "readinessProbe": _probe("/-/ready"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    sidecar: Obj = {
        "name": "log-shipper",
        "image": "registry.example.com/platform/log-shipper:3.2.7",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "tmp", "mountPath": "/var/log/app"}],
    }
    spec: Obj = {
        "containers": [main, sidecar],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{app.name}-config", "defaultMode": 420}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "securityContext": {"fsGroup": 65534, "runAsUser": 65534},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": app.name}},
                        },
                    }
                ]
            }
        },
    }
    return {**spec, "nodeName": node} if node else spec


def _probe(path: str) -> Obj:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "initialDelaySeconds": 5,
        "periodSeconds": 10,
        "timeoutSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def workload(app: App, tag: str) -> Obj:
    """The Deployment or StatefulSet with the template of ``tag``."""
    labels = app.labels()
    spec: Obj = {
        "replicas": app.replicas,
        "selector": {"matchLabels": {"app.kubernetes.io/name": app.name}},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec(app, tag)},
    }
    annotations = app.annotations()
    if app.kind == "Deployment":
        annotations["deployment.kubernetes.io/revision"] = "3"
    else:
        spec["serviceName"] = app.name
    metadata = {"name": app.name, "namespace": app.namespace, "labels": labels, "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": app.kind, "metadata": metadata, "spec": spec}


def workload_status(app: App, generation: int, now: str) -> Obj:
    """What its controller says."""
    replicas, broken = app.replicas, app.broken
    ready = replicas - broken
    status: Obj = {
        "observedGeneration": generation,
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": broken or replicas,
    }
    if app.kind == "StatefulSet":
        new, old = set_revision(app, 2), set_revision(app, 1)
        return {
            **status,
            "currentRevision": old if broken else new,
            "updateRevision": new,
            "currentReplicas": ready,
            "collisionCount": 0,
        }
    stamp = {"lastUpdateTime": now, "lastTransitionTime": now}
    reason = "ReplicaSetUpdated" if broken else "NewReplicaSetAvailable"
    progressing = {
        "type": "Progressing",
        "status": "True",
        "reason": reason,
        "message": f'ReplicaSet "{replica_set_name(app, 2)}" is progressing.',
    }
    available = {
        "type": "Available",
        "status": "True",
        "reason": "MinimumReplicasAvailable",
        "message": "Deployment has minimum availability.",
    }
    return {
        **status,
        **({"unavailableReplicas": broken} if broken else {}),
        "conditions": [{**available, **stamp}, {**progressing, **stamp}],
    }


def replica_set_name(app: App, revision: int) -> str:
    return f"{app.name}-{app.template_hash(revision)}"


def set_revision(app: App, revision: int) -> str:
    return f"{app.name}-{app.template_hash(revision)}"


def replicas_of(app: App, revision: int) -> int:
    """How many pods of a Deployment run the template of that revision (0, 1, 2)."""
    if revision == 2:
        return app.broken or app.replicas
    return app.replicas - app.broken if revision == 1 and app.broken else 0


def replica_set(app: App, revision: int, owner: Obj) -> Obj:
    """The ReplicaSet of one revision of a Deployment."""
    labels = {**app.labels(), "pod-template-hash": app.template_hash(revision)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": replica_set_name(app, revision),
            "namespace": app.namespace,
            "labels": labels,
            "annotations": {
                "deployment.kubernetes.io/revision": str(revision + 1),
                "deployment.kubernetes.io/desired-replicas": str(app.replicas),
                "deployment.kubernetes.io/max-replicas": "13",
            },
            "ownerReferences": [controller(owner)],
        },
        "spec": {
            "replicas": replicas_of(app, revision),
            "selector": {
                "matchLabels": {"app.kubernetes.io/name": app.name, "pod-template-hash": app.template_hash(revision)}
            },
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(app, app.revisions[revision])},
        },
    }


def controller_revision(app: App, revision: int, owner: Obj) -> Obj:
    """The ControllerRevision of one revision of a StatefulSet."""
    template = {"metadata": {"labels": app.labels()}, "spec": {**pod_spec(app, app.revisions[revision])}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "revision": revision,
        "metadata": {
            "name": set_revision(app, revision),
            "namespace": app.namespace,
            "labels": app.labels(),
            "ownerReferences": [controller(owner)],
        },
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
    }


def controller(owner: Obj) -> Obj:
    """The reference of a controlling owner."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


@dataclass(frozen=True, slots=True)
class PodPlan:
    """One pod of an app: its place, template and fault."""

    app: App
    place: int
    revision: int
    node: str

    @property
    def fault(self) -> str:
        """What is wrong with it; empty for a pod of a template that works."""
        broken = self.place >= self.app.replicas - self.app.broken
        return self.app.fault if broken else ""

    @property
    def name(self) -> str:
        if self.app.kind == "StatefulSet":
            return f"{self.app.name}-{self.place}"
        suffix = "bcdfghjklmnpqrstvwxz2456789"
        seed = self.app.number * 53 + self.place * 7 + 11
        letters = "".join(suffix[(seed * (n + 3) + n * self.place) % len(suffix)] for n in range(4))
        return f"{replica_set_name(self.app, self.revision)}-{letters}{suffix[self.place]}"


def pods_of(app: App) -> list[PodPlan]:
    """The pods of one workload; the broken ones run the newest template, the others that before."""
    found = []
    for place in range(app.replicas):
        broken = place >= app.replicas - app.broken
        node = "" if broken and app.fault == "unschedulable" else f"worker-{app.number * 11 // PODS_PER_NODE:04d}"
        found.append(PodPlan(app, place, 2 if broken or not app.fault else 1, node))
    return found


def pod(plan: PodPlan, owner: Obj) -> Obj:
    """The pod as its controller creates it and the scheduler binds it."""
    app = plan.app
    labels = dict(app.labels())
    if app.kind == "Deployment":
        labels["pod-template-hash"] = app.template_hash(plan.revision)
    else:
        labels |= {
            "controller-revision-hash": set_revision(app, plan.revision),
            "statefulset.kubernetes.io/pod-name": plan.name,
            "apps.kubernetes.io/pod-index": str(plan.place),
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": plan.name,
            "namespace": app.namespace,
            "labels": labels,
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9090",
                "checksum/config": f"{app.number:064x}",
            },
            "ownerReferences": [controller(owner)],
        },
        "spec": pod_spec(app, app.revisions[plan.revision], plan.node),
    }


def pod_status(plan: PodPlan, now: str) -> Obj:
    """The status as a kubelet writes it, or the scheduler for a pod that fits nowhere."""
    fault = plan.fault
    if fault == "unschedulable":
        return {
            "phase": "Pending",
            "qosClass": "Burstable",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "lastTransitionTime": now,
                    "message": "0/100 nodes are available: 100 Insufficient cpu. preemption: 0/100 nodes are available: "
                    "100 No preemption victims found for incoming pod.",
                }
            ],
        }
    ready = not fault
    conditions = [_condition(kind, "True", now) for kind in ("PodReadyToStartContainers", "Initialized")]
    not_ready = {"reason": "ContainersNotReady", "message": "containers with unready status: [main]"}
    more = {} if ready else not_ready
    conditions += [_condition(kind, str(ready), now, **more) for kind in ("Ready", "ContainersReady")]
    conditions.append(_condition("PodScheduled", "True", now))
    number = plan.app.number * 20 + plan.place
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {
        "phase": "Running" if fault not in ("missing", "config") else "Pending",
        "qosClass": "Burstable",
        "hostIP": "192.168.12.7",
        "hostIPs": [{"ip": "192.168.12.7"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": conditions,
        "containerStatuses": [
            _main_status(plan, now),
            _running("log-shipper", "platform/log-shipper:3.2.7", number, now),
        ],
    }


def _condition(kind: str, status: str, now: str, **more: str) -> Obj:
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": now, **more}


def _running(name: str, image: str, number: int, now: str) -> Obj:
    return {
        "name": name,
        "image": f"registry.example.com/{image}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "imageID": f"registry.example.com/{image.partition(':')[0]}@sha256:{number * 2654435761:064x}",
        "containerID": f"containerd://{number * 40503 + len(name):064x}",
        "state": {"running": {"startedAt": now}},
        "lastState": {},
    }


def _main_status(plan: PodPlan, now: str) -> Obj:
    app, fault = plan.app, plan.fault
    image = f"shop/{app.name}:{app.revisions[plan.revision]}"
    status = _running("main", image, app.number * 100 + plan.place, now)
    if not fault:
        return status
    status["ready"] = False
    if fault == "unready":
        return status
    status["started"] = False
    words = {
        "crash": "back-off 5m0s restarting failed container=main",
        "oom": "back-off 5m0s restarting failed container=main",
        "missing": f'Back-off pulling image "registry.example.com/{image}"',
        "config": f'configmap "{app.name}-config" not found',
    }
    status["state"] = {"waiting": {"reason": REASON[fault], "message": words[fault]}}
    if fault in ("missing", "config"):
        return {**status, "imageID": "", "containerID": ""}
    status["restartCount"] = 7
    ended = {"exitCode": 2, "reason": "Error"} if fault == "crash" else {"exitCode": 137, "reason": "OOMKilled"}
    status["lastState"] = {
        "terminated": {**ended, "startedAt": now, "finishedAt": now, "containerID": status["containerID"]}
    }
    return status


def events_of(plan: PodPlan, uid: str, now: str) -> Iterator[Obj]:
    """The warnings about a broken pod, and how a healthy one in ten started lately."""
    said = {
        "crash": [("BackOff", "Back-off restarting failed container main in pod", 34)],
        "oom": [("BackOff", "Back-off restarting failed container main in pod", 34)],
        "missing": [("Failed", "Error: ImagePullBackOff", 41), ("Failed", "Failed to pull image: not found", 6)],
        "config": [("Failed", f'Error: configmap "{plan.app.name}-config" not found', 52)],
        "unready": [("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 61)],
        "unschedulable": [("FailedScheduling", "0/100 nodes are available: 100 Insufficient cpu.", 9)],
    }.get(plan.fault, [])
    kinds = [("Warning", *entry) for entry in said]
    if not plan.fault and plan.place == 0:
        kinds = [
            ("Normal", reason, text, 1)
            for reason, text in (
                ("Scheduled", "Successfully assigned to a node"),
                ("Pulled", "Container image already present on machine"),
                ("Started", "Started container main"),
            )
        ]
    for number, (kind, reason, text, count) in enumerate(kinds):
        yield {
            "apiVersion": "v1",
            "kind": "Event",
            "type": kind,
            "reason": reason,
            "message": text,
            "count": count,
            "metadata": {
                "name": f"{plan.name}.{plan.app.number * 1000 + plan.place * 10 + number:016x}",
                "namespace": plan.app.namespace,
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": plan.name,
                "namespace": plan.app.namespace,
                "uid": uid,
                "fieldPath": "spec.containers{main}",
            },
            "source": {"component": "kubelet", "host": plan.node or "worker-0000"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "reportingComponent": "kubelet",
            "reportingInstance": "",
        }


def release_records(namespace: str, owned: list[App], seconds: int) -> Iterator[Obj]:
    """The Secrets of a Helm release of these Deployments; its last revision brought the bad template."""
    for revision in range(1, RELEASE_REVISIONS + 1):
        tags = ["1.8.2", "1.8.2", "1.8.2", "1.9.0", "1.9.1"]
        manifest = "".join(
            "---\n# Source: shop/templates/deployment.yaml\n" + json.dumps(workload(app, tags[revision - 1])) + "\n"
            for app in owned
        )
        status = "deployed" if revision == RELEASE_REVISIONS else "superseded"
        payload = {
            "name": RELEASE,
            "namespace": namespace,
            "version": revision,
            "manifest": manifest,
            "config": {},
            "info": {
                "first_deployed": "2026-01-01T10:00:00Z",
                "last_deployed": "2026-01-01T10:00:00Z",
                "deleted": "",
                "description": "Upgrade complete",
                "status": status,
                "notes": "Thank you.",
            },
            "chart": {
                "metadata": {"name": "shop", "version": f"4.{revision}.0", "appVersion": "1.9", "apiVersion": "v2"},
                "values": {},
                "templates": [
                    {"name": "templates/deployment.yaml", "data": base64.b64encode(manifest[:20_000].encode()).decode()}
                ],
            },
        }
        body = base64.b64encode(gzip.compress(json.dumps(payload).encode(), mtime=0))
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "helm.sh/release.v1",
            "metadata": {
                "name": f"sh.helm.release.v1.{RELEASE}.v{revision}",
                "namespace": namespace,
                "labels": {
                    "owner": "helm",
                    "name": RELEASE,
                    "status": status,
                    "version": str(revision),
                    "modifiedAt": str(seconds),
                },
            },
            "data": {"release": base64.b64encode(body).decode()},
        }
