# SPDX-License-Identifier: Apache-2.0
"""Ports that are asked for by a name that nobody has any more: a Service, a NetworkPolicy or a monitor asks, pods or a Service answer.

Nothing fails for it, and no pod shows it. Only what was there once and is not is told of, and of the side that was changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import SERVICES, Object, Resource
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import generations_of
from backout.diagnosis.evidence.namespace import NETWORKPOLICIES, WORKLOADS, Namespace
from backout.errors import BackoutError
from backout.kube.ports import MONITORING, Asked, asked_by, of_template, offered
from backout.kube.workloads import desired, matches
from backout.model.evidence import Evidence, Symptom
from backout.model.message import few, msg
from backout.model.target import ObjectRef

CODE = "NoSuchPort"
_MONITORS = (
    Resource(MONITORING, "PodMonitor", "podmonitors"),
    Resource(MONITORING, "ServiceMonitor", "servicemonitors"),
)


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each name and side that lost it, or that asks for another one than before."""
    workloads = [obj for resource in WORKLOADS.values() for obj in (await namespace.objects(resource)).items]
    services = (await namespace.objects(SERVICES)).items
    asking = [*services, *(await namespace.objects(NETWORKPOLICIES)).items, *await _monitors(namespace)]
    found = []
    for obj in asking:
        for asked in asked_by(obj, namespace.name):
            mine = _selected(asked, services if asked.of == "services" else workloads)
            if mine and not any(asked.name in offered(one) for one in mine):
                found += await _told(namespace, obj, asked, mine)
    return found


async def _monitors(namespace: Namespace) -> list[Object]:
    try:
        served = {
            (kind.resource.api_version, kind.resource.kind) for kind in (await namespace.cluster.catalogue()).kinds
        }
    except BackoutError:
        return []
    kinds = [resource for resource in _MONITORS if (resource.api_version, resource.kind) in served]
    return [obj for resource in kinds for obj in (await namespace.objects(resource)).items]


def _selected(asked: Asked, providers: Iterable[Object]) -> list[Object]:
    """Those that are to answer; a workload without pods answers nothing, and need not."""
    found = []
    for obj in providers:
        if obj["kind"] == "Service":
            labels = obj["metadata"].get("labels") or {}
        else:
            labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
            if obj["kind"] != "DaemonSet" and not desired(obj):
                continue
        if matches(dict(asked.selector), labels):
            found.append(obj)
    return found


async def _told(namespace: Namespace, obj: Object, asked: Asked, mine: list[Object]) -> list[Seen]:
    pasts = await namespace.pasts(obj)
    before = {one.name for past in pasts[:1] for one in asked_by({**past.content, "kind": obj["kind"]}, namespace.name)}
    if pasts and asked.name not in before:
        if obj["kind"] == "Service" or not any(name in offered(one) for name in before for one in mine):
            return []  # a Service is told of by its empty endpoints; what led nowhere before was not broken by this
        return [_seen(namespace, obj, asked, mine, obj)]
    lost = [one for one in mine if asked.name in await _had(namespace, one)]
    return [_seen(namespace, obj, asked, mine, one) for one in lost]


async def _had(namespace: Namespace, obj: Object) -> set[str]:
    """All names that its ports are known to have had."""
    names = {name for past in await namespace.pasts(obj) for name in offered({**past.content, "kind": obj["kind"]})}
    if obj["kind"] == "Service":
        return names
    return names.union(*(of_template(one.template) for one in await generations_of(namespace, obj)))


def _seen(namespace: Namespace, obj: Object, asked: Asked, mine: list[Object], at_fault: Object) -> Seen:
    ref = ObjectRef(obj["apiVersion"], obj["kind"], obj["metadata"]["name"], namespace.name)
    names = few([f"{one['kind'].lower()}/{one['metadata']['name']}" for one in mine])
    there = sorted({name for one in mine for name in offered(one)})
    symptom = Symptom(
        code=CODE,
        ref=ref,
        message=msg(
            "{object} asks for a port called {port}, which {others} does not have",
            object=str(ref),
            port=asked.name,
            others=names,
        ),
        evidence=(
            Evidence(
                source="object",
                ref=ObjectRef.of(mine[0]),
                message=msg("ports of {others}: {ports}", others=names, ports=", ".join(there) or "none has a name"),
            ),
        ),
    )
    if at_fault is obj:
        return Seen(symptom=symptom, at_fault=obj, fields=asked.field)
    if at_fault["kind"] == "Service":
        return Seen(symptom=symptom, at_fault=at_fault, fields="ports")
    return Seen(
        symptom=symptom, workload=(namespace.name, at_fault["kind"], at_fault["metadata"]["name"]), at_fault=at_fault
    )
