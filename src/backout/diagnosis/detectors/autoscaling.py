# SPDX-License-Identifier: Apache-2.0
"""Autoscalers whose target does not exist, or lost what they compute with: nothing is scaled any more."""

from __future__ import annotations

from backout.cluster.port import Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import AUTOSCALERS, WORKLOADS, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Those that say themselves, or show, that there is nothing of that name."""
    found = []
    for obj in (await namespace.objects(AUTOSCALERS)).items:
        wanted = (obj.get("spec") or {}).get("scaleTargetRef") or {}
        resource = WORKLOADS.get(str(wanted.get("kind")))
        if resource is None or not (listed := await namespace.objects(resource)).readable:
            continue
        ref = ObjectRef.of(obj)
        target = next((item for item in listed.items if item["metadata"]["name"] == wanted.get("name")), None)
        if target is not None:
            if (said := _no_request(obj)) is not None:
                found.append(
                    Seen(
                        symptom=_blind(ref, namespace.name, said),
                        at_fault=target,
                        only_changed=True,
                        fields="resources",
                    )
                )
            continue
        what = f"{str(wanted.get('kind')).lower()}/{wanted.get('name')}"
        symptom = Symptom(
            code="NoScaleTarget",
            ref=ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),
            message=msg("it is to scale {target}, which does not exist", target=what),
            evidence=(Evidence(source="object", ref=ref, message=msg("scaleTargetRef names {target}", target=what)),),
        )
        found.append(Seen(symptom=symptom, at_fault=obj, only_changed=True, fields="scaleTargetRef"))
    return found


def _no_request(autoscaler: Object) -> str | None:
    """What it says where it has nothing to compare a utilisation with: a container that asks for none of the resource.

    Metrics that are late or not served at all are no change of the target's (kubernetes pkg/controller/podautoscaler,
    ``missing request for``).
    """
    for condition in (autoscaler.get("status") or {}).get("conditions") or ():
        inactive = condition.get("type") == "ScalingActive" and condition.get("status") == "False"
        if inactive and "missing request for" in str(condition.get("message")):
            return str(condition["message"])
    return None


def _blind(ref: ObjectRef, namespace: str, said: str) -> Symptom:
    return Symptom(
        code="NoScaleMetric",
        ref=ObjectRef(ref.api_version, ref.kind, ref.name, namespace),
        message=msg("it can't compute how many pods are needed: {said}", said=redact_text(said)[:300]),
        evidence=(Evidence(source="object", ref=ref, message=msg("its condition ScalingActive is False")),),
    )
