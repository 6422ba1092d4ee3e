# SPDX-License-Identifier: Apache-2.0
"""A namespace in memory as the API server would tell of it: workloads, their pods, objects and who wrote them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Collection
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from small_cluster import SmallCluster

from backout.cluster.port import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    INGRESSES,
    NODES,
    PODS,
    PVCS,
    REPLICASETS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    Cluster,
    Object,
    Resource,
)
from backout.diagnosis.diagnose import diagnose
from backout.diagnosis.evidence.namespace import (
    AUTOSCALERS,
    CRONJOBS,
    JOBS,
    LIMITRANGES,
    NETWORKPOLICIES,
    QUOTAS,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
    VOLUMES,
)
from backout.kube.sanitise import sanitise
from backout.model.diagnosis import Diagnosis, Problem
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Entry, Snapshot, SnapshotDraft
from backout.model.target import ObjectRef, Target
from backout.snapshots import source
from backout.snapshots.collect import encode
from backout.snapshots.identity import identity
from backout.snapshots.repository.opening import open_repository

T = TypeVar("T")
NS = "shop"
NOW = datetime.now(UTC).replace(microsecond=0)
KINDS: dict[str, Resource] = {
    "ConfigMap": CONFIGMAPS,
    "Secret": SECRETS,
    "Service": SERVICES,
    "Ingress": INGRESSES,
    "Deployment": DEPLOYMENTS,
    "StatefulSet": STATEFULSETS,
    "DaemonSet": DAEMONSETS,
    "Pod": PODS,
    "EndpointSlice": ENDPOINTSLICES,
    "Event": EVENTS,
    "ReplicaSet": REPLICASETS,
    "ControllerRevision": CONTROLLERREVISIONS,
    "Role": ROLES,
    "RoleBinding": ROLEBINDINGS,
    "HorizontalPodAutoscaler": AUTOSCALERS,
    "CronJob": CRONJOBS,
    "Job": JOBS,
    "Node": NODES,
    "ResourceQuota": QUOTAS,
    "LimitRange": LIMITRANGES,
    "NetworkPolicy": NETWORKPOLICIES,
    "ServiceAccount": SERVICEACCOUNTS,
    "PersistentVolumeClaim": PVCS,
    "PersistentVolume": VOLUMES,
}
_CONTENT = {"ConfigMap": "data", "Secret": "data"}


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Namespace(SmallCluster):
    """Selectors count here, and metadata alone is metadata alone."""

    async def list_as(  # type: ignore[override]
        self,
        type: type[T],
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[T]:
        found = [obj for obj in self._of(resource, namespace) if _labelled(obj, labels) and _fielded(obj, fields)]
        if metadata_only:
            found = [{"metadata": obj["metadata"]} for obj in found]
        return [msgspec.json.decode(json.dumps(obj), type=type) for obj in found]

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        return [o for o in self._of(resource, namespace) if _labelled(o, labels) and _fielded(o, fields)]

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        return msgspec.json.decode(json.dumps(await self.get(resource, name, namespace)), type=type)

    async def fold(
        self, type: Any, resource: Resource, fold: Any, namespace: str = "", *, limit: int = 500, **more: Any
    ) -> list[Any]:
        return [fold(await self.list_as(type, resource, namespace, **more))]

    async def server_time(self) -> Any:
        return NOW


def _labelled(obj: Object, selector: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, unequal, value = term.partition("!=")
        if unequal and labels.get(key) == value:
            return False
        if not unequal and labels.get(term.partition("=")[0]) != term.partition("=")[2]:
            return False
    return True


def _fielded(obj: Object, selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        path, _, value = term.partition("=")
        node: Any = obj
        for step in path.split("."):
            node = (node or {}).get(step)
        if node != value:
            return False
    return True


def writer(manager: str, seconds: float, *paths: str, **more: Any) -> dict[str, Any]:
    """An entry of managedFields: ``data/a`` → f:data, f:a."""
    tree: dict[str, Any] = {}
    for path in paths:
        node = tree
        for step in path.split("/"):
            node = node.setdefault(f"f:{step}", {})
    return {
        "manager": manager,
        "operation": "Update",
        "time": ago(seconds),
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
        **more,
    }


class Scene:
    """Puts objects together, takes snapshots, and diagnoses."""

    def __init__(self, folder: Path, answers: dict[str, Any] | None = None, **more: Any) -> None:
        self.cluster = Namespace(answers=answers, **more)
        self.folder = folder
        self.settings = SnapshotSettings(repository=str(folder / "snapshots"), identity=str(folder / "identity.age"))
        self.objects: dict[tuple[str, str], Object] = {}

    # -- objects

    def put(
        self, kind: str, name: str, *writers: dict[str, Any], born: float = 7200, meta: Any = None, **body: Any
    ) -> Object:
        resource = KINDS[kind]
        metadata = {
            "name": name,
            "namespace": NS,
            "uid": f"{kind}-{name}",
            "creationTimestamp": ago(born),
            "managedFields": list(writers),
            **(meta or {}),
        }
        obj = {"apiVersion": resource.api_version, "kind": kind, "metadata": metadata, **body}
        self.cluster.put(resource, obj)
        self.objects[kind, name] = obj
        return obj

    def drop(self, kind: str, name: str) -> None:
        self.cluster.drop(KINDS[kind], name, NS)
        del self.objects[kind, name]

    def config(
        self, name: str, *writers: dict[str, Any], kind: str = "ConfigMap", data: Any = None, **body: Any
    ) -> None:
        data = data or {"a": "1"}
        if kind == "Secret":
            data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.put(
            kind,
            name,
            *(writers or (writer("kubectl-create", 7200, *(f"data/{key}" for key in data)),)),
            data=data,
            **body,
        )

    def workload(
        self,
        name: str,
        spec: dict[str, Any],
        *,
        kind: str = "Deployment",
        replicas: int = 1,
        ready: int | None = None,
        template: float = 7200,
        restarted: float | None = None,
        logs: str = "",
    ) -> None:
        """A workload with its pods, ``ready`` of them ready and the others in a crash loop."""
        ready = replicas if ready is None else ready
        labels = {"app": name}
        entries = [writer("kubectl-create", template, "spec/template/spec/containers")]
        annotations = {}
        if restarted is not None:
            note = "kubectl.kubernetes.io/restartedAt"
            annotations[note] = ago(restarted)
            entry = writer("kubectl-rollout", restarted)
            entry["fieldsV1"] = {
                "f:spec": {"f:template": {"f:metadata": {"f:annotations": {".": {}, f"f:{note}": {}}}}}
            }
            entries.append(entry)
        status: dict[str, Any] = {
            "replicas": replicas,
            "readyReplicas": ready,
            "updatedReplicas": replicas,
            "availableReplicas": ready,
            "currentRevision": "r1",
            "updateRevision": "r1",
            "numberReady": ready,
            "desiredNumberScheduled": replicas,
            "updatedNumberScheduled": replicas,
        }
        self.put(
            kind,
            name,
            *entries,
            status=status,
            spec={
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
            },
        )
        self._revision(name, kind, spec, template)
        for number in range(replicas):
            self.pod(f"{name}-{number}", (kind, name), spec, labels, well=number < ready, logs=logs)

    def _revision(self, name: str, kind: str, spec: dict[str, Any], created: float) -> None:
        """The only one that the workload ever had."""
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"{kind}-{name}", "controller": True}
        meta = {"ownerReferences": [owner]}
        body = {"metadata": {"labels": {"app": name}}, "spec": spec}
        if kind == "Deployment":
            notes = {"deployment.kubernetes.io/revision": "1"}
            self.put(
                "ReplicaSet",
                f"{name}-5f",
                born=created,
                meta={**meta, "annotations": notes},
                spec={"replicas": 1, "template": body},
                status={},
            )
        else:
            self.put(
                "ControllerRevision",
                "r1" if name == "web" else f"{name}-r1",
                born=created,
                meta=meta,
                revision=1,
                data={"spec": {"template": body}},
            )

    def pod(
        self,
        name: str,
        owner: tuple[str, str],
        spec: dict[str, Any],
        labels: dict[str, str],
        *,
        well: bool = True,
        since: float = 60,
        logs: str = "",
        waiting: dict[str, Any] | None = None,
        runs: float | None = None,
        message: str = "",
    ) -> None:
        """``runs``: it is not ready, and its containers run since so many seconds."""
        last = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": ago(since - 5)}}
        crashing = waiting is None and runs is None
        state = (
            {"running": {"startedAt": ago(runs or 3600)}}
            if well or runs is not None
            else {"waiting": waiting if waiting is not None else {"reason": "CrashLoopBackOff"}}
        )
        statuses = [
            {
                "name": c["name"],
                "ready": well,
                "restartCount": 0 if well or runs is not None else 4,
                "image": c.get("image", ""),
                "state": state,
                **({} if well or not crashing else {"lastState": last}),
            }
            for c in spec["containers"]
        ]
        for container in spec["containers"]:
            if logs:
                self.cluster.logged[name, container["name"]] = logs
        kind, owner_name = owner
        ref = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "name": owner_name,
            "uid": f"{kind}-{owner_name}",
            "controller": True,
        }
        if kind == "Deployment":
            ref |= {"kind": "ReplicaSet", "name": f"{owner_name}-5f"}
            labels = {**labels, "pod-template-hash": "5f"}
        changed = 3600 if well else since
        self.put(
            "Pod",
            name,
            spec=spec,
            meta={"labels": labels, "ownerReferences": [ref]},
            born=changed,
            status={
                "phase": "Running",
                "containerStatuses": statuses,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True" if well else "False",
                        "lastTransitionTime": ago(changed),
                        "message": message,
                    }
                ],
            },
        )

    def event(self, pod: str, reason: str, text: str, *, times: int = 3, last: float = 5, named: str = "") -> None:
        self.put(
            "Event",
            named or f"{pod}.{reason}",
            type="Warning",
            reason=reason,
            message=text,
            count=times,
            firstTimestamp=ago(60),
            lastTimestamp=ago(last),
            involvedObject={"kind": "Pod", "name": pod, "namespace": NS},
        )

    def service(
        self, name: str, *writers: dict[str, Any], pods: int | None = None, port: Any = None, **spec: Any
    ) -> None:
        """A Service; with ``pods`` of them behind it (None: no EndpointSlice at all)."""
        port = port or {"name": "http", "port": 80, "targetPort": 8080}
        spec = {"selector": {"app": name}, "type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": [port], **spec}
        self.put("Service", name, *(writers or (writer("kubectl-create", 7200, "spec/selector"),)), spec=spec)
        if pods is not None:
            target = port.get("targetPort")
            ports = [{"name": port.get("name", ""), "port": target if isinstance(target, int) else 8080}]
            self.put(
                "EndpointSlice",
                f"{name}-x",
                meta={"labels": {"kubernetes.io/service-name": name}},
                ports=ports,
                endpoints=[{"addresses": ["10.1.0.1"], "conditions": {"ready": True}}] * pods,
            )

    def ingress(
        self,
        name: str,
        *writers: dict[str, Any],
        backend: str = "web",
        tls: str = "",
        status: Any = None,
        notes: Any = None,
    ) -> None:
        path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}
        spec: dict[str, Any] = {"rules": [{"host": "a.example", "http": {"paths": [path]}}]}
        if tls:
            spec["tls"] = [{"hosts": ["a.example"], "secretName": tls}]
        self.put(
            "Ingress",
            name,
            *(writers or (writer("kubectl-create", 7200, "spec/rules"),)),
            spec=spec,
            status=status or {},
            meta={"annotations": notes or {}},
        )

    # -- the past

    def snapshot(
        self,
        *,
        healthy: bool | None = True,
        kinds: Collection[str] = ("ConfigMap", "Secret", "Service", "Ingress"),
        **fields: Any,
    ) -> Snapshot:
        """Of everything of these kinds that is there now."""

        async def take() -> Snapshot:
            identity(self.folder, create=True)
            found = await open_repository(self.settings, create=True)
            try:
                async with found.repository.writer() as out:
                    for (kind, name), obj in self.objects.items():
                        if kind in kinds:
                            content = encode(sanitise(obj))
                            ref = ObjectRef(KINDS[kind].api_version, kind, name, NS)
                            await out.add(Entry(ref=ref, address=await out.put(content), size=len(content)))
                    draft = SnapshotDraft(
                        kind="manual",
                        cluster="small",
                        identity=await self.cluster.identity(),
                        namespace=NS,
                        taken_at=NOW - timedelta(minutes=30),
                        healthy=healthy,
                        **fields,
                    )
                    return await out.save(draft)
            finally:
                await found.repository.close()

        return asyncio.run(take())

    # -- the answer

    def diagnosis(self, namespace: str = NS, *targets: Target) -> Diagnosis:
        with ExitStack() as stack:
            stack.enter_context(source.using(self.settings))
            return asyncio.run(diagnose(cast(Cluster, self.cluster), namespace, targets))

    def problems(self, namespace: str = NS) -> dict[str, Problem]:
        found = self.diagnosis(namespace)
        assert found.blind == ()
        return {str(problem.target): problem for problem in found.problems}


def codes(problem: Problem) -> set[str]:
    return {symptom.code for symptom in problem.symptoms}


def reading(
    how: str, name: str, *, kind: str = "ConfigMap", optional: bool = False, **container: Any
) -> dict[str, Any]:
    """A pod spec that reads key ``a`` of an object."""
    ref = {"name": name, "key": "a", "optional": optional}
    base = {"name": "app", "image": "registry.example/app:1", **container}
    if how == "env":
        field = "configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"
        return {"containers": [{**base, "env": [{"name": "A", "valueFrom": {field: ref}}]}]}
    volume = (
        {"configMap": {"name": name, "optional": optional}}
        if kind == "ConfigMap"
        else {"secret": {"secretName": name, "optional": optional}}
    )
    mount = {"name": "v", "mountPath": "/etc/app", **({"subPath": "a"} if how == "subPath" else {})}
    return {"volumes": [{"name": "v", **volume}], "containers": [{**base, "volumeMounts": [mount]}]}
