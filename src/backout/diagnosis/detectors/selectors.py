# SPDX-License-Identifier: Apache-2.0
"""Services whose selector was changed so that it takes in pods of another program: part of the requests goes astray.

Several workloads behind one Service are ordinary (a canary, two colours); only where the selector was changed, by whomever, and
it selected fewer of them before, is it a symptom.
"""

from __future__ import annotations

from backout.cluster.port import SERVICES, Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import WORKLOADS, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each Service that selects more than one workload, and selected fewer by the nearest past that is known."""
    found = []
    workloads = [obj for resource in WORKLOADS.values() for obj in (await namespace.objects(resource)).items]
    for service in (await namespace.objects(SERVICES)).items:
        mine = selected(service, workloads)
        if len(mine) < 2:
            continue
        before = await _before(namespace, service, workloads)
        if not before or not before < mine:
            continue
        ref = ObjectRef("v1", "Service", service["metadata"]["name"], namespace.name)
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


async def _before(namespace: Namespace, service: Object, workloads: list[Object]) -> set[str]:
    """What the nearest known past with another selector would select; nothing where a good snapshot holds this one."""
    for past in await namespace.pasts(service):
        if selector_of(past.content) != selector_of(service):
            return selected(past.content, workloads)
        if past.good:
            break
    return set()


def selector_of(service: Object) -> dict[str, str]:
    """The selector of a Service."""
    found: dict[str, str] = (service.get("spec") or {}).get("selector") or {}
    return found


def selected(service: Object, workloads: list[Object]) -> set[str]:
    """The workloads whose pods a Service selects, as ``kind/name``."""
    selector, found = selector_of(service), set()
    for obj in workloads:
        labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
        if selector and selector.items() <= labels.items():
            found.add(f"{obj['kind'].lower()}/{obj['metadata']['name']}")
    return found
