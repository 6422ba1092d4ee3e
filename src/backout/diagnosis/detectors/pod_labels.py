# SPDX-License-Identifier: Apache-2.0
"""Workloads whose pods got other labels: a Service that is as it was reaches them no more, or sends them what is not theirs."""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import SERVICES, Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.detectors.selectors import selector_of
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import generations_of
from backout.diagnosis.evidence.namespace import WORKLOADS, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

Labels = dict[str, str]


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each Service and workload; Services whose selector was changed are told of elsewhere."""
    workloads = [obj for resource in WORKLOADS.values() for obj in (await namespace.objects(resource)).items]
    found = []
    for service in (await namespace.objects(SERVICES)).items:
        selector = selector_of(service)
        mine = [obj for obj in workloads if selector and selector.items() <= _labels(obj).items()]
        if not selector or len(mine) == 1 or not await _as_it_was(namespace, service):
            continue
        if not mine:
            lost = [obj for obj in workloads if _wanted(obj) and _matched(selector, await _past(namespace, obj))]
            found += [_seen(namespace, service, obj, joined=False) for obj in lost]
            continue
        pasts = [(obj, await _past(namespace, obj)) for obj in mine]
        joined = [obj for obj, past in pasts if past and not selector.items() <= past[0].items()]
        if len(joined) < len(mine):
            found += [_seen(namespace, service, obj, joined=True) for obj in joined]
    return found


async def _as_it_was(namespace: Namespace, service: Object) -> bool:
    return all(selector_of(past.content) == selector_of(service) for past in (await namespace.pasts(service))[:1])


async def _past(namespace: Namespace, obj: Object) -> list[Labels]:
    """The labels that its pods had, where they were others, the newest first."""
    meta = obj["metadata"]
    made = sorted(await generations_of(namespace, obj), key=lambda one: -one.order)
    known = [(one.template.get("metadata") or {}).get("labels") or {} for one in made]
    kept = (await namespace.baseline()).kept(ObjectRef(obj["apiVersion"], obj["kind"], meta["name"], namespace.name))
    if kept is not None:
        known.insert(0, _labels(kept))
    return [labels for labels in known if labels and labels != _labels(obj)]


def _labels(workload: Object) -> Labels:
    found: Labels = ((workload["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
    return found


def _matched(selector: Labels, past: Iterable[Labels]) -> bool:
    return any(selector.items() <= labels.items() for labels in past)


def _wanted(workload: Object) -> bool:
    return bool(workload["spec"].get("replicas") != 0)


def _seen(namespace: Namespace, service: Object, obj: Object, *, joined: bool) -> Seen:
    ref = ObjectRef("v1", "Service", service["metadata"]["name"], namespace.name)
    name = f"{obj['kind'].lower()}/{obj['metadata']['name']}"
    text: Message = (
        msg("part of its requests goes to {others}, which it did not select before", others=name)
        if joined
        else msg("its selector matches no pod any more: those of {workload} have other labels", workload=name)
    )
    labels = ", ".join(f"{key}={value}" for key, value in sorted(_labels(obj).items()))
    evidence = Evidence(
        source="object",
        ref=ObjectRef.of(obj),
        message=msg("pods of {workload} have the labels {labels}", workload=name, labels=labels),
    )
    symptom = Symptom(code="WrongBackend" if joined else "NoEndpoints", ref=ref, message=text, evidence=(evidence,))
    return Seen(symptom=symptom, workload=(namespace.name, obj["kind"], obj["metadata"]["name"]), at_fault=obj)
