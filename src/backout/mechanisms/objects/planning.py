# SPDX-License-Identifier: Apache-2.0
"""Everything that a way back of one object consists of, worked out from one look. Reads only.

The server is asked whether it would take the content; who reads it is found; a hashring is held against its receivers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from backout.cluster.port import SERVICES, STATEFULSETS, ClusterReader, Object
from backout.errors import AccessDenied, NothingToDo, PreconditionFailed, RefusedError
from backout.kube.consumers import Consumer
from backout.kube.find_consumers import find_consumers
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.owned import Keeper
from backout.mechanisms.objects import hashring, steps
from backout.mechanisms.objects import needs as needing
from backout.mechanisms.objects.hashring import Around, Ring
from backout.mechanisms.objects.helm import HelmSays, helm_says
from backout.mechanisms.objects.history import ContentRevision, ObjectHistory, written_at
from backout.mechanisms.objects.needs import Need
from backout.mechanisms.objects.reload import data_of
from backout.mechanisms.objects.steps import Content
from backout.model.message import Message, joined, msg
from backout.model.part import Access, Step
from backout.model.snapshot import Snapshot
from backout.model.target import Target
from backout.ownership.owner import owner_of
from backout.ownership.owners import Owned, Owners
from backout.ownership.state import state_of
from backout.probes.programs import recognise
from backout.snapshots.restore_plan import RestoreItem, Work, plan_one


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One way back of one object. ``others`` are readers that are no workloads; ``blind`` what could not be seen.

    ``mute``: programs must be asked afterwards, and this user may not.
    """

    seen: ObjectHistory
    past: ContentRevision
    snapshot: Snapshot
    item: RestoreItem
    content: Content
    owner: Owned
    helm: HelmSays | None
    needs: tuple[Need, ...]
    others: tuple[Consumer, ...]
    ring: Ring
    blind: tuple[Message, ...]
    mute: bool
    steps: tuple[Step, ...]
    keeper: Keeper | None = None
    """Who keeps the object as a source of its own says."""

    @property
    def anew(self) -> bool:
        """Whether the object is deleted and created again."""
        return self.item.action == "recreate"


async def work_out(
    cluster: ClusterReader, target: Target, seen: ObjectHistory, past: ContentRevision, stale: tuple[Need, ...]
) -> Planned:
    """The whole way back to one content; ``stale`` are the readers that `stale_readers` gave.

    Raises:
        NothingToDo: the object holds it already.
        RefusedError: its owner would undo it, the server would not take it, or it would do harm.
    """
    if past.content is None:
        raise RefusedError(
            "{target} did not exist at revision {number}; Backout does not go back to that.",
            target=str(target),
            number=past.number,
            hint="If you want it gone, delete it yourself.",
        )
    if past is seen.current:
        if not stale:
            raise _holds_it(target, past)
        return await _readers_alone(cluster, target, seen, stale)
    if not past.snapshots:
        raise _holds_it(target, past)
    owner = await _owner(cluster, seen, past)
    _refuse_owned(target, owner)
    keeper = await _keeper(cluster, seen)
    if seen.live is not None and seen.live["metadata"].get("deletionTimestamp"):
        raise RefusedError("{target} is being deleted.", target=str(target), hint="Wait until it is gone, then plan.")
    snapshot = next((s for s in reversed(past.snapshots) if s.good and not s.imported_from), past.snapshots[-1])
    assert past.entry is not None
    # What belongs to an owner was refused before; what is left is Helm's, whose objects may be put back.
    work = await plan_one(cluster, seen.resource, past.entry, past.content, seen.live)
    item = work.item
    if item.action == "unchanged":
        raise _holds_it(target, past)
    if not item.writes:
        raise RefusedError(
            "{target} can't be put back: {why}", target=str(target), why=item.reason or "it is left alone"
        )
    if seen.ref.kind in ("ConfigMap", "Secret"):
        needs, others, ring, blind = await _around(cluster, target, seen, past, anew=item.action == "recreate")
    else:
        needs, others, ring, blind = (), (), Ring(), ()
    content = _content(seen, past, snapshot, work)
    value, helm, mute = await asyncio.gather(
        _restart_value(cluster), helm_says(cluster, owner, past.content), _mute(cluster, target, needs)
    )
    return Planned(
        seen=seen,
        past=past,
        snapshot=snapshot,
        item=item,
        content=content,
        owner=owner,
        keeper=keeper,
        helm=helm,
        needs=needs,
        others=others,
        ring=ring,
        blind=blind,
        mute=mute,
        steps=tuple(_steps(target, content, needs, ring, value)),
    )


