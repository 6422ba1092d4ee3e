# SPDX-License-Identifier: Apache-2.0
"""Object by object, what a rollback would do now, and what the API server says to it (dry run). Writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Resource
from backout.errors import AccessDenied, AlreadyExists, BackoutError, Conflict, Invalid, ObjectNotFound
from backout.helm.customs import CustomId
from backout.helm.manifest import Entry, Key, entries
from backout.helm.merge import built_in, owned, three_way, two_way
from backout.helm.payload import Release
from backout.helm.records import Record
from backout.helm.staying import Kept, staying, ways_to_stay
from backout.kube.diff import diff_objects
from backout.kube.names import HELM_KEEP
from backout.kube.projections import Named
from backout.mechanisms.common.evidence import WorkloadId
from backout.mechanisms.helm.children import Custom
from backout.mechanisms.helm.holders import with_holders
from backout.mechanisms.helm.params import Holder
from backout.mechanisms.helm.raised import Raised, raised, with_number
from backout.model.change import FieldChange
from backout.model.skip import Skip
from backout.model.target import ObjectRef

MANAGER = "helm"
PARALLEL = 8
ATTEMPTS = 5

Object = dict[str, Any]
_VOLATILE = ("resourceVersion", "managedFields", "creationTimestamp", "generation", "selfLink")


SEALED = ("ConfigMap", "Secret")
"""Kinds that may be ``immutable``."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One object of either manifest.

    ``gone`` when the target lacks it, so that Helm deletes it; ``kept`` when its annotation forbids that; ``spared`` when it is
    kept because somebody asked for that, and has to be marked so. ``after`` is the object as the server would store it, or as
    we reckon it where the server was not or could not be asked. ``refusal`` is the server's answer when it would not accept
    the write. ``holds``: of a definition that goes, the custom resources of every namespace, which go with it; None where they
    can't be listed.
    """

    ref: ObjectRef
    resource: Resource | None
    base: Object | None = None
    target: Object | None = None
    live: Object | None = None
    after: Object | None = None
    fields: tuple[FieldChange, ...] = ()
    gone: bool = False
    kept: bool = False
    asked: bool = False
    refusal: BackoutError | None = None
    stays: tuple[FieldChange, ...] = ()
    """What of it can't go back and stays as it is: from what is live to what the target revision asks for. ``target`` then says
    what stays."""
    holds: tuple[ObjectRef, ...] | None = ()
    spared: bool = False
    raised: Raised | None = None
    """The number of its pods, which somebody raised, and which stays."""
    holders: tuple[Holder, ...] = ()
    """Of an immutable object that has to be made anew: the workloads whose pods make the nodes keep what it held."""
    others: tuple[str, ...] = ()
    """And pods that belong to none of those."""

    @property
    def sealed(self) -> bool:
        """True for an immutable object that would hold something else."""
        changes = isinstance(self.refusal, Invalid) and self.target is not None and bool(self.fields)
        return changes and self.ref.kind in SEALED and bool((self.live or {}).get("immutable"))

    @property
    def stranger(self) -> bool:
        """True when it exists and the target has it, but the current revision does not."""
        return self.live is not None and self.base is None and self.target is not None

    @property
    def custom(self) -> bool:
        """True for custom resources and CRDs, which Helm merges without looking at the live object."""
        group, slash, _ = self.ref.api_version.partition("/")
        return not built_in(group if slash else "", self.ref.kind)


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the way back to one revision rests on, as observed at one moment."""

    head: Record
    head_release: Release
    target: Record
    target_release: Release
    server_side: bool
    items: tuple[Item, ...]
    hooks: bool = True
    """Whether Helm runs the hooks of the revision."""
    customs: dict[CustomId, Custom] = {}
    """The release's custom resources of which something was made or somebody is to say how they are, as they are now."""
    mute: frozenset[CustomId] = frozenset()
    """Those of which nobody says anything: they only configure something."""
    doubled: tuple[int, ...] = ()
    """Revisions that all say deployed, where those are several."""
    skip: tuple[Skip, ...] = ()
    """What is to be left as it is."""

    @property
    def namespace(self) -> str:
        """The release's namespace."""
        return self.head.namespace


