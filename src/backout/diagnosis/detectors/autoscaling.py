# SPDX-License-Identifier: Apache-2.0
"""Autoscalers whose target does not exist: nothing is scaled any more."""

from __future__ import annotations

from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import AUTOSCALERS, WORKLOADS, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Those that say themselves, or show, that there is nothing of that name."""
    found = []
    for obj in (await namespace.objects(AUTOSCALERS)).items:
        wanted = (obj.get("spec") or {}).get("scaleTargetRef") or {}
        resource = WORKLOADS.get(str(wanted.get("kind")))
        if resource is None or not (listed := await namespace.objects(resource)).readable:
            continue
        if wanted.get("name") in {item["metadata"]["name"] for item in listed.items}:
            continue
        ref = ObjectRef.of(obj)
        what = f"{str(wanted.get('kind')).lower()}/{wanted.get('name')}"
        symptom = Symptom(
            code="NoScaleTarget",
            ref=ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),
            message=msg("it is to scale {target}, which does not exist", target=what),
            evidence=(Evidence(source="object", ref=ref, message=msg("scaleTargetRef names {target}", target=what)),),
        )
        found.append(Seen(symptom=symptom, at_fault=obj, only_changed=True, fields="scaleTargetRef"))
    return found
