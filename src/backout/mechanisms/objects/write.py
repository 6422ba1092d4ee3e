# SPDX-License-Identifier: Apache-2.0
"""Effects on the object itself: exactly as a snapshot, or the capture of a run, has it. Each looks before it writes.

What is written never stands in a step: it is read from the repository, or the capture, when it is needed.
"""

from __future__ import annotations

from typing import NoReturn

import msgspec

from backout.cluster.gone import until_gone
from backout.cluster.port import Cluster, Object, Resource
from backout.errors import (
    AccessDenied,
    AlreadyExists,
    BackoutError,
    CaptureError,
    Conflict,
    Invalid,
    ObjectNotFound,
    PreconditionFailed,
    RepositoryNotFound,
)
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.objects.history import found_as, holds, live_object, resource_of
from backout.mechanisms.objects.params import PutBackParams, RestoreParams
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg, of_error
from backout.model.target import ObjectRef
from backout.snapshots import source
from backout.snapshots.capture import captured_object
from backout.snapshots.desired import must_recreate, update, without_addresses, without_node_ports
from backout.snapshots.repository import Repository

ATTEMPTS = 5
"""Tries against other writers; each time what must hold is checked anew."""


class Way(msgspec.Struct, frozen=True):
    """How an object gets to a content."""

    keep_node_ports: bool = False
    new_addresses: bool = False
    half_done: bool = False
    """It may have been deleted already, to be made anew."""


async def restore(context: StepContext, step: StepOf[RestoreParams]) -> StepOutcome:
    """Writes the content that the step names.

    Raises:
        PreconditionFailed: the object is not what it was when the plan was made.
        RepositoryNotFound, RepositoryDamaged: the content can't be read any more.
    """
    params = step.params
    ref, resource = params.ref, resource_of(params.ref)
    content, repository = await content_of(params.repository, params.address)
    way = Way(
        keep_node_ports=params.keep_node_ports, new_addresses=params.new_addresses, half_done=params.how == "recreate"
    )
    for _ in range(ATTEMPTS):
        live = await live_object(context.cluster, resource, ref)
        if live is not None and _reached(live, content, way):
            return StepOutcome(False, msg("{ref} holds that already.", ref=params.label))
        if live is not None and live["metadata"].get("deletionTimestamp"):
            await until_gone(context.cluster, resource, ref, str(live["metadata"]["uid"]))
            continue
        if not (live is None and way.half_done):
            _as_planned(step, live, repository)
        try:
            await _write(context, ref, resource, live, content, way)
        except (Conflict, ObjectNotFound):
            continue
        return StepOutcome(
            True, msg("{ref} holds what it held in snapshot {id} again.", ref=params.label, id=params.snapshot[:8])
        )
    raise _restless(step)


async def put_back(context: StepContext, step: StepOf[PutBackParams]) -> StepOutcome:
    """Takes `restore` back: the object is as the run found it, or gone again if it was missing.

    Raises:
        CaptureError: the capture is missing, damaged, or does not hold the object.
        PreconditionFailed: the object is not what the run left behind.
    """
    params = step.params
    if params.capture is None:
        raise CaptureError("The step does not say which capture {ref} is put back from.", ref=params.label)
    captured, ref, resource = params.capture.load(), params.ref, resource_of(params.ref)
    missing = any(msgspec.structs.replace(entry.ref, uid="") == ref for entry in captured.absent)
    former = None if missing else sanitise(captured_object(captured, ref))
    written, _ = await content_of(params.written.repository, params.written.address)
    for _ in range(ATTEMPTS):
        live = await live_object(context.cluster, resource, ref)
        if former is None and live is None:
            return StepOutcome(False, msg("{ref} is missing, as it was before the run.", ref=step.params.label))
        if former is not None and live is not None and _reached(live, former, Way()):
            return StepOutcome(False, msg("{ref} is as it was before the run.", ref=step.params.label))
        half_done = live is None and former is not None and must_recreate(former, {**written, "metadata": {}})
        if not half_done and (live is None or not holds(live, written)):
            raise PreconditionFailed(
                "{ref} was changed after the run.",
                ref=step.params.label,
                expected="the content that the run put back",
                found="another one, or none",
                hint="Somebody works on it. Look at `backout changes`, then mend it by hand.",
            )
        try:
            if former is None:
                assert live is not None
                await _delete(context, resource, ref, live)
            else:
                await _write(context, ref, resource, live, former, Way())
        except (Conflict, ObjectNotFound):
            continue
        if former is None:
            return StepOutcome(True, msg("{ref} is gone again, as it was before the run.", ref=step.params.label))
        return StepOutcome(True, msg("{ref} is as it was before the run again.", ref=step.params.label))
    raise _restless(step)


async def content_of(id: str, address: str) -> tuple[Object, Repository]:
    """The content at an address of the repository of that id, and the repository, closed: it still names contents."""
    async with source.opened() as repository:
        if repository is None or repository.id != id:
            raise RepositoryNotFound(
                "The repository of snapshots that the plan was made with is not the configured one.",
                expected="repository {wanted}",
                found="{other}",
                wanted=id[:8],
                other=f"repository {repository.id[:8]}" if repository is not None else "none",
                hint="use the same configuration as for the plan",
            )
        content = await repository.get(address)
        decoded: Object = msgspec.json.decode(content)
        return decoded, repository


