# SPDX-License-Identifier: Apache-2.0
"""Services whose pods are not what answers: names of elsewhere (ExternalName), and endpoints that people wrote themselves.

Where they lead can't be tried from here. One that somebody led elsewhere past its owner, or past what the last good snapshot
holds, and that something asks, is told; where such a change is an upgrade of its release, it takes a program that fails.
"""

from __future__ import annotations

from backout.changes.authors import authors
from backout.cluster.port import ENDPOINTSLICES, INGRESSES, SERVICES, Object, Resource
from backout.diagnosis.detectors.asking import asking
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.names import SERVICE_OF_SLICE, SLICE_MANAGED_BY
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

ENDPOINTS = Resource("v1", "Endpoints", "endpoints")
_CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Names of elsewhere that were changed, and hand-made endpoints that were changed, of Services that something asks."""
    services = await namespace.named(SERVICES)
    ingresses = (await namespace.objects(INGRESSES)).items
    found = []
    for name, service in services.items():
        if not _by_hand(service, "spec.externalName", "spec.type", "spec"):
            continue
        now = _leads_to(service)
        for past in await namespace.pasts(service):
            before = _leads_to(past.content)
            if before != now and "ExternalName" in (now[0], before[0]):
                asked = list(asking(state, ingresses, namespace.name, name))
                if asked:
                    found.append(_renamed(namespace, service, now, before, asked))
                break
            if past.good:
                break
    if any(map(_unselected, services.values())):
        for piece in (*(await namespace.objects(ENDPOINTSLICES)).items, *(await namespace.objects(ENDPOINTS)).items):
            owner = services.get(_service_of(piece))
            if owner is not None and _unselected(owner) and _later(piece, "endpoints", "ports", "subsets"):
                asked = list(asking(state, ingresses, namespace.name, owner["metadata"]["name"]))
                found += [_moved(namespace, piece, owner, asked)] if asked else []
    return found


def _unselected(service: Object) -> bool:
    spec = service.get("spec") or {}
    return not spec.get("selector") and spec.get("type") != "ExternalName"


def _service_of(piece: Object) -> str:
    """The Service that hand-made endpoints belong to; empty where a controller writes them."""
    meta = piece["metadata"]
    labels = meta.get("labels") or {}
    if piece["kind"] == "Endpoints":
        return str(meta["name"])
    return "" if labels.get(SLICE_MANAGED_BY) in _CONTROLLERS else str(labels.get(SERVICE_OF_SLICE) or "")


def _leads_to(service: Object) -> tuple[str, str]:
    spec = service.get("spec") or {}
    return str(spec.get("type") or "ClusterIP"), str(spec.get("externalName") or "").rstrip(".")


def _by_hand(obj: Object, *fields: str) -> bool:
    return any(author.by == "other" and any(map(author.owns, fields)) for author in authors(obj))


def _later(obj: Object, *fields: str) -> bool:
    """True when somebody wrote one of these fields after the object was made."""
    born = obj["metadata"].get("creationTimestamp") or ""
    return any(
        author.by == "other" and any(map(author.owns, fields)) and author.at.strftime("%Y-%m-%dT%H:%M:%SZ") > born
        for author in authors(obj)
    )


def _renamed(
    namespace: Namespace, service: Object, now: tuple[str, str], before: tuple[str, str], asked: list[str]
) -> Seen:
    ref = ObjectRef("v1", "Service", service["metadata"]["name"], namespace.name)
    text = msg(
        "it leads to {now}; it led to {before}; {who} asks it",
        now=now[1] or msg("its own pods"),
        before=before[1] or msg("its own pods"),
        who=asked[0],
    )
    evidence = Evidence(source="object", ref=ref, message=msg("its type is {type}", type=now[0]))
    symptom = Symptom(code="WrongBackend", ref=ref, message=text, evidence=(evidence,))
    return Seen(symptom=symptom, at_fault=service, only_changed=True, fields="externalName|type|selector")


def _moved(namespace: Namespace, piece: Object, service: Object, asked: list[str]) -> Seen:
    ref = ObjectRef.of(piece)
    name = f"service/{service['metadata']['name']}"
    parts = piece.get("subsets") or [piece]
    addresses = [_address(one) for part in parts for one in part.get("endpoints") or part.get("addresses") or ()]
    ports = [str(port.get("port")) for part in parts for port in part.get("ports") or ()]
    text = msg(
        "the endpoints of {service} were changed by hand: {addresses}, port {ports}; {who} asks it",
        service=name,
        addresses=", ".join(addresses[:3]) or "none",
        ports=", ".join(ports[:3]) or "any",
        who=asked[0],
    )
    symptom = Symptom(
        code="WrongBackend",
        ref=ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),
        message=text,
        evidence=(Evidence(source="object", ref=ref, message=msg("no controller writes them")),),
    )
    return Seen(symptom=symptom, at_fault=piece, only_changed=True, fields="endpoints|ports|subsets")


def _address(endpoint: Object) -> str:
    return str(endpoint.get("ip") or next(iter(endpoint.get("addresses") or ()), "?"))
