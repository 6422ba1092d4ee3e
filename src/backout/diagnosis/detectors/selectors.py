# SPDX-License-Identifier: Apache-2.0
"""Services whose selector was changed so that it takes in pods of another program: part of the requests goes astray.

Several workloads behind one Service are ordinary (a canary, two colours); only where somebody changed the selector, and it
selected fewer of them before, is it a symptom.
"""

from __future__ import annotations

from backout.changes.authors import authors
from backout.cluster.port import SERVICES, Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import WORKLOADS, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each Service that somebody edited, and that selects more than one workload since."""
    found = []
    workloads = [obj for resource in WORKLOADS.values() for obj in (await namespace.objects(resource)).items]
    for service in (await namespace.objects(SERVICES)).items:
        mine = _selected(service, workloads)
        if len(mine) < 2 or not any(
            author.by == "other" and author.owns("spec.selector") for author in authors(service)
        ):
            continue
        ref = ObjectRef("v1", "Service", service["metadata"]["name"], namespace.name)
        kept = (await namespace.baseline()).kept(ref)
        before = _selected(kept, workloads) if kept is not None else set()
        if not before or not before < mine:
            continue
        names = ", ".join(sorted(mine - before))
        symptom = Symptom(
            code="WrongBackend",
            ref=ref,
            message=msg("part of its requests goes to {others}, which it did not select before", others=names),
            evidence=(
                Evidence(
                    source="object",
                    ref=ref,
                    message=msg("its selector matches pods of {all}", all=", ".join(sorted(mine))),
                ),
            ),
        )
        found.append(Seen(symptom=symptom, at_fault=service, only_changed=True, fields="selector"))
    return found


def _selected(service: Object, workloads: list[Object]) -> set[str]:
    selector = (service.get("spec") or {}).get("selector") or {}
    found = set()
    for obj in workloads:
        labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
        if selector and selector.items() <= labels.items():
            found.add(f"{obj['kind'].lower()}/{obj['metadata']['name']}")
    return found
