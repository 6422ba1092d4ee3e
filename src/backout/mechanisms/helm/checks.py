# SPDX-License-Identifier: Apache-2.0
"""What has to be measured after a rollback, and which rights the steps need. Pure."""

from __future__ import annotations

from backout.cluster.port import CONFIGMAPS, CONTROLLERREVISIONS, JOBS, PODS, REPLICASETS, SECRETS, Resource
from backout.helm.manifest import digest
from backout.helm.payload import Release
from backout.helm.workloads import workloads
from backout.mechanisms.helm.aftercare import aftercare
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.obstacles import obstacles
from backout.model.message import msg
from backout.model.plan import Access, Check
from backout.model.target import Target

_READ = ("get", "list", "watch")


def checks(analysis: Analysis, target: Target) -> list[Check]:
    """The release itself, its workloads, the endpoints of its Services, its claims."""
    wanted = digest(analysis.target_release.manifest)
    found = [
        Check(
            code="release-deployed",
            target=target,
            title=msg(
                "{target} is deployed with the content of revision {n}", target=str(target), n=analysis.target.revision
            ),
            params={"digest": wanted},
        )
    ]
    for workload in workloads(analysis.target_release.manifest, analysis.namespace):
        mine = Target(workload.kind.lower(), workload.name, workload.namespace, target.cluster)
        params = {
            "api_version": "apps/v1",
            "kind": workload.kind,
            "name": workload.name,
            "namespace": workload.namespace,
        }
        found.append(
            Check(
                code="workload-ready",
                target=mine,
                params=params,
                title=msg("{workload} is ready at its new revision", workload=str(mine)),
            )
        )
        found.append(
            Check(
                code="no-new-restarts",
                target=mine,
                params=params,
                title=msg("Pods of {workload} do not restart", workload=str(mine)),
            )
        )
    services = sorted(item.ref.name for item in analysis.items if _expects_endpoints(item, analysis))
    if services:
        found.append(
            Check(
                code="endpoints",
                target=target,
                params={"services": services},
                title=msg("Services of {target} have ready endpoints", target=str(target)),
            )
        )
    claims = sorted(item.ref.name for item in analysis.items if _is_bound(item))
    if claims:
        found.append(
            Check(
                code="pvc-bound",
                target=target,
                params={"names": claims},
                title=msg("Volume claims of {target} are Bound", target=str(target)),
            )
        )
    for item in analysis.items:
        if item.ref.kind == "StatefulSet" and ((item.target or {}).get("spec") or {}).get("volumeClaimTemplates"):
            mine = Target("statefulset", item.ref.name, item.ref.namespace, target.cluster)
            found.append(
                Check(code="pvc-bound", target=mine, title=msg("Volume claims of {target} are Bound", target=str(mine)))
            )
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
    rights = _reading(analysis, analysis.target_release, driver)
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
        rights.need(item.resource, item.ref.namespace, *verbs)
    if analysis.hooks:
        rights.hooks(analysis.target_release)
    for step in aftercare(analysis, Target("helm", analysis.head.release, analysis.namespace)):
        if step.action in {"workload.replace-stuck-pods", "workload.delete-outdated-pods"}:
            rights.need(PODS, step.target.namespace, "delete")
    return sorted(rights.found)


def access_back(analysis: Analysis, driver: str) -> list[Access]:
    """Every right that taking the rollback back needs: what it deletes is created, and what it creates deleted."""
    rights = _reading(analysis, analysis.head_release, driver)
    anew = {obstacle.item.ref for obstacle in obstacles(analysis.items) if obstacle.kind == "recreate"}
    for item in analysis.items:
        if item.resource is None:
            continue
        verbs = ["get", "patch"]
        if item.ref in anew:
            verbs += ["delete", "create"]
        elif item.gone and not item.kept:
            verbs.append("create")
        elif item.live is None:
            verbs.append("delete")
        rights.need(item.resource, item.ref.namespace, *verbs)
    if analysis.hooks:
        rights.hooks(analysis.head_release)
    return sorted(rights.found)


class _Rights:
    """Rights in the words of RBAC, each once."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.found: set[Access] = set()

    def need(self, resource: Resource, namespace: str, *verbs: str) -> None:
        for verb in verbs:
            place = namespace if resource.namespaced else ""
            self.found.add(Access(verb, resource.group, resource.plural, place))

    def hooks(self, release: Release) -> None:
        """Hooks are made anew: deleted first, created, and watched until they are done."""
        events = {"pre-rollback", "post-rollback"}
        if any(hook.kind == "Job" and events & set(hook.events or ()) for hook in release.hooks or ()):
            self.need(JOBS, self.namespace, *_READ, "create", "delete")
            self.need(PODS, self.namespace, *_READ)


def _reading(analysis: Analysis, release: Release, driver: str) -> _Rights:
    """The records, which helm also writes, and what shows how the workloads of a revision are."""
    rights = _Rights(analysis.namespace)
    records = CONFIGMAPS if driver == "configmap" else SECRETS
    rights.need(records, analysis.namespace, *_READ, "create", "update")
    for kind, namespace in {(w.kind, w.namespace) for w in workloads(release.manifest, analysis.namespace)}:
        rights.need(Resource("apps/v1", kind, kind.lower() + "s"), namespace, *_READ)
        rights.need(PODS, namespace, *_READ)
        rights.need(REPLICASETS if kind == "Deployment" else CONTROLLERREVISIONS, namespace, "get", "list")
    return rights
