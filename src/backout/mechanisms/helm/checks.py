# SPDX-License-Identifier: Apache-2.0
"""What has to be measured after a rollback, and which rights the steps need."""

from __future__ import annotations

from collections.abc import Sequence

from backout.cluster.port import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    PODS,
    PVCS,
    REPLICASETS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    ClusterReader,
    Resource,
)
from backout.errors import AccessDenied
from backout.helm.manifest import Entry, digest, entries
from backout.helm.payload import Release
from backout.helm.records import Record
from backout.helm.workloads import Workload, workloads
from backout.kube.needs import needs_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.services import Maker, wants_addresses
from backout.mechanisms.common import operated
from backout.mechanisms.common.params import named
from backout.mechanisms.helm import along, operators
from backout.mechanisms.helm.aftercare import aftercare
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.obstacles import obstacles
from backout.mechanisms.helm.sparing import keep_checks
from backout.mechanisms.helm.strays import leftovers, part_digest
from backout.mechanisms.port import wire
from backout.model.message import msg
from backout.model.part import Access, Check
from backout.model.target import Target

_READ = ("get", "list", "watch")


def checks(analysis: Analysis, target: Target) -> list[Check]:
    """What is measured when the release is at the target revision. Claims that are Bound now must stay so."""
    claims = frozenset(item.ref.name for item in analysis.items if _is_bound(item))
    made = operators.makers(analysis.customs.values())
    found = of_release(analysis.target_release, analysis.target, claims, target, made)
    return [
        *found,
        *_left_over(analysis, target),
        *keep_checks(analysis, target),
        *operated.checks(operators.subjects(analysis), target),
    ]


def _left_over(analysis: Analysis, target: Target) -> list[Check]:
    """Of Secrets nothing is digested."""
    objects = [
        {**wire(named(item.ref)), "parts": {field.path: part_digest(item.base or {}, field.path) for field in fields}}
        for item in analysis.items
        if item.ref.kind != "Secret" and (fields := leftovers(item))
    ]
    if not objects:
        return []
    names = ", ".join(f"{one['kind'].lower()}/{one['name']}" for one in objects)
    title = msg("Nothing of revision {n} is left in {objects}", n=analysis.head.revision, objects=names)
    return [Check(code="left-over", target=target, params={"objects": objects}, title=title)]


def of_release(
    release: Release, record: Record, bound: frozenset[str], target: Target, operated: Sequence[Maker] = ()
) -> list[Check]:
    """The release itself, its workloads, the endpoints of its Services, its claims.

    ``bound``: claims that are Bound; others may wait for a first consumer for good reason. ``operated``: what its operators
    make.
    """
    namespace = record.namespace
    found = [
        Check(
            code="release-deployed",
            target=target,
            title=msg("{target} is deployed with the content of revision {n}", target=str(target), n=record.revision),
            params={"digest": digest(release.manifest)},
        )
    ]
    made = workloads(release.manifest, namespace)
    makers = [*operated, *(_maker(workload) for workload in made)]
    for workload in made:
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
        if needs_of(workload.template.get("spec") or {}):
            found.append(
                Check(
                    code="read-objects",
                    target=mine,
                    params=params,
                    title=msg("What pods of {ref} read is there", ref=str(mine)),
                )
            )
    listed = entries(release.manifest, {"Service", "PersistentVolumeClaim", "StatefulSet"})
    services = sorted(entry.name for entry in listed if _expects_endpoints(entry, namespace, makers))
    if services:
        found.append(
            Check(
                code="endpoints",
                target=target,
                params={"services": services},
                title=msg("Services of {target} have ready endpoints", target=str(target)),
            )
        )
    claims = sorted(entry.name for entry in listed if entry.kind == "PersistentVolumeClaim" and entry.name in bound)
    if claims:
        found.append(
            Check(
                code="pvc-bound",
                target=target,
                params={"names": claims},
                title=msg("Volume claims of {target} are Bound", target=str(target)),
            )
        )
    for entry in listed:
        if entry.kind == "StatefulSet" and (entry.object.get("spec") or {}).get("volumeClaimTemplates"):
            mine = Target("statefulset", entry.name, entry.namespace(namespace), target.cluster)
            found.append(
                Check(code="pvc-bound", target=mine, title=msg("Volume claims of {target} are Bound", target=str(mine)))
            )
    return found


def _expects_endpoints(entry: Entry, namespace: str, makers: Sequence[Maker]) -> bool:
    """True for Services whose pods this release runs, be it through an operator."""
    spec = entry.object.get("spec") or {}
    selector = spec.get("selector")
    if entry.kind != "Service" or not selector or spec.get("type") == "ExternalName":
        return False
    if entry.namespace(namespace) != namespace:
        return False
    return wants_addresses(selector, makers)


