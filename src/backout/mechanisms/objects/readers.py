# SPDX-License-Identifier: Apache-2.0
"""Who reads a ConfigMap or Secret, and what each needs once its content is back. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from backout.changes.authors import written_at
from backout.cluster.port import SERVICES, STATEFULSETS, ClusterReader, Object
from backout.errors import AccessDenied, PreconditionFailed, RefusedError
from backout.kube.consumers import Consumer
from backout.kube.find_consumers import find_consumers
from backout.mechanisms.objects import hashring
from backout.mechanisms.objects import needs as needing
from backout.mechanisms.objects.hashring import Ring
from backout.mechanisms.objects.history import ContentRevision, ObjectHistory
from backout.mechanisms.objects.kinds import KINDS
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.reload import data_of
from backout.model.message import Message, joined, msg
from backout.model.target import Target
from backout.probes.programs import recognise


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """Who depends on an object, in order, with what each needs. ``others`` are no workloads; ``blind``: what was not seen."""

    needs: tuple[Need, ...] = ()
    others: tuple[Consumer, ...] = ()
    ring: Ring = Ring()
    blind: tuple[Message, ...] = ()


async def read_content(
    cluster: ClusterReader,
    target: Target,
    seen: ObjectHistory,
    content: Object | None,
    past: ContentRevision,
    *,
    anew: bool,
) -> Around:
    """Who reads the content that is put back.

    Raises:
        RefusedError: one that has to be restarted can't be, or a hashring would name receivers that are not there.
    """
    readers = await find_consumers(cluster, target.namespace)
    (workloads, others), services = await asyncio.gather(
        needing.look(cluster, readers.of(seen.ref.kind, seen.ref.name)), listed(cluster, target.namespace)
    )
    changed = _changed(seen.live, content)
    held = max((snapshot.taken_at for snapshot in past.good_snapshots), default=None)
    needs = needing.in_order([needing.decide(w, changed, _watches, anew=anew, held=held) for w in workloads], services)
    for need in needs:
        refuse_unrestartable(target, need)
    ring = await _ring(cluster, target, past, needs, services)
    return Around(needs=tuple(needs), others=others, ring=ring, blind=readers.blind)


async def stale_readers(cluster: ClusterReader, target: Target, seen: ObjectHistory) -> tuple[Need, ...]:
    """Readers that may still work with what the object held meanwhile, now that it is good again."""
    good = [s for other in seen.past if other.digest == seen.current.digest for s in other.good_snapshots]
    if seen.live is None or not good or KINDS[seen.ref.kind].dependents != "readers":
        return ()
    held, written = good[-1].taken_at, written_at(seen.live)
    if written is None or written <= held:
        return ()
    readers = await find_consumers(cluster, target.namespace, custom=False)
    workloads, _ = await needing.look(cluster, readers.of(seen.ref.kind, seen.ref.name))
    keys = _changed(seen.live, None)
    found = [needing.stale(workload, keys, _watches, held, written) for workload in workloads]
    return tuple(needing.in_order([need for need in found if need], await listed(cluster, target.namespace)))


async def present_readers(cluster: ClusterReader, target: Target, seen: ObjectHistory) -> tuple[Need, ...]:
    """Who reads the object as it is now; what each would need if all of it changed."""
    if seen.live is None or KINDS[seen.ref.kind].dependents != "readers":
        return ()
    readers = await find_consumers(cluster, target.namespace, custom=False)
    workloads, _ = await needing.look(cluster, readers.of(seen.ref.kind, seen.ref.name))
    return tuple(needing.decide(workload, _changed(seen.live, None), _watches) for workload in workloads)


async def listed(cluster: ClusterReader, namespace: str) -> list[Object]:
    """The Services of a namespace; none where they may not be listed."""
    try:
        return await cluster.list_all(SERVICES, namespace)
    except AccessDenied:
        return []


def _watches(spec: Object, container: str, file: str) -> bool:
    program = recognise(spec, container)
    return program is not None and program.follows(file)


def _changed(live: Object | None, content: Object | None) -> frozenset[str]:
    """The keys whose values change."""
    now, then = data_of(live) if live is not None else {}, data_of(content or {"kind": ""})
    return frozenset(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))


def refuse_unrestartable(target: Target, need: Need) -> None:
    """
    Raises:
        RefusedError: a workload has to be restarted, and its pods would not be replaced.
    """
    if need.what not in ("restart", "scale"):
        return
    spec, reader = need.workload.obj["spec"], str(need.ref)
    if need.what == "restart" and need.workload.obj["kind"] == "Deployment" and spec.get("paused"):
        raise RefusedError(
            "{reader} must be restarted to read {target}, but its rollout is paused.",
            reader=reader,
            target=str(target),
            hint="Resume it first: kubectl rollout resume {reader} -n {namespace}",
            namespace=target.namespace,
        )
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition")
    if need.what == "restart" and need.workload.obj["kind"] == "StatefulSet" and partition:
        raise RefusedError(
            "{reader} must be restarted to read {target}, but its partition {partition} keeps the pods below that "
            "number from being replaced.",
            reader=reader,
            target=str(target),
            partition=int(partition),
            hint="Set the partition to 0 when that is safe, then plan anew.",
        )


async def _ring(
    cluster: ClusterReader, target: Target, past: ContentRevision, needs: Sequence[Need], services: Sequence[Object]
) -> Ring:
    texts = _hashrings(past.content or {}, needs)
    if not texts:
        return Ring()
    try:
        sets = await cluster.list_all(STATEFULSETS, target.namespace)
    except AccessDenied:
        return Ring(notes=(msg("You may not list StatefulSets, so the endpoints of the hashring were not checked."),))
    names = frozenset(str(service["metadata"]["name"]) for service in services)
    around = hashring.Around(target.namespace, names, tuple(sets))
    rings = [hashring.examine(text, around) for text in texts]
    wrong = [message for ring in rings for message in ring.wrong]
    if wrong:
        raise PreconditionFailed(
            "The hashring that {target} held at revision {number} can't be used now: {why}",
            target=str(target),
            number=past.number,
            why=joined(wrong),
            expected="JSON whose endpoints name receivers or Services that exist",
            hint="Bring those receivers back first, or choose another revision: `backout history {target}`.",
        )
    return Ring(
        growth=tuple(sorted({growth for ring in rings for growth in ring.growth})),
        notes=tuple(note for ring in rings for note in ring.notes),
    )


def _hashrings(content: Object, needs: Sequence[Need]) -> list[str]:
    """The values that receivers take for their hashring."""
    data = data_of(content)
    keys = set()
    for need in needs:
        for reader in need.workload.readers:
            program = recognise(need.workload.spec, reader.container)
            if program is not None and program.hashring:
                keys |= {key for key in data if reader.file(key) == program.hashring}
    return [data[key].decode("utf-8", "replace") for key in sorted(keys)]
