# SPDX-License-Identifier: Apache-2.0
"""DaemonSets that run on fewer nodes since their template was changed. Nothing of it fails: the pods there are gone.

It is none where another DaemonSet with the same program has those nodes now, where it was so when all was well, and where the change is
old: who narrowed it down on purpose has lived with it since.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from backout.cluster.port import DAEMONSETS, Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.kube.placement import placement, runs_on
from backout.kube.projections import ControllerRevision
from backout.model.evidence import Evidence, Symptom
from backout.model.message import few, msg
from backout.model.target import ObjectRef

CODE = "NodesLost"
RECENT = timedelta(days=1)


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each."""
    sets = await namespace.named(DAEMONSETS)
    if not sets:
        return []
    found = []
    for name, obj in sets.items():
        former = _former(obj, await namespace.revisions())
        if former is None:
            continue
        since, before = former
        now = obj["spec"]["template"].get("spec") or {}
        if placement(before) == placement(now) or not await _recent(namespace, since):
            continue
        ref = ObjectRef("apps/v1", "DaemonSet", name, namespace.name)
        baseline = await namespace.baseline()
        kept = baseline.kept(ref) if baseline.good is not None else None
        if kept is not None and placement(_spec(kept)) == placement(now):
            continue
        lost = [node for node in (await namespace.nodes()).items if runs_on(before, node) and not runs_on(now, node)]
        lost = [node for node in lost if not any(_instead(other, obj, node) for other in sets.values())]
        if lost:
            found.append(_seen(ref, obj, [str(node["metadata"]["name"]) for node in lost], since))
    return found


async def _recent(namespace: Namespace, since: datetime | None) -> bool:
    return since is None or await namespace.cluster.server_time() - since <= RECENT


def _spec(obj: Object) -> Object:
    found: Object = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
    return found


def _former(obj: Object, revisions: list[ControllerRevision]) -> tuple[datetime | None, Object] | None:
    """Since when the template is in force, and the pod spec of the one before; None where there was none."""
    mine = sorted(
        (one for one in revisions if one.metadata.controller and one.metadata.controller.uid == obj["metadata"]["uid"]),
        key=lambda one: one.revision,
    )
    if len(mine) < 2:
        return None
    return mine[-1].metadata.creation_timestamp, _spec(mine[-2].data)


def _instead(other: Object, obj: Object, node: Object) -> bool:
    """Whether another set runs one of the same programs there."""
    if other["metadata"]["name"] == obj["metadata"]["name"] or not runs_on(_spec(other), node):
        return False
    return bool(_programs(other) & _programs(obj))


def _programs(obj: Object) -> set[str]:
    """The images without their tags."""
    names = (str(one.get("image", "")).partition("@")[0] for one in _spec(obj).get("containers") or ())
    return {name if ":" not in name.rpartition("/")[2] else name.rpartition(":")[0] for name in names}


def _seen(ref: ObjectRef, obj: Object, lost: list[str], since: datetime | None) -> Seen:
    text = msg("it has no pod on {nodes} any more, where its template before this one ran", nodes=few(lost))
    evidence = Evidence(
        source="object",
        ref=ref,
        message=msg("its template does not fit {nodes}", nodes=few(lost)),
        data={"nodes": lost},
    )
    symptom = Symptom(code=CODE, ref=ref, message=text, since=since, evidence=(evidence,))
    note = msg("If it was narrowed down on purpose, say so: `backout snapshot create` when all is well.")
    return Seen(symptom=symptom, workload=(ref.namespace, ref.kind, ref.name), at_fault=obj, notes=(note,))
