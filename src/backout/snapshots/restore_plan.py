# SPDX-License-Identifier: Apache-2.0
"""What a restore would do to each object, tried on the server (dry-run) before anything is written.

Objects that are as they were cost no write. What belongs to a controller, and Helm's own history, is left alone.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec

from backout.cluster.port import NAMESPACES, SERVICES, ClusterReader, Object, Resource
from backout.errors import AccessDenied, AlreadyExists, Conflict, Invalid, ObjectNotFound, RefusedError
from backout.kube.sanitise import controller, helm_record_name, sanitise
from backout.model.change import FieldChange
from backout.model.message import Message, msg, of_error
from backout.model.part import Access
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef
from backout.ownership.signs import TOOLS
from backout.snapshots.autoscaled import Autoscaler, Scalers, keeps_replicas, replicas_of, with_replicas_of
from backout.snapshots.collect import encode
from backout.snapshots.desired import (
    equal,
    must_recreate,
    rank,
    refreshed,
    update,
    without_addresses,
    without_node_ports,
)
from backout.snapshots.diff import TextChange, describe
from backout.snapshots.known import learn_from
from backout.snapshots.repository import Repository
from backout.snapshots.selection import Selection

AT_ONCE = 8
ATTEMPTS = 6
FEW = 10
"""Up to so many objects of a kind are read one by one; more are listed."""

RestoreAction = Literal["create", "update", "recreate", "unchanged", "left-alone", "blocked"]
RestoreState = Literal["", "done", "failed", "unknown", "not-reached"]


class RestoreItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object: what is to be done, why not, and in the end what came of it."""

    ref: ObjectRef
    action: RestoreAction
    reason: Message | None = None
    notes: tuple[Message, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    texts: tuple[TextChange, ...] = ()
    owner: str = ""
    state: RestoreState = ""

    @property
    def writes(self) -> bool:
        """True when something is to be written."""
        return self.action in ("create", "update", "recreate")


class Work(msgspec.Struct):
    """An item with the bodies that only the writer sees: they hold secrets."""

    item: RestoreItem
    resource: Resource | None = None
    body: Object | None = None
    live: Object | None = None


class RestorePlan(msgspec.Struct):
    """In the order of writing."""

    snapshot: Snapshot
    works: list[Work]

    @property
    def items(self) -> tuple[RestoreItem, ...]:
        """What may be told of it."""
        return tuple(work.item for work in self.works)


async def plan_restore(
    cluster: ClusterReader,
    repository: Repository,
    snapshot: Snapshot,
    selection: Selection,
    *,
    include_owned: bool = False,
) -> RestorePlan:
    """Reads, compares, and tries every write on the server without carrying it out.

    Raises:
        RefusedError: the namespace is gone or on its way out.
        ObjectNotFound: something that was named is not in the snapshot.
        RepositoryDamaged: something of the snapshot is missing or altered.
    """
    entries = [entry async for entry in repository.entries(snapshot)]
    await learn_from(repository, entries)
    entries = [entry for entry in entries if selection(entry)]
    selection.require_all(snapshot)
    await _require_namespace(cluster, snapshot, entries)
    works: list[Work] = []
    by_kind: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        reason = left_alone(entry, include_owned=include_owned)
        if reason is None:
            by_kind[entry.ref.api_version, entry.ref.kind].append(entry)
        else:
            works.append(Work(_item(entry, "left-alone", reason)))
    scalers = Scalers(cluster, snapshot.namespace)
    for some in by_kind.values():
        works += await _of_kind(cluster, repository, scalers, some, include_owned=include_owned)
    works.sort(key=lambda work: (rank(work.item.ref.kind), work.item.ref.kind, work.item.ref.name))
    gate = asyncio.Semaphore(AT_ONCE)

    async def tried(work: Work) -> None:
        async with gate:
            await _try(cluster, work)

    await asyncio.gather(*(tried(work) for work in works if work.item.writes))
    return RestorePlan(snapshot, works)


async def plan_one(
    cluster: ClusterReader, resource: Resource, entry: Entry, content: Object, live: Object | None
) -> Work:
    """What a restore of a single object would do, tried on the server; nothing but that object is read.

    Whoever owns it is not asked: that is for the caller.
    """
    work = _work(entry, resource, content, live, None, include_owned=True)
    if not work.item.writes:
        return work
    verb = "update" if work.item.action == "update" else "create"
    (right,) = await cluster.may([Access(verb, resource.group, resource.plural, entry.ref.namespace)])
    if right.allowed:
        await _try(cluster, work)
        return work
    # Which rights are missing is told with all others of the plan, as a Role that grants them.
    note = msg("The server could not try it: you may not {verb} {resource} here.", verb=verb, resource=resource.plural)
    work.item = msgspec.structs.replace(work.item, notes=(*work.item.notes, note))
    return work


def left_alone(entry: Entry, *, include_owned: bool) -> Message | None:
    """Why an entry is not put back."""
    group, slash, _ = entry.ref.api_version.partition("/")
    if entry.ref.kind == "Job" and group == "batch":
        return msg("a Job that is created anew runs again")
    if entry.ref.kind == "PersistentVolumeClaim" or (slash and group in ("longhorn.io", "snapshot.storage.k8s.io")):
        return msg("it stands for data, which a snapshot does not hold")
    if include_owned:
        return None
    if helm_record_name(entry.ref.kind, entry.ref.name):
        return msg("it is Helm's own history; --include-owned puts it back")
    if entry.owner_kind in ("operator", "controller"):
        return msg("{owner} makes it, and would undo any change; --include-owned puts it back", owner=entry.owner)
    return None


async def _require_namespace(cluster: ClusterReader, snapshot: Snapshot, entries: Sequence[Entry]) -> None:
    first = str(entries[0].ref) if entries else "nothing"
    try:
        found = await cluster.get(NAMESPACES, snapshot.namespace)
    except AccessDenied:
        return
    except ObjectNotFound:
        raise RefusedError(
            "There is no namespace {namespace}, so {object} and the others can't be put back.",
            namespace=snapshot.namespace,
            object=first,
            hint="kubectl create namespace {namespace}",
        ) from None
    if found["metadata"].get("deletionTimestamp"):
        raise RefusedError(
            "The namespace {namespace} is being deleted, so {object} and the others can't be put back.",
            namespace=snapshot.namespace,
            object=first,
            hint="wait until it is gone, then create it anew",
        ) from None


async def _of_kind(
    cluster: ClusterReader, repository: Repository, scalers: Scalers, entries: list[Entry], *, include_owned: bool
) -> list[Work]:
    first = entries[0].ref
    try:
        resource = await cluster.resource(first.api_version, first.kind)
        live = await _live(cluster, resource, entries)
    except (ObjectNotFound, AccessDenied) as error:
        return [Work(_item(entry, "blocked", of_error(error))) for entry in entries]
    works, changed = [], []
    for entry in entries:
        now = live.get(entry.ref.name)
        if now is not None and repository.address(encode(sanitise(now))) == entry.address:
            works.append(Work(_item(entry, "unchanged")))
        else:
            changed.append(entry)
    for start in range(0, len(changed), AT_ONCE * 25):
        some = changed[start : start + AT_ONCE * 25]
        for entry, content in zip(some, await repository.get_many(some), strict=True):
            body, now, scaler = msgspec.json.decode(content), live.get(entry.ref.name), None
            if now is not None and replicas_of(body) != replicas_of(now):
                scaler = await scalers.of(entry.ref)
            works.append(_work(entry, resource, body, now, scaler, include_owned=include_owned))
    return works


async def _live(cluster: ClusterReader, resource: Resource, entries: list[Entry]) -> dict[str, Object]:
    names = {entry.ref.name for entry in entries}
    namespace = entries[0].ref.namespace
    found: dict[str, Object] = {}
    if len(entries) > FEW:
        async for page in cluster.pages(resource, namespace, limit=200):
            found |= {obj["metadata"]["name"]: obj for obj in page if obj["metadata"]["name"] in names}
        return found

    async def one(name: str) -> None:
        try:
            obj = await cluster.get(resource, name, namespace)
        except ObjectNotFound:
            return
        found[name] = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}

    # Whether the kind itself is served: a single object's 404 does not tell.
    async for _ in cluster.pages(resource, namespace, limit=1):
        break
    await asyncio.gather(*(one(name) for name in sorted(names)))
    return found


