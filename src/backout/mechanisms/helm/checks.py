# SPDX-License-Identifier: Apache-2.0
"""What has to be measured after a rollback, and which rights the steps need. Pure."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import CONFIGMAPS, SECRETS, Resource
from backout.mechanisms.helm.aftercare import aftercare
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.manifest import digest
from backout.mechanisms.helm.obstacles import obstacles
from backout.mechanisms.helm.workloads import workloads
from backout.model.message import msg
from backout.model.plan import Access, Check
from backout.model.target import Target

_READ = ("get", "list", "watch")


def checks(analysis: Analysis, target: Target) -> list[Check]:
    """The release itself, its workloads, the endpoints of its Services, its claims."""
    wanted = digest(analysis.target_release.manifest)
    found = [
        Check(
            code="release-deployed", target=target,
            title=msg("{target} is deployed with the content of revision {n}", target=str(target),
                      n=analysis.target.revision),
            params={"digest": wanted},
        )
    ]  # fmt: skip
    for workload in workloads(analysis.target_release.manifest, analysis.namespace):
        mine = Target(workload.kind.lower(), workload.name, workload.namespace, target.cluster)
        params = {
            "api_version": "apps/v1",
            "kind": workload.kind,
            "name": workload.name,
            "namespace": workload.namespace,
        }
        found.append(Check(code="workload-ready", target=mine, params=params,
                           title=msg("{workload} is ready at its new revision", workload=str(mine))))  # fmt: skip
        found.append(Check(code="no-new-restarts", target=mine, params=params,
                           title=msg("Pods of {workload} do not restart", workload=str(mine))))  # fmt: skip
    services = sorted(item.ref.name for item in analysis.items if _expects_endpoints(item, analysis))
    if services:
        found.append(Check(code="endpoints", target=target, params={"services": services},
                           title=msg("Services of {target} have ready endpoints", target=str(target))))  # fmt: skip
    claims = sorted(item.ref.name for item in analysis.items if _is_bound(item))
    if claims:
        found.append(Check(code="pvc-bound", target=target, params={"names": claims},
                           title=msg("Volume claims of {target} are Bound", target=str(target))))  # fmt: skip
    for item in analysis.items:
        if item.ref.kind == "StatefulSet" and ((item.target or {}).get("spec") or {}).get("volumeClaimTemplates"):
            mine = Target("statefulset", item.ref.name, item.ref.namespace, target.cluster)
            found.append(Check(code="pvc-bound", target=mine,
                               title=msg("Volume claims of {target} are Bound", target=str(mine))))  # fmt: skip
    return found


def _expects_endpoints(item: Item, analysis: Analysis) -> bool:
    """True for Services whose pods this release runs; one in front of a workload of size 0 has none by design."""
    spec = (item.target or {}).get("spec") or {}
    selector = spec.get("selector")
    if item.ref.kind != "Service" or not selector or spec.get("type") == "ExternalName":
        return False
    if item.ref.namespace != analysis.namespace:
        return False
    for workload in workloads(analysis.target_release.manifest, analysis.namespace):
        labels = (workload.template.get("metadata") or {}).get("labels") or {}
        if all(labels.get(key) == value for key, value in selector.items()) and workload.replicas != 0:
            return True
    return False


def _is_bound(item: Item) -> bool:
    """Claims that are Bound now must stay so; others may wait for a first consumer for good reason."""
    phase = ((item.live or {}).get("status") or {}).get("phase")
    return item.ref.kind == "PersistentVolumeClaim" and item.target is not None and phase == "Bound"


def access(analysis: Analysis, driver: str) -> list[Access]:
    """Every right that helm and the steps after it need, once each."""
    found: set[Access] = set()

    def need(resource: Resource, namespace: str, *verbs: str, sub: str = "") -> None:
        for verb in verbs:
            plural = resource.plural + sub
            found.add(Access(verb, resource.group, plural, namespace if resource.namespaced else ""))

    records = CONFIGMAPS if driver == "configmap" else SECRETS
    need(records, analysis.namespace, *_READ, "create", "update")
    anew = {obstacle.item.ref for obstacle in obstacles(analysis.items) if obstacle.kind == "recreate"}
    for item in analysis.items:
        if item.resource is None:
            continue
        verbs = ["get"]
        if item.ref in anew:
            verbs += ["delete", "create"]
        if item.gone:
            verbs += [] if item.kept else ["delete"]
        elif item.live is None:
            verbs.append("create")
            verbs += ["patch"] if analysis.server_side else []
        else:
            verbs.append("patch")
        need(item.resource, item.ref.namespace, *verbs)
    _hooks(analysis, need)
    kinds = {
        (workload.kind, workload.namespace)
        for workload in workloads(analysis.target_release.manifest, analysis.namespace)
    }
    for kind, namespace in kinds:
        plural = kind.lower() + "s"
        need(Resource("apps/v1", kind, plural), namespace, *_READ)
        need(Resource("v1", "Pod", "pods"), namespace, *_READ)
        if kind == "Deployment":
            need(Resource("apps/v1", "ReplicaSet", "replicasets"), namespace, "get", "list")
        else:
            need(Resource("apps/v1", "ControllerRevision", "controllerrevisions"), namespace, "get", "list")
    for step in aftercare(analysis, Target("helm", analysis.head.release, analysis.namespace)):
        if step.action in {"workload.replace-stuck-pods", "workload.delete-outdated-pods"}:
            need(Resource("v1", "Pod", "pods"), step.target.namespace, "delete")
    return sorted(found)


def _hooks(analysis: Analysis, need: Any) -> None:
    """Hooks are made anew: deleted first, created, and watched until they are done."""
    events = {"pre-rollback", "post-rollback"}
    if any(hook.kind == "Job" and events & set(hook.events or ()) for hook in analysis.target_release.hooks or ()):
        need(Resource("batch/v1", "Job", "jobs"), analysis.namespace, *_READ, "create", "delete")
        need(Resource("v1", "Pod", "pods"), analysis.namespace, *_READ)
