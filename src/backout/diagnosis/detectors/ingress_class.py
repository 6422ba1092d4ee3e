# SPDX-License-Identifier: Apache-2.0
"""Ingresses of a class that does not exist: no controller serves them, whatever their backends do."""

from __future__ import annotations

from backout.cluster.port import INGRESSES
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import INGRESSCLASSES, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

_LEGACY = "kubernetes.io/ingress.class"


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Where the class was there before, or the Ingress was changed; a cluster without any class says nothing."""
    ingresses = (await namespace.objects(INGRESSES)).items
    named = [obj for obj in ingresses if (obj.get("spec") or {}).get("ingressClassName")]
    if not named:
        return []
    classes = await namespace.objects(INGRESSCLASSES)
    if not classes.readable:
        return []
    known = {item["metadata"]["name"] for item in classes.items}
    found = []
    for obj in named:
        name, ref = obj["spec"]["ingressClassName"], ObjectRef.of(obj)
        if name in known or _LEGACY in (obj["metadata"].get("annotations") or {}):
            continue
        symptom = Symptom(
            code="NoIngressClass",
            ref=ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),
            message=msg("its class {name} does not exist: no controller serves it", name=name),
            evidence=(
                Evidence(
                    source="object",
                    ref=ref,
                    message=msg(
                        "ingressClassName is {name}; there are: {known}",
                        name=name,
                        known=", ".join(sorted(known)) or "none",
                    ),
                ),
            ),
        )
        found.append(Seen(symptom=symptom, at_fault=obj, only_changed=True, fields="ingressClassName"))
    return found