def _work(
    entry: Entry,
    resource: Resource,
    content: Object,
    live: Object | None,
    scaler: Autoscaler | Message | None,
    *,
    include_owned: bool,
) -> Work:
    if live is None:
        return Work(_item(entry, "create"), resource, content)
    if live["metadata"].get("deletionTimestamp"):
        return Work(_item(entry, "blocked", msg("it is being deleted; wait until it is gone")), resource)
    owner = controller(live)
    if owner is not None and not include_owned:
        made_by = f"{str(owner['kind']).lower()}/{owner['name']}"
        reason = msg("{owner} makes it, and would undo any change; --include-owned puts it back", owner=made_by)
        return Work(_item(entry, "left-alone", reason), resource)
    notes: tuple[Message, ...] = (scaler,) if isinstance(scaler, Message) else ()
    if isinstance(scaler, Autoscaler) and keeps_replicas(scaler, live):
        notes = (
            msg(
                "its number of replicas belongs to {scaler}, and stays {now}", scaler=scaler.name, now=replicas_of(live)
            ),
        )
        content = with_replicas_of(content, live)
    body = update(content, live)
    if equal(body, live):
        if content != sanitise(live):
            notes = (*notes, msg("its cluster address is another one now, and stays"))
        return Work(_item(entry, "unchanged", notes=notes), resource)
    fields, texts = describe(sanitise(live), sanitise(body))
    if not must_recreate(content, live):
        return Work(_item(entry, "update", fields=fields, texts=texts, notes=notes), resource, body, live)
    if live["metadata"].get("finalizers"):
        reason = msg("it can't be changed, and finalizers keep it from being deleted at once")
        return Work(_item(entry, "blocked", reason), resource)
    note = msg("it can't be changed: it is deleted and created anew; pods keep what they read until they restart")
    if content["kind"] == "Service":
        note = msg("it can't be changed: it is deleted and created anew, and may get another address")
    return Work(_item(entry, "recreate", fields=fields, texts=texts, notes=(note,)), resource, content, live)


