# SPDX-License-Identifier: Apache-2.0
"""ConfigMaps and Secrets that pods of an earlier template still live on, and that do not exist any more.

A rollout that got stuck leaves them serving; they can't start again, and the template before is no way back without what it
reads. Objects under hashed names are pruned like that. Where the new pods were ready before they failed, those of the earlier
template are gone already: then it counts only where all was well with what it reads, and the new ones failed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from backout.cluster.port import CONFIGMAPS, DEPLOYMENTS, SECRETS
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import Generation, comparable, generations_of
from backout.diagnosis.evidence.namespace import Namespace
from backout.diagnosis.evidence.nearness import SOON
from backout.kube.diff import diff_objects
from backout.kube.projections import Pod
from backout.kube.references import references
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

_KINDS = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each object; what the template in force reads is told of elsewhere."""
    found: dict[tuple[str, str], Seen] = {}
    for name, obj in (await namespace.named(DEPLOYMENTS)).items():
        made = sorted(await generations_of(namespace, obj), key=lambda one: one.order)
        serving = [one for one in made[:-1] if one.ready]
        failing = [
            pod
            for pod in state.pods
            if pod.metadata.controller is not None and made and pod.metadata.controller.name == made[-1].name
        ]
        if not failing:
            # A rollout that is under way and well takes them along.
            continue
        if not serving and len(made) > 1 and await _was_well(namespace, name, made[-2]) and _at_once(failing, made[-1]):
            serving = [made[-2]]
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
                    message=_told(gone, generation, reader),
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


def _told(gone: ObjectRef, generation: Generation, reader: ObjectRef) -> Message:
    if generation.ready:
        return msg(
            "{object} does not exist: {count} pods of {workload} go on with what they read, the next can't start",
            object=str(gone),
            count=generation.ready,
            workload=str(reader),
        )
    return msg(
        "{object} does not exist: the template before of {workload}, with which all was well, reads it",
        object=str(gone),
        workload=str(reader),
    )


async def _was_well(namespace: Namespace, name: str, generation: Generation) -> bool:
    """True when the last good snapshot has the Deployment with this very template."""
    kept = (await namespace.baseline()).kept(ObjectRef("apps/v1", "Deployment", name, namespace.name))
    template = ((kept or {}).get("spec") or {}).get("template")
    if kept is None or not template:
        return False
    return not diff_objects(
        {"spec": {"template": comparable(kept, template)}}, {"spec": {"template": generation.template}}
    )


def _at_once(failing: Sequence[Pod], generation: Generation) -> bool:
    """True when what fails began to soon after its template came: what ran well for long has no quarrel with that."""
    began = [
        ended.finished_at
        for pod in failing
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
        if (ended := status.state.terminated or status.last_state.terminated) is not None and ended.finished_at
    ]
    made = [pod.metadata.creation_timestamp for pod in failing if pod.metadata.creation_timestamp is not None]
    first = min(began, default=min(made, default=None))
    return first is not None and generation.created is not None and first - generation.created <= SOON