def _maker(workload: Workload) -> Maker:
    labels = (workload.template.get("metadata") or {}).get("labels") or {}
    return Maker(labels, 1 if workload.replicas is None else workload.replicas)


def _is_bound(item: Item) -> bool:
    phase = ((item.live or {}).get("status") or {}).get("phase")
    return item.ref.kind == "PersistentVolumeClaim" and item.target is not None and phase == "Bound"


async def bound_claims(reader: ClusterReader, release: Release, namespace: str) -> frozenset[str]:
    """The claims of a release's manifest that are Bound now; none of those that may not be read."""
    names = {entry.name for entry in entries(release.manifest, {"PersistentVolumeClaim"})}
    if not names:
        return frozenset()
    try:
        claims = await reader.list_all(PVCS, namespace)
    except AccessDenied:
        return frozenset()
    bound = {claim["metadata"]["name"] for claim in claims if (claim.get("status") or {}).get("phase") == "Bound"}
    return frozenset(names & bound)


def access(analysis: Analysis, driver: str) -> list[Access]:
    """Every right that helm and the steps after it need, once each."""
    rights = _reading(analysis, analysis.target_release, driver)
    anew = {obstacle.item.ref for obstacle in obstacles(analysis.items) if obstacle.kind == "recreate"}
    for item in analysis.items:
        if item.resource is None:
            continue
        verbs = ["get"]
        if item.ref in anew:
            verbs += ["delete", "create", "list", "watch"]
        if item.gone:
            verbs += ["patch"] if item.spared else [] if item.kept else ["delete"]
        elif item.live is None:
            verbs.append("create")
            verbs += ["patch"] if analysis.server_side else []
        else:
            verbs.append("patch")
        rights.need(item.resource, item.ref.namespace, *verbs)
    for api_version, kind, plural in _kinds_along(analysis):
        rights.need(Resource(api_version, kind, plural), "", "get", "list")
    if analysis.hooks:
        rights.hooks(analysis.target_release)
    rights.of_holders(analysis)
    for step in aftercare(analysis, Target("helm", analysis.head.release, analysis.namespace)):
        if step.action in {"workload.replace-stuck-pods", "workload.delete-outdated-pods"}:
            rights.need(PODS, step.target.namespace, "delete")
    for resource, namespace, needed in operated.reads(operators.subjects(analysis)):
        rights.need(resource, namespace, *needed)
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
    for api_version, kind, plural in _kinds_along(analysis):
        rights.need(Resource(api_version, kind, plural), "", "get", "create")
    rights.of_holders(analysis)
    if analysis.hooks:
        rights.hooks(analysis.head_release)
    return sorted(rights.found)


def _kinds_along(analysis: Analysis) -> set[tuple[str, str, str]]:
    """The kinds whose custom resources go along with their definition."""
    found = set()
    for item in along.going(analysis):
        plural = (((item.live or {}).get("spec") or {}).get("names") or {}).get("plural")
        found |= {(ref.api_version, ref.kind, str(plural)) for ref in item.holds or ()}
    return found


class _Rights:
    """Rights in the words of RBAC, each once."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.found: set[Access] = set()

    def need(self, resource: Resource, namespace: str, *verbs: str) -> None:
        for verb in verbs:
            place = namespace if resource.namespaced else ""
            self.found.add(Access(verb, resource.group, resource.plural, place))

    def of_holders(self, analysis: Analysis) -> None:
        """Pods that end while an immutable object is made anew."""
        for holder in (one for item in analysis.items for one in item.holders):
            self.need(WORKLOAD_RESOURCES[holder.kind], holder.namespace, "get", "list", "watch", "patch")
            self.need(PODS, holder.namespace, "list", "watch", *(() if holder.replicas is not None else ("delete",)))

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


_HELD: tuple[Resource, ...] = (
    CONFIGMAPS,
    SECRETS,
    SERVICES,
    PVCS,
    DEPLOYMENTS,
    STATEFULSETS,
    DAEMONSETS,
    INGRESSES,
    JOBS,
    Resource("v1", "ServiceAccount", "serviceaccounts"),
    Resource("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
)
"""What charts ordinarily hold; a plan for a release names what its own manifests hold."""


def usual_access(namespace: str) -> list[Access]:
    """The rights to roll back a release of ordinary things."""
    rights = _Rights(namespace)
    rights.need(SECRETS, namespace, *_READ, "create", "update")
    for resource in _HELD:
        rights.need(resource, namespace, "get", "create", "patch", "delete")
    for resource in (DEPLOYMENTS, STATEFULSETS, DAEMONSETS, PODS):
        rights.need(resource, namespace, *_READ)
    for resource in (REPLICASETS, CONTROLLERREVISIONS):
        rights.need(resource, namespace, "get", "list", "watch")
    rights.need(PODS, namespace, "delete")
    return sorted(rights.found)