async def analyse(
    cluster: ClusterReader,
    head: tuple[Record, Release],
    target: tuple[Record, Release],
    *,
    server_side: bool,
    hooks: bool = True,
    customs: dict[CustomId, Custom] | None = None,
    mute: frozenset[CustomId] = frozenset(),
    concerned: Collection[WorkloadId] = (),
) -> Analysis:
    """Compares both manifests and the live objects, and asks the server about each write. ``concerned``: workloads that fail, or that
    are blamed for what does.

    Raises:
        TooLarge, Invalid: a manifest can't be read.
    """
    record, head_release = head
    namespace = record.namespace
    before = {entry.key(namespace): entry for entry in entries(head_release.manifest)}
    after = {entry.key(namespace): entry for entry in entries(target[1].manifest)}
    gate = asyncio.Semaphore(PARALLEL)

    async def one(key: Key) -> Item:
        async with gate:
            return await _item(cluster, before.get(key), after.get(key), record, concerned, server_side=server_side)

    items = await asyncio.gather(*(one(key) for key in [*after, *(key for key in before if key not in after)]))
    items = await with_holders(cluster, items)
    kept = [kept_of(item.ref, item.target) for item in items if item.stays and item.target is not None]
    kept += [scaled_of(item.ref, item.raised.now) for item in items if item.raised is not None]
    release = target[1]
    if kept:
        release = msgspec.structs.replace(release, manifest=staying(release.manifest, namespace, kept))
    return Analysis(
        head=record,
        head_release=head_release,
        target=target[0],
        target_release=release,
        server_side=server_side,
        items=tuple(items),
        hooks=hooks,
        customs=customs or {},
        mute=mute,
    )


async def _item(
    cluster: ClusterReader,
    base: Entry | None,
    target: Entry | None,
    record: Record,
    concerned: Collection[WorkloadId],
    *,
    server_side: bool,
) -> Item:
    entry = target or base
    assert entry is not None
    ref = entry.ref(record.namespace)
    try:
        resource = await cluster.resource(ref.api_version, ref.kind)
    except ObjectNotFound as error:
        return Item(ref=ref, resource=None, refusal=error if target else None, gone=target is None)
    if not resource.namespaced:
        ref = msgspec.structs.replace(ref, namespace="")
    live: Object | None
    try:
        live = await cluster.get(resource, ref.name, ref.namespace)
        ref = msgspec.structs.replace(ref, uid=live["metadata"].get("uid", ""))
    except ObjectNotFound:
        live = None
    except AccessDenied as error:
        return Item(
            ref=ref,
            resource=resource,
            gone=target is None,
            refusal=error,
            base=base.object if base else None,
            target=target.object if target else None,
        )
    if target is None:
        notes = ((live or {}).get("metadata") or {}).get("annotations") or {}
        return Item(
            ref=ref,
            resource=resource,
            base=base.object if base else None,
            live=live,
            gone=True,
            kept=live is None or notes.get(HELM_KEEP) == "keep",
            holds=await held(cluster, live) if live is not None and ref.kind == "CustomResourceDefinition" else (),
        )
    wanted = _located(owned(target.object, record.release, record.namespace), ref)
    before = owned(base.object, record.release, record.namespace) if base else None
    up = raised(ref, before, wanted, live, concerned) if live is not None else None
    if up is not None:
        wanted = with_number(wanted, up.now)
    item = await _ask(cluster, ref, resource, before, wanted, live, server_side=server_side)
    item = msgspec.structs.replace(item, raised=up)
    if live is None or not isinstance(item.refusal, Invalid):
        return item
    for other in ways_to_stay(before, wanted, live):
        again = await _ask(cluster, ref, resource, before, other, live, server_side=server_side)
        if again.refusal is None:
            moving = {field.path for field in again.fields}
            return msgspec.structs.replace(again, stays=tuple(f for f in item.fields if f.path not in moving))
    return item


