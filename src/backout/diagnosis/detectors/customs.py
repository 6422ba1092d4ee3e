# SPDX-License-Identifier: Apache-2.0
"""Custom resources of a release that their operator does not carry out, though all pods are well: it refuses a field, mostly.

Where pods of what it makes fail, they show it already. Only kinds that a release of the namespace holds are looked at.
"""

from __future__ import annotations

from backout.cluster.port import Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.detectors.symptoms import serving
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.errors import BackoutError
from backout.kube.custom_status import CustomHealth, CustomState, custom_health
from backout.kube.sanitise import custom
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Those that say themselves that they failed."""
    held: dict[tuple[str, str], set[str]] = {}
    for release in (await namespace.releases()).values():
        for (kind, name), obj in (await release.contents(release.in_force) or {}).items():
            if custom(str(obj.get("apiVersion"))):
                held.setdefault((str(obj["apiVersion"]), kind), set()).add(name)
    found = []
    for (api_version, kind), names in sorted(held.items()):
        try:
            resource = await namespace.cluster.resource(api_version, kind)
        except BackoutError:
            continue
        for obj in (await namespace.objects(resource)).items:
            health = custom_health(obj)
            if obj["metadata"]["name"] in names and health.state is CustomState.FAILED and not _shown(state, obj):
                found.append(_seen(namespace, obj, health))
    return found


def _shown(state: State, obj: Object) -> bool:
    """True where something that is made of it is not complete."""
    uid = obj["metadata"]["uid"]
    for key, workload in state.workloads.items():
        controller = workload.metadata.controller
        if controller is not None and controller.uid == uid:
            ready, desired = serving(workload, key[1])
            if ready < desired:
                return True
    return False


def _seen(namespace: Namespace, obj: Object, health: CustomHealth) -> Seen:
    whole = ObjectRef.of(obj)
    ref = ObjectRef(whole.api_version, whole.kind, whole.name, namespace.name)
    said = msg("its operator says: {why}", why=health.message or health.reason)
    evidence = Evidence(source="condition", ref=ref, at=health.since, message=said)
    symptom = Symptom(code="NotReconciled", ref=ref, message=said, since=health.since, evidence=(evidence,))
    return Seen(symptom=symptom, at_fault=obj)