async def stale_readers(cluster: ClusterReader, target: Target, seen: ObjectHistory) -> tuple[Need, ...]:
    """Readers that may still work with what the object held meanwhile, now that it is good again."""
    good = [
        s
        for other in seen.past
        if other.digest == seen.current.digest
        for s in other.snapshots
        if s.good and not s.imported_from
    ]
    if seen.live is None or not good or seen.ref.kind not in ("ConfigMap", "Secret"):
        return ()
    held, written = good[-1].taken_at, written_at(seen.live)
    if written is None or written <= held:
        return ()
    readers = await find_consumers(cluster, target.namespace, custom=False)
    workloads, _ = await needing.look(cluster, readers.of(seen.ref.kind, seen.ref.name))
    keys = _changed(seen.live, None)
    found = [needing.stale(workload, keys, _watches, held, written) for workload in workloads]
    return tuple(needing.in_order([need for need in found if need], await _listed(cluster, target.namespace)))


async def _readers_alone(
    cluster: ClusterReader, target: Target, seen: ObjectHistory, needs: tuple[Need, ...]
) -> Planned:
    """The content is back already; who has read another one meanwhile is restarted."""
    for need in needs:
        _refuse_unrestartable(target, need)
    past = next(other for other in reversed(seen.past) if other.digest == seen.current.digest and other.snapshots)
    content = Content(
        ref=seen.ref,
        how="unchanged",
        repository=seen.repository,
        snapshot=past.snapshots[-1].id,
        address=past.address,
        found=seen.found,
    )
    value = await _restart_value(cluster)
    return Planned(
        seen=seen,
        past=seen.current,
        snapshot=past.snapshots[-1],
        content=content,
        owner=Owned(),
        helm=None,
        item=RestoreItem(ref=seen.ref, action="unchanged"),
        needs=needs,
        others=(),
        ring=Ring(),
        blind=(),
        mute=False,
        steps=tuple(step for need in needs for step in steps.of_reader(need, target, content, value)),
    )


def _holds_it(target: Target, past: ContentRevision) -> NothingToDo:
    return NothingToDo(
        "{target} holds the content of revision {number} already.",
        target=str(target),
        number=past.number,
        hint="If something is wrong all the same, name another: `backout history {target}`.",
    )


async def _owner(cluster: ClusterReader, seen: ObjectHistory, past: ContentRevision) -> Owned:
    if seen.live is not None:
        return await Owners(cluster).of(seen.live)
    entry = past.entry or next((other.entry for other in reversed(seen.past) if other.entry is not None), None)
    return Owned(entry.owner, entry.owner_kind) if entry is not None else Owned()


async def _keeper(cluster: ClusterReader, seen: ObjectHistory) -> Keeper | None:
    """The controller that would write its own state back, above a Helm release too."""
    if seen.live is None:
        return None
    manager = (
        await owner_of(cluster, {**seen.live, "apiVersion": seen.ref.api_version, "kind": seen.ref.kind})
    ).manager
    return Keeper(manager=manager, state=await state_of(cluster, manager)) if manager is not None else None


async def alternatives(cluster: ClusterReader, seen: ObjectHistory) -> tuple[Message, ...]:
    """Another way back where no snapshot knows one: what the Helm release says that the object belongs to."""
    if seen.live is None:
        return ()
    says = await helm_says(cluster, await _owner(cluster, seen, seen.current), sanitise(seen.live))
    if says is None or says.agrees is not False:
        return ()
    return (
        msg(
            "Revision {number} of helm/{name} has other content for it: `backout plan helm/{name} -n {namespace} "
            "--to {number}` puts that back.",
            number=says.revision,
            name=says.release,
            namespace=seen.ref.namespace,
        ),
    )


def _refuse_owned(target: Target, owner: Owned) -> None:
    """What is made from something else is changed there. A release's own objects, and those that a controller keeps, may be put
    back: the risks say what that means."""
    if owner.kind not in ("operator", "controller"):
        return
    raise RefusedError(
        "{target} is owned by {owner}, which would undo a change of it.",
        target=str(target),
        owner=owner.name,
        expected="an object that nobody else manages",
        found="one that belongs to {owner}",
        hint="Change {owner}, from which it is made.",
    )


