# SPDX-License-Identifier: Apache-2.0
"""Ports that an Ingress or a program asks a Service for, and that the Service does not have (any more)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from backout.cluster.port import INGRESSES, SERVICES, Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.references import calls, ports_of_ingress, words_of
from backout.kube.services import has_port
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each port that is asked for in vain: the Service that had it is at fault, else whoever asks for it."""
    found = []
    services = await namespace.named(SERVICES)
    for ingress in (await namespace.objects(INGRESSES)).items:
        for name, port in sorted(set(ports_of_ingress(ingress)), key=str):
            service = services.get(name)
            if service is None or has_port(service, port):
                continue
            had = any(has_port(past.content, port) for past in await namespace.pasts(service))
            at_fault, fields = (service, "ports") if had else (ingress, "rules|defaultBackend")
            found.append(_seen(namespace, service, str(port), ObjectRef.of(ingress), at_fault, fields))
    for service in services.values():
        for port in await _withdrawn(namespace, service):
            for caller in _callers(state, namespace.name, service["metadata"]["name"], port):
                found.append(_seen(namespace, service, str(port), caller, service, "ports"))
    return found


async def _withdrawn(namespace: Namespace, service: Object) -> list[int]:
    """Numbers of ports that it had by the nearest known past in which its ports were others."""
    now = _numbers(service)
    for past in await namespace.pasts(service):
        if before := _numbers(past.content) - now:
            return sorted(before)
        if past.good:
            break
    return []


def _numbers(service: Object) -> set[int]:
    return {int(port.get("port") or 0) for port in (service.get("spec") or {}).get("ports") or ()}


def _callers(state: State, namespace: str, service: str, port: int) -> Iterator[ObjectRef]:
    for key, workload in state.workloads.items():
        if key[0] == namespace and _calls(
            (word for _, word in words_of(workload.spec.template.spec.plain())), service, namespace, port
        ):
            yield ObjectRef("apps/v1", key[1], key[2], namespace)


def _calls(words: Iterable[str], service: str, namespace: str, port: int) -> bool:
    address = re.compile(rf"(?<![\w.-]){re.escape(service)}(?:\.[\w.-]+)?:{port}(?!\d)")
    return any(address.search(word) and calls(word, service, namespace) for word in words)


def _seen(namespace: Namespace, service: Object, port: str, caller: ObjectRef, at_fault: Object, fields: str) -> Seen:
    name = f"service/{service['metadata']['name']}"
    ref = ObjectRef(caller.api_version, caller.kind, caller.name, namespace.name)
    evidence = Evidence(
        source="object",
        ref=ref,
        message=msg("{object} asks {service} for port {port}", object=str(ref), service=name, port=port),
    )
    symptom = Symptom(
        code="MissingReference",
        ref=ref,
        message=msg("{service} has no port {port}, which {object} asks for", service=name, port=port, object=str(ref)),
        evidence=(evidence,),
    )
    return Seen(symptom=symptom, at_fault=at_fault, fields=fields)
