# SPDX-License-Identifier: Apache-2.0
"""Services that something asks, that had pods once, and whose pods nothing makes any more.

Where a release or a snapshot holds the workload, that is told as missing (`absent`). Here nothing does: what it was is not known, and
that something is gone is seen by the endpoints alone. A Service for a part that is yet to come never had any: the first content of its
EndpointSlice is the one it was made with (kubernetes pkg/registry/discovery/endpointslice/strategy.go: ``generation``).
"""

from __future__ import annotations

from backout.cluster.port import ENDPOINTSLICES, INGRESSES, SERVICES, Object
from backout.diagnosis.detectors.asking import asking
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.detectors.selectors import selector_of
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import WORKLOADS, Namespace
from backout.kube.names import SERVICE_OF_SLICE
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each; nothing where a good snapshot tells what was there, or workloads may not be listed."""
    listed = [await namespace.objects(resource) for resource in WORKLOADS.values()]
    if not all(one.readable for one in listed):
        return []
    made = [_labels(obj) for one in listed for obj in one.items]
    ingresses = (await namespace.objects(INGRESSES)).items
    found: list[Seen] = []
    for name, service in (await namespace.named(SERVICES)).items():
        selector = selector_of(service)
        if not selector or any(selector.items() <= labels.items() for labels in made):
            continue
        asked = list(asking(state, ingresses, namespace.name, name))
        if asked and await _lost(namespace, name):
            found.append(_seen(namespace, service, selector, asked[0]))
    return found if found and (await namespace.baseline()).good is None else []


def _labels(obj: Object) -> dict[str, str]:
    return ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}


async def _lost(namespace: Namespace, name: str) -> bool:
    slices = [
        piece
        for piece in (await namespace.objects(ENDPOINTSLICES)).items
        if (piece["metadata"].get("labels") or {}).get(SERVICE_OF_SLICE) == name
    ]
    return bool(slices) and all(
        not piece.get("endpoints") and int(piece["metadata"].get("generation") or 1) > 1 for piece in slices
    )


def _seen(namespace: Namespace, service: Object, selector: dict[str, str], who: str) -> Seen:
    ref = ObjectRef("v1", "Service", service["metadata"]["name"], namespace.name)
    text = msg(
        "it had pods, and nothing makes pods with the labels that it selects by: {selector}; {who} asks it",
        selector=", ".join(f"{key}={value}" for key, value in sorted(selector.items())),
        who=who,
    )
    evidence = Evidence(source="object", ref=ref, message=msg("its EndpointSlices were changed, and are empty"))
    symptom = Symptom(code="NoEndpoints", ref=ref, message=text, evidence=(evidence,))
    note = msg(
        "What made them is gone, and no release or snapshot holds it: look at where {service} was deployed from.",
        service=str(ref),
    )
    return Seen(symptom=symptom, at_fault=service, fields="selector", notes=(note,))
