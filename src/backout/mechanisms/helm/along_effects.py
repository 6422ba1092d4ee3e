# SPDX-License-Identifier: Apache-2.0
"""Before helm deletes a definition: nothing goes along that the plan does not name. And the way back: definition first,
then what it had taken along, as it was captured."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import msgspec

from backout.cluster.gone import until_gone
from backout.cluster.port import ClusterReader, Object, find
from backout.errors import AlreadyExists, ObjectNotFound, PreconditionFailed, TimedOut
from backout.helm.manifest import entries
from backout.helm.payload import Release
from backout.kube.definitions import CRDS
from backout.kube.names import HELM_KEEP
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.helm.analysis import held
from backout.mechanisms.port import StepContext
from backout.model.message import few, msg
from backout.model.target import ObjectRef
from backout.snapshots.capture import Capture, captured_object

SERVED_WITHIN = 60.0
"""Seconds within which the API server serves a definition that was made."""
_LOOK = 0.2


async def require_only(
    cluster: ClusterReader, current: Release, wanted: Release, named: Collection[ObjectRef], release: str
) -> None:
    """What helm is about to delete takes no custom resource along that is neither named nor the release's own.

    Raises:
        PreconditionFailed: it would, or which there are may not be read.
    """
    kind, namespace = CRDS.kind, wanted.namespace
    kept = {entry.name for entry in entries(wanted.manifest, {kind})}
    known = {_plain(ref) for ref in named} | {
        _plain(entry.ref(namespace)) for entry in entries(current.manifest) if entry.kind != kind
    }
    for entry in entries(current.manifest, {kind}):
        if entry.name in kept:
            continue
        try:
            live = await cluster.get(CRDS, entry.name)
        except ObjectNotFound:
            continue
        if ((live["metadata"].get("annotations")) or {}).get(HELM_KEEP) == "keep":
            continue
        found = await held(cluster, live)
        more = None if found is None else [ref for ref in found if _plain(ref) not in known]
        if more == []:
            continue
        raise PreconditionFailed(
            "{object} would take custom resources with it that the plan does not name: {names}.",
            object=str(entry.ref(namespace)),
            names=few([f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name for ref in more])
            if more
            else msg("which there are may not be read"),
            expected="those that were there when the plan was made",
            found="others",
            release=release,
            hint="Nothing was written. Look whose they are; then plan anew, or keep the definition: mark it with "
            "helm.sh/resource-policy=keep.",
        )


async def require_named(
    cluster: ClusterReader, current: Release, wanted: Release, named: Collection[ObjectRef]
) -> None:
    """What helm is about to delete is what the plan says that it deletes: all of that was shown, asked for and captured.

    Raises:
        PreconditionFailed: it would delete something else.
    """
    namespace = wanted.namespace
    stays = {_plain(entry.ref(namespace)) for entry in entries(wanted.manifest)}
    known = {_named(ref) for ref in named}
    going = [entry.ref(namespace) for entry in entries(current.manifest)]
    more = []
    for ref in going:
        # A namespace that a manifest does not need to name is none of a cluster-wide object.
        if _plain(ref) in stays or _named(ref) in known or _named(msgspec.structs.replace(ref, namespace="")) in known:
            continue
        live = await find(cluster, ref)
        if live is not None and ((live["metadata"].get("annotations")) or {}).get(HELM_KEEP) != "keep":
            more.append(str(ref))
    if more:
        raise PreconditionFailed(
            "Helm would delete what the plan does not say that it deletes: {objects}.",
            objects=few(more),
            expected="nothing but what the plan names",
            found="{objects}",
            hint="Nothing was written. It was made, or its mark helm.sh/resource-policy taken away, since the plan; plan anew.",
        )


def _named(ref: ObjectRef) -> tuple[str, str, str]:
    return ref.kind, ref.namespace, ref.name


async def out_of_the_way(cluster: ClusterReader, definitions: Sequence[ObjectParams]) -> None:
    """A definition that is still being deleted can't be made again: its end is waited for.

    Raises:
        TimedOut: something holds it.
    """
    for entry in definitions:
        try:
            live = await cluster.get(CRDS, entry.name)
        except ObjectNotFound:
            continue
        if live["metadata"].get("deletionTimestamp"):
            await until_gone(cluster, CRDS, entry.ref, str(live["metadata"]["uid"]))


async def make_again(
    context: StepContext, captured: Capture, definitions: Sequence[ObjectParams], objects: Sequence[ObjectParams]
) -> list[str]:
    """Makes the custom resources as they were captured; those that are there already stay as they are. The names of those made.

    Raises:
        TimedOut: a definition is not served.
        CaptureError: one was not captured.
        BackoutError: the API server refuses one.
    """
    gone = {msgspec.structs.replace(entry.ref, uid="") for entry in captured.absent}
    wanted = [captured_object(captured, entry.ref) for entry in objects if entry.ref not in gone]
    if not wanted:
        return []
    for entry in definitions:
        await _served(context.cluster, entry)
    made = []
    for former in wanted:
        ref = ObjectRef.of(former)
        if await find(context.cluster, msgspec.structs.replace(ref, uid="")) is not None:
            continue
        await context.guard()
        try:
            await context.cluster.create(sanitise(former))
        except AlreadyExists:
            continue
        made.append(str(ref))
    return made


async def _served(cluster: ClusterReader, definition: ObjectParams) -> None:
    end = asyncio.get_running_loop().time() + SERVED_WITHIN
    while True:
        try:
            live: Object = await cluster.get(CRDS, definition.name)
        except ObjectNotFound:
            live = {"metadata": {}}
        conditions = (live.get("status") or {}).get("conditions") or ()
        if any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions):
            return
        if asyncio.get_running_loop().time() > end:
            raise TimedOut(
                "{object} is not served after {seconds} s, so its custom resources can't be made again yet.",
                object=definition.label,
                seconds=SERVED_WITHIN,
                hint="Look at its conditions: kubectl describe crd {name}",
                name=definition.name,
            )
        await asyncio.sleep(_LOOK)


def _plain(ref: ObjectRef) -> tuple[str, str, str, str]:
    return ref.api_version.partition("/")[0], ref.kind, ref.namespace, ref.name
