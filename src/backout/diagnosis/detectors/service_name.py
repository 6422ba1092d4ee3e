# SPDX-License-Identifier: Apache-2.0
"""StatefulSets whose governing Service does not exist: their pods have no names in the DNS."""

from __future__ import annotations

from backout.cluster.port import SERVICES, STATEFULSETS
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each Service that is missing; where it was never there, only if the StatefulSet names it newly."""
    sets = (await namespace.objects(STATEFULSETS)).items
    if not sets:
        return []
    names = await namespace.objects_meta(SERVICES)
    if names is None:
        return []
    found = []
    for obj in sets:
        wanted = str((obj.get("spec") or {}).get("serviceName") or "")
        if not wanted or wanted in names:
            continue
        ref, workload = ObjectRef("v1", "Service", wanted, namespace.name), ObjectRef.of(obj)
        held = bool((await namespace.baseline()).entries.get(("Service", wanted))) or await _in_releases(
            namespace, wanted
        )
        renamed = any(
            (past.content.get("spec") or {}).get("serviceName") != wanted for past in await namespace.pasts(obj)
        )
        if not held and not renamed:
            continue
        symptom = Symptom(
            code="MissingReference",
            ref=ObjectRef(workload.api_version, workload.kind, workload.name, namespace.name),
            message=msg(
                "{object} does not exist: the pods of {workload} have no names in the DNS",
                object=str(ref),
                workload=str(workload),
            ),
            evidence=(Evidence(source="object", ref=workload, message=msg("spec.serviceName is {name}", name=wanted)),),
        )
        found.append(
            Seen(symptom=symptom, gone=ref)
            if held and not renamed
            else Seen(symptom=symptom, at_fault=obj, fields="serviceName")
        )
    return found


async def _in_releases(namespace: Namespace, service: str) -> bool:
    """True when a revision of a release that is still recorded has a Service of that name."""
    for release in (await namespace.releases()).values():
        if any(version.content is not None for version in await release.versions("Service", service)):
            return True
    return False