def _as_planned(step: StepOf[RestoreParams], live: Object | None, repository: Repository) -> None:
    planned, uid = step.precondition.get("found"), step.precondition.get("uid")
    if live is not None and uid and live["metadata"]["uid"] != uid:
        raise PreconditionFailed(
            "{ref} was deleted and made again after the plan was made.",
            ref=step.params.label,
            expected="the object with uid {was}",
            found="one with uid {now}",
            was=str(uid),
            now=live["metadata"]["uid"],
            hint="Plan anew.",
        )
    if planned and found_as(live, repository) != planned:
        raise PreconditionFailed(
            "{ref} was changed after the plan was made."
            if live is not None
            else "{ref} was deleted after the plan was made.",
            ref=step.params.label,
            expected="what the plan was made for",
            found="something else",
            hint="Somebody works on it. Look at `backout changes`, then plan anew.",
        )


def _reached(live: Object, content: Object, way: Way) -> bool:
    if way.keep_node_ports and content["kind"] == "Service":
        content = without_node_ports(content, live)
    if way.new_addresses and content["kind"] == "Service":
        content = without_node_ports(content, live)
    return holds(live, content) and not live["metadata"].get("deletionTimestamp")


async def _write(
    context: StepContext, ref: ObjectRef, resource: Resource, live: Object | None, content: Object, way: Way
) -> None:
    body = {**content, "metadata": {**content["metadata"], "namespace": ref.namespace}}
    if live is not None and not must_recreate(content, live):
        body = update(body, live)
        if way.keep_node_ports:
            body = without_node_ports(body, live)
        await context.guard()
        stored = await context.cluster.replace(body)
        _require_stored(ref, {"apiVersion": ref.api_version, "kind": ref.kind, **stored}, body)
        return
    if live is not None:
        await _delete(context, resource, ref, live)
    if way.new_addresses:
        body = without_addresses(body)
    await context.guard()
    try:
        await _create(context.cluster, body)
    except AlreadyExists as error:
        # Somebody was quicker: look again at what it is.
        raise Conflict("{ref} was made by somebody else meanwhile.", ref=str(ref)) from error
    except (Invalid, AccessDenied, Conflict) as error:
        if live is None:
            raise
        await _make_again(context.cluster, ref, live, error)


async def _make_again(cluster: Cluster, ref: ObjectRef, live: Object, error: BackoutError) -> NoReturn:
    """What was deleted, and can't be created as it should be, is made as it was: better broken than gone.

    Raises:
        PreconditionFailed: always; says how it stands now.
    """
    try:
        await _create(cluster, sanitise(live))
    except BackoutError:
        raise PreconditionFailed(
            "{ref} was deleted, and could be created neither as the snapshot has it nor as it was before: {why}",
            ref=str(ref),
            why=of_error(error),
            hint="`backout undo` tries again to put back what was there.",
        ) from error
    raise PreconditionFailed(
        "{ref} could not be created as the snapshot has it, and is as it was before: {why}",
        ref=str(ref),
        why=of_error(error),
        hint="Mend what refuses it (a quota, an admission webhook), then plan anew.",
    ) from error


async def _create(cluster: Cluster, body: Object) -> None:
    try:
        await cluster.create(body)
    except AlreadyExists:
        raise
    except Invalid:
        if body["kind"] != "Service":
            raise
        # Its former addresses were given to others in the meantime.
        await cluster.create(without_addresses(body))


async def _delete(context: StepContext, resource: Resource, ref: ObjectRef, live: Object) -> None:
    """Deletes exactly what was seen, and waits until it is gone."""
    meta = live["metadata"]
    await context.guard()
    # What it owns, if anything, is not to go with it.
    await context.cluster.delete(
        resource,
        ref.name,
        ref.namespace,
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        propagation="Orphan",
    )
    await until_gone(context.cluster, resource, ref, str(meta["uid"]))


def _require_stored(ref: ObjectRef, stored: Object, body: Object) -> None:
    if sanitise(stored) == sanitise(body):
        return
    differing = sorted(
        key for key in {**stored, **body} if key not in ("metadata", "status") and stored.get(key) != body.get(key)
    )
    if differing and ref.kind in ("ConfigMap", "Secret"):
        raise PreconditionFailed(
            "The API server stored something else for {ref} than what was sent, in {fields}.",
            ref=str(ref),
            fields=", ".join(differing),
            hint="An admission webhook changed it, it seems. Look at what it does.",
        )


def _restless(step: StepOf[ObjectParams]) -> Conflict:
    return Conflict(
        "{ref} is changed by somebody else all the time; {count} tries were lost to it.",
        ref=step.params.label,
        count=ATTEMPTS,
        hint="An operator or a pipeline may own it. Stop that first.",
    )
