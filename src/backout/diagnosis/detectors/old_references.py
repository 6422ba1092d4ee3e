# SPDX-License-Identifier: Apache-2.0
"""ConfigMaps and Secrets that pods of an earlier template still live on, and that do not exist any more.

A rollout that got stuck leaves them serving; they can't start again, and the template before is no way back without what it
reads. Objects under hashed names are pruned like that.
"""

from __future__ import annotations

from backout.cluster.port import CONFIGMAPS, DEPLOYMENTS, SECRETS
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import generations_of
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.references import references
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef

_KINDS = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each object; what the template in force reads is told of elsewhere."""
    found: dict[tuple[str, str], Seen] = {}
    for name, obj in (await namespace.named(DEPLOYMENTS)).items():
        made = sorted(await generations_of(namespace, obj), key=lambda one: one.order)
        serving = [one for one in made[:-1] if one.ready]
        failing = {pod.metadata.controller.name for pod in state.pods if pod.metadata.controller is not None}
        if not serving or made[-1].name not in failing:
            # A rollout that is under way and well takes them along.
            continue
        present = {(one.kind, one.name) for one in references(made[-1].template.get("spec") or {})}
        for generation in serving:
            for one in references(generation.template.get("spec") or {}):
                if one.optional or one.kind not in _KINDS or (one.kind, one.name) in present:
                    continue
                there = await namespace.objects_meta(_KINDS[one.kind])
                if there is None or one.name in there:
                    continue
                reader = ObjectRef("apps/v1", "Deployment", name, namespace.name)
                gone = ObjectRef("v1", one.kind, one.name, namespace.name)
                symptom = Symptom(
                    code="MissingReference",
                    ref=reader,
                    message=msg(
                        "{object} does not exist: {count} pods of {workload} go on with what they read, the next can't start",
                        object=str(gone),
                        count=generation.ready,
                        workload=str(reader),
                    ),
                    evidence=(
                        Evidence(
                            source="object",
                            ref=reader,
                            message=msg("revision {number} reads {object}", number=generation.order, object=str(gone)),
                        ),
                    ),
                )
                found.setdefault((one.kind, one.name), Seen(symptom=symptom, gone=gone))
    return list(found.values())