def kept_of(ref: ObjectRef, target: Object) -> Kept:
    """What an object keeps, for the manifest that says so."""
    return Kept(ref.kind, ref.namespace, ref.name, target["spec"])


def scaled_of(ref: ObjectRef, replicas: int) -> Kept:
    """The number of pods that a workload keeps, for the manifest that says so."""
    return Kept(ref.kind, ref.namespace, ref.name, replicas=replicas)


async def held(cluster: ClusterReader, definition: Object) -> tuple[ObjectRef, ...] | None:
    """The custom resources of a definition, in every namespace; None where they can't be listed."""
    spec = definition.get("spec") or {}
    names = spec.get("names") or {}
    version = next((one["name"] for one in spec.get("versions") or () if one.get("served")), "")
    if not version:
        return None
    api = f"{spec.get('group', '')}/{version}"
    resource = Resource(api, str(names.get("kind")), str(names.get("plural")), spec.get("scope") == "Namespaced")
    try:
        found = await cluster.list_as(Named, resource, metadata_only=True)
    except BackoutError:
        return None
    return tuple(sorted(ObjectRef(api, resource.kind, one.metadata.name, one.metadata.namespace) for one in found))


def _located(obj: Object, ref: ObjectRef) -> Object:
    if ref.namespace:
        obj["metadata"]["namespace"] = ref.namespace
    else:
        obj["metadata"].pop("namespace", None)
    return obj


async def _ask(
    cluster: ClusterReader,
    ref: ObjectRef,
    resource: Resource,
    base: Object | None,
    wanted: Object,
    live: Object | None,
    *,
    server_side: bool,
) -> Item:
    after, asked, refusal = wanted, True, None
    for attempt in range(ATTEMPTS):
        guess = reckon(base, wanted, live, ref) if live is not None else wanted
        try:
            after, refusal = await _send(cluster, wanted, guess, live, server_side=server_side), None
        except (Invalid, Conflict) as error:
            after, refusal = guess, error
            if live is not None and _raced(error):
                # A controller wrote the status in between; that says nothing against the rollback.
                if attempt < ATTEMPTS - 1:
                    live = await cluster.get(resource, ref.name, ref.namespace)
                    continue
                asked, refusal = False, None
            elif server_side and isinstance(error, Conflict) and "fields" in error.arguments:
                # What taking the fields over would make of it, should that be approved.
                with contextlib.suppress(Invalid, Conflict, AccessDenied):
                    after = await cluster.dry_run_apply(wanted, manager=MANAGER, force=True)
        except AccessDenied:
            # The right to write is told apart by the access review; here it only means that nobody was asked.
            after, asked = guess, False
        break
    return Item(
        ref=ref,
        resource=resource,
        base=base,
        target=wanted,
        live=live,
        after=after,
        asked=asked,
        refusal=refusal,
        fields=diff_objects(live, after),
    )


def reckon(base: Object | None, target: Object, live: Object, ref: ObjectRef) -> Object:
    """The live object after a client-side apply."""
    group, slash, _ = ref.api_version.partition("/")
    if built_in(group if slash else "", ref.kind):
        # An object that the base manifest does not know is its own base (helm 4.0.5 and later).
        return three_way(base or {}, target, live)
    return two_way(base or live, target, live)


async def _send(
    cluster: ClusterReader, wanted: Object, guess: Object, live: Object | None, *, server_side: bool
) -> Object:
    if live is None:
        return await cluster.dry_run_create(wanted)
    if server_side:
        return await cluster.dry_run_apply(wanted, manager=MANAGER, force=False)
    return await cluster.dry_run_replace(_writable(guess, live))


def _raced(error: BackoutError) -> bool:
    """True for a conflict over the whole object, not over the owner of a field."""
    return isinstance(error, Conflict) and not isinstance(error, AlreadyExists) and "fields" not in error.arguments


def _writable(obj: Object, live: Object) -> Object:
    """``obj`` as a PUT that holds only for the live object that was read."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in _VOLATILE}
    meta["resourceVersion"] = live["metadata"]["resourceVersion"]
    body = {key: value for key, value in obj.items() if key != "status"}
    return {**body, "metadata": meta}
