# SPDX-License-Identifier: Apache-2.0
"""Claims that pods wait for and that are not bound: what the provisioner or the controller said of it.

A claim that nobody waits for may stay unbound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from msgspec.structs import replace

from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import WorkloadHistory
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef

WAITING = frozenset({"Unschedulable", "FailedMount", "FailedAttachVolume", "MissingReference", "NotReady"})


def claims_of(template: dict[str, Any]) -> set[str]:
    """The claims that pods of a template mount, those of claim templates left out."""
    volumes = (template.get("spec") or {}).get("volumes") or ()
    return {
        str(claim["claimName"]) for v in volumes if (claim := v.get("persistentVolumeClaim")) and claim.get("claimName")
    }


def claims_of_workload(history: WorkloadHistory) -> set[str]:
    """The claims that its pods mount; of claim templates those of the pods that fail (StatefulSets name them TEMPLATE-POD)."""
    made = [
        str((one.get("metadata") or {}).get("name")) for one in history.obj["spec"].get("volumeClaimTemplates") or ()
    ]
    return claims_of(history.template) | {f"{name}-{pod.metadata.name}" for name in made for pod in history.failing}


async def with_claims(
    namespace: Namespace, symptoms: Iterable[Symptom], names: Collection[str], events: Events
) -> list[Symptom]:
    """Symptoms of pods that wait for a volume, with what is known of the claims in ``names``."""
    if not names:
        return list(symptoms)
    told = []
    for name, claim in (await namespace.claims()).items():
        if name not in names or (claim.get("status") or {}).get("phase") == "Bound":
            continue
        ref = ObjectRef("v1", "PersistentVolumeClaim", name, namespace.name)
        said = next((e for e in reversed(events.about(namespace.name, ref.kind, name)) if e.type == "Warning"), None)
        storage = (claim.get("spec") or {}).get("storageClassName")
        told.append(
            Evidence(
                source="event" if said else "object",
                ref=ref,
                at=said.last if said else None,
                message=msg("{claim} is not bound: {text}", claim=str(ref), text=redact_text(said.message)[:300])
                if said
                else msg(
                    "{claim} is not bound; its storage class is {name}",
                    claim=str(ref),
                    name=str(storage) if storage else msg("the default one"),
                ),
            )
        )
    return [replace(s, evidence=(*s.evidence, *told)) if s.code in WAITING else s for s in symptoms]
