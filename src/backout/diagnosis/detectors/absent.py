# SPDX-License-Identifier: Apache-2.0
"""What should be there and is not: objects of a release, and workloads that a Service sends requests to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from backout.cluster.port import CONFIGMAPS, INGRESSES, PVCS, SECRETS, SERVICES, Object, Resource
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import (
    AUTOSCALERS,
    CRONJOBS,
    NETWORKPOLICIES,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
    WORKLOADS,
    Namespace,
)
from backout.diagnosis.evidence.releases import ReleaseHistory
from backout.kube.names import HELM_RELEASE
from backout.model.evidence import Evidence, Symptom
from backout.model.message import few, msg
from backout.model.target import ObjectRef

_KINDS: dict[str, Resource] = {
    **WORKLOADS,
    "ConfigMap": CONFIGMAPS,
    "Secret": SECRETS,
    "Service": SERVICES,
    "Ingress": INGRESSES,
    "PersistentVolumeClaim": PVCS,
    "ServiceAccount": SERVICEACCOUNTS,
    "Role": ROLES,
    "RoleBinding": ROLEBINDINGS,
    "NetworkPolicy": NETWORKPOLICIES,
    "HorizontalPodAutoscaler": AUTOSCALERS,
    "CronJob": CRONJOBS,
}
"""Jobs are left out: finished ones are cleaned away."""


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Missing objects and missing workloads."""
    found = await asyncio.gather(_of_releases(namespace), _behind_services(namespace))
    return [seen for some in found for seen in some]


async def _of_releases(namespace: Namespace) -> list[Seen]:
    found = []
    names: dict[str, set[str] | None] = {}
    for name, release in (await namespace.releases()).items():
        record = release.in_force
        if release.head.status == "uninstalled" and (lost := await _uninstalled(namespace, release)) is not None:
            found.append(lost)
        if record is not release.head or record.status != "deployed":
            # Helm is at work, or stopped half-way: what is missing follows from that.
            continue
        for (kind, object_name), content in (await release.contents(record) or {}).items():
            resource = _KINDS.get(kind)
            if (
                resource is None
                or resource.api_version.partition("/")[0] != str(content.get("apiVersion")).partition("/")[0]
            ):
                continue
            if kind not in names:
                names[kind] = await namespace.objects_meta(resource)
            known = names[kind]
            if known is None or object_name in known:
                continue
            ref = ObjectRef(resource.api_version, kind, object_name, namespace.name)
            evidence = Evidence(
                source="release",
                ref=ref,
                message=msg(
                    "revision {number} of helm/{name} has it in its manifest", number=record.revision, name=name
                ),
            )
            symptom = Symptom(
                code="MissingObject",
                ref=ref,
                message=msg("{object} of helm/{release} does not exist", object=str(ref), release=name),
                evidence=(evidence,),
            )
            found.append(Seen(symptom=symptom, gone=ref, release=name))
    return found


async def _uninstalled(namespace: Namespace, release: ReleaseHistory) -> Seen | None:
    """A release that was uninstalled with its history kept, though the last good snapshot has workloads of it that are gone."""
    baseline, head = await namespace.baseline(), release.head
    contents = await release.contents(head) or {}
    lost = []
    for kind, name in contents:
        if kind in WORKLOADS and (kind, name) in baseline.entries:
            known = await namespace.objects_meta(WORKLOADS[kind])
            if known is not None and name not in known:
                lost.append(ObjectRef("apps/v1", kind, name, namespace.name))
    if not lost or baseline.good is None:
        return None
    symptom = Symptom(
        code="ReleaseUninstalled",
        ref=lost[0],
        message=msg(
            "{release} is uninstalled, and its history is kept: {objects} do not exist",
            release=str(release.target),
            objects=few([str(ref) for ref in lost]),
        ),
        evidence=tuple(
            Evidence(source="snapshot", ref=ref, message=msg("snapshot {id} holds it", id=baseline.good.short))
            for ref in lost[:3]
        ),
    )
    return Seen(symptom=symptom, uninstalled=release.target)


async def _behind_services(namespace: Namespace) -> list[Seen]:
    """Workloads that the last good snapshot has, that a Service of today selects, and that are gone."""
    templates = [obj for resource in WORKLOADS.values() for obj in (await namespace.objects(resource)).items]
    services = [
        service
        for service in (await namespace.objects(SERVICES)).items
        if (service.get("spec") or {}).get("selector")
        and not any(True for t in templates for _ in _selecting([service], t))
    ]
    readable = all([(await namespace.objects(resource)).readable for resource in WORKLOADS.values()])
    if not services or not readable:
        return []
    baseline = await namespace.baseline()
    if baseline.good is None:
        return []
    live = {(obj["kind"], obj["metadata"]["name"]) for obj in templates}
    lost = [key for key in baseline.entries if key[0] in WORKLOADS and key not in live]
    found = []
    for kind, name in lost:
        ref = ObjectRef("apps/v1", kind, name, namespace.name)
        kept = baseline.kept(ref) or {}
        if _dropped_by_release(kept, await namespace.releases()):
            continue
        for service in _selecting(services, kept):
            symptom = Symptom(
                code="MissingObject",
                ref=ref,
                message=msg(
                    "{object} does not exist, and {service} sends its requests there",
                    object=str(ref),
                    service=f"service/{service['metadata']['name']}",
                ),
                evidence=(
                    Evidence(source="snapshot", ref=ref, message=msg("snapshot {id} holds it", id=baseline.good.short)),
                ),
            )
            found.append(Seen(symptom=symptom, gone=ref))
            break
    return found


def _selecting(services: list[Object], workload: Object) -> Iterator[Object]:
    labels = (((workload.get("spec") or {}).get("template") or {}).get("metadata") or {}).get("labels") or {}
    for service in services:
        selector = (service.get("spec") or {}).get("selector") or {}
        if selector and selector.items() <= labels.items():
            yield service


def _dropped_by_release(kept: Object, releases: dict[str, Any]) -> bool:
    """True for an object of a release: whether that still has it is its own business."""
    name = ((kept.get("metadata") or {}).get("annotations") or {}).get(HELM_RELEASE)
    return bool(name) and name in releases