def _content(seen: ObjectHistory, past: ContentRevision, snapshot: Snapshot, work: Work) -> Content:
    body, wanted = work.body or {}, past.content or {}
    ports = {port.get("nodePort") for port in (body.get("spec") or {}).get("ports") or ()}
    lost = [
        port
        for port in (wanted.get("spec") or {}).get("ports") or ()
        if port.get("nodePort") and port["nodePort"] not in ports
    ]
    service = seen.ref.kind == "Service"
    return Content(
        ref=seen.ref,
        how=work.item.action,
        repository=seen.repository,
        snapshot=snapshot.id,
        address=past.address,
        found=seen.found,
        keep_node_ports=service and work.item.action == "update" and bool(lost),
        new_addresses=service
        and work.item.action == "create"
        and bool((wanted.get("spec") or {}).get("clusterIP") and not (body.get("spec") or {}).get("clusterIP")),
    )


async def _around(
    cluster: ClusterReader, target: Target, seen: ObjectHistory, past: ContentRevision, *, anew: bool
) -> tuple[tuple[Need, ...], tuple[Consumer, ...], Ring, tuple[Message, ...]]:
    readers = await find_consumers(cluster, target.namespace)
    (workloads, others), services = await asyncio.gather(
        needing.look(cluster, readers.of(seen.ref.kind, seen.ref.name)), _listed(cluster, target.namespace)
    )
    changed = _changed(seen.live, past.content)
    held = max((s.taken_at for s in past.snapshots if s.good and not s.imported_from), default=None)
    needs = needing.in_order([needing.decide(w, changed, _watches, anew=anew, held=held) for w in workloads], services)
    for need in needs:
        _refuse_unrestartable(target, need)
    ring = await _ring(cluster, target, past, needs, services)
    return tuple(needs), others, ring, readers.blind


async def present_readers(cluster: ClusterReader, target: Target, seen: ObjectHistory) -> tuple[Need, ...]:
    """Who reads the object as it is now; what each would need if all of it changed."""
    if seen.live is None or seen.ref.kind not in ("ConfigMap", "Secret"):
        return ()
    readers = await find_consumers(cluster, target.namespace, custom=False)
    workloads, _ = await needing.look(cluster, readers.of(seen.ref.kind, seen.ref.name))
    return tuple(needing.decide(workload, _changed(seen.live, None), _watches) for workload in workloads)


async def _mute(cluster: ClusterReader, target: Target, needs: Sequence[Need]) -> bool:
    """Whether what the programs say is needed as a proof, and can't be had."""
    if not any(need.what == "reload" for need in needs):
        return False
    answers = await cluster.may((Access("get", "", "pods/proxy", target.namespace),))
    return not all(answer.allowed for answer in answers)


async def _listed(cluster: ClusterReader, namespace: str) -> list[Object]:
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


def _refuse_unrestartable(target: Target, need: Need) -> None:
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
    around = Around(target.namespace, names, tuple(sets))
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


async def _restart_value(cluster: ClusterReader) -> str:
    return (await cluster.server_time()).strftime("%Y-%m-%dT%H:%M:%SZ")


def _steps(target: Target, content: Content, needs: Sequence[Need], ring: Ring, value: str) -> list[Step]:
    """Receivers before the ring that names them; readers of an immutable object away before it is made anew."""
    found = [steps.grow(growth, target) for growth in ring.growth]
    found += [steps.scale_away(need, target) for need in needs if need.what == "scale"]
    found.append(steps.restore(content, target, writing(content)))
    for need in needs:
        found += steps.of_reader(need, target, content, value)
    return found


def writing(content: Content) -> tuple[Access, ...]:
    """The rights to put the object back, and to take that back."""
    from backout.mechanisms.objects.history import resource_of

    resource, ref = resource_of(content.ref), content.ref
    verbs = ["get"] if content.how == "unchanged" else ["get", "update"]
    if content.how == "create":
        verbs = ["get", "create", "delete", "list", "watch"]
    if content.how == "recreate":
        verbs = ["get", "create", "update", "delete", "list", "watch"]
    return tuple(Access(verb, resource.group, resource.plural, ref.namespace) for verb in verbs)
