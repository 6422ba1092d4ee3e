# SPDX-License-Identifier: Apache-2.0
"""Applications of Argo CD that say that they are not well.

What they deploy is somewhere else, maybe in another cluster, and is not looked at here: so it is told as what is not known, with Argo
CD's own words, and never passed over. Facts: argo-cd gitops-engine pkg/health/health.go (the states).
"""

from __future__ import annotations

from backout.cluster.port import Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.errors import BackoutError
from backout.model.diagnosis import UnderWay, Unseen
from backout.model.message import msg
from backout.model.plaintext import one_line
from backout.model.target import ObjectRef, Target
from backout.ownership.argocd import API_VERSION, KIND

SHOWN = 300


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """Notes in ``state`` those that are not well, or of which Argo CD does not know; nothing is seen of what broke."""
    try:
        served = [one.resource for one in (await namespace.cluster.catalogue()).kinds]
        resource = next((one for one in served if (one.api_version, one.kind) == (API_VERSION, KIND)), None)
        found = await namespace.cluster.list_all(resource, namespace.name) if resource is not None else []
    except BackoutError as error:
        state.blind.append(msg("Applications of Argo CD can't be read: {why}", why=error.message))
        return []
    for obj in found:
        _note(namespace, state, obj)
    return []


def _note(namespace: Namespace, state: State, obj: Object) -> None:
    health = ((obj.get("status") or {}).get("health")) or {}
    said = str(health.get("status") or "Unknown")
    if said in ("Healthy", "Suspended"):
        return
    name = obj["metadata"]["name"]
    ref = ObjectRef(API_VERSION, KIND, name, namespace.name)
    mine = (Target("app", name, namespace.name, namespace.cluster.name),)
    words = {
        "app": f"app/{name}",
        "health": said,
        "why": one_line(str(health.get("message") or "it says no more"))[:SHOWN],
    }
    if said == "Progressing":
        state.under_way.append(UnderWay(ref, msg("{app} is under way, as Argo CD says: {why}.", **words), mine))
    else:
        told = msg("Argo CD calls {app} {health}: {why}. What broke in what it deploys was not looked at.", **words)
        state.unseen.append(Unseen(ref=ref, why=told, owners=mine))