def _item(entry: Entry, action: RestoreAction, reason: Message | None = None, **more: Any) -> RestoreItem:
    notes = (*more.pop("notes", ()), *(_consequences(entry) if action in ("create", "update", "recreate") else ()))
    return RestoreItem(ref=entry.ref, action=action, reason=reason, owner=entry.owner, notes=notes, **more)


def _consequences(entry: Entry) -> tuple[Message, ...]:
    name = entry.owner.partition("/")[2]
    if entry.owner_kind == "helm":
        return (
            msg(
                "The Helm release {name} does not know of this: its next upgrade or rollback writes its own again.",
                name=name,
            ),
        )
    if entry.owner_kind == "argocd":
        return (
            msg(
                "Argo CD's application {name} sees a drift; with self-heal it writes Git's state back at once.",
                name=name,
            ),
        )
    if entry.owner_kind in TOOLS:
        return (msg("{owner} keeps it as its source says, and writes that back at its next look.", owner=entry.owner),)
    return ()


async def _try(cluster: ClusterReader, work: Work) -> None:
    """Asks the server, without writing. What it refuses is blocked, with its own words."""
    assert work.body is not None
    item = work.item
    try:
        if item.action == "update":
            answer = await _put(cluster, work)
            assert work.live is not None
            if equal(answer, {"apiVersion": item.ref.api_version, "kind": item.ref.kind, **work.live}):
                work.item = msgspec.structs.replace(item, action="unchanged", fields=(), texts=(), notes=())
        elif item.action == "create":
            await _post(cluster, work)
        else:
            # Everything is looked at before the name is: an object that exists proves that the new one is valid.
            try:
                await cluster.dry_run_create(work.body)
            except AlreadyExists:
                return
            except Invalid:
                if item.ref.kind != "Service":
                    raise
    except Invalid as error:
        if "does not support dry run" in error.message:
            note = msg("The server could not try it: an admission webhook has no dry-run.")
            work.item = msgspec.structs.replace(item, notes=(*item.notes, note))
            return
        work.item = msgspec.structs.replace(item, action="blocked", reason=of_error(error))
    except (AccessDenied, Conflict, ObjectNotFound) as error:
        work.item = msgspec.structs.replace(item, action="blocked", reason=of_error(error))


async def _put(cluster: ClusterReader, work: Work) -> Object:
    assert work.body is not None
    try:
        return await put(cluster, work, cluster.dry_run_replace)
    except Invalid as error:
        if work.item.ref.kind != "Service" or "nodePort" not in error.message:
            raise
        work.body = without_node_ports(work.body, work.live)
        answer = await put(cluster, work, cluster.dry_run_replace)
        note = msg("Its node port belongs to another Service now, so it keeps the present one.")
        work.item = msgspec.structs.replace(work.item, notes=(*work.item.notes, note))
        return answer


async def put(cluster: ClusterReader, work: Work, replace: Callable[[Object], Awaitable[Object]]) -> Object:
    """PUT, or its dry run, on the object as it was read. Controllers write status all the time: that alone is no conflict.

    Raises:
        Conflict: somebody changed what counts.
        BackoutError: as `Cluster.replace`.
    """
    assert work.body is not None and work.live is not None and work.resource is not None
    ref = work.item.ref
    for left in reversed(range(ATTEMPTS)):
        try:
            return await replace(work.body)
        except Conflict:
            found = await cluster.get(work.resource, ref.name, ref.namespace)
            now = {"apiVersion": ref.api_version, "kind": ref.kind, **found}
            body = refreshed(work.body, work.live, now)
            if not left or body is None:
                raise
            work.body, work.live = body, now
    raise AssertionError("unreachable")


async def _post(cluster: ClusterReader, work: Work) -> None:
    assert work.body is not None
    try:
        await cluster.dry_run_create(work.body)
        taken = work.item.ref.kind == "Service" and await _address_taken(cluster, work.body)
    except Invalid:
        if work.item.ref.kind != "Service":
            raise
        taken = True
    if taken:
        work.body = without_addresses(work.body)
        await cluster.dry_run_create(work.body)
        note = msg("Its old addresses can't be had any more, so it gets new ones.")
        work.item = msgspec.structs.replace(work.item, notes=(*work.item.notes, note))


async def _address_taken(cluster: ClusterReader, service: Object) -> bool:
    """A dry run does not find that out (dryRunAllocator in pkg/registry/core/service/ipallocator): addresses are
    asked for only when a Service is really written. False also where Services of other namespaces may not be listed."""
    address = (service.get("spec") or {}).get("clusterIP")
    if not address or address == "None":
        return False
    try:
        return bool(await cluster.list_all(SERVICES, fields=f"spec.clusterIP={address}"))
    except AccessDenied:
        return False
