# SPDX-License-Identifier: Apache-2.0
"""Effects on the object itself: as a snapshot, a release, or the capture of a run has it. Each looks before it writes.

What is written never stands in a step: it is read from where it comes from when it is needed.
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
)
from backout.kube.sanitise import sanitise
from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.objects.content import Wanted, load
from backout.mechanisms.objects.history import found_as, live_object, resource_of
from backout.mechanisms.objects.params import PutBackParams, RemoveParams, RestoreParams
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.message import msg, of_error
from backout.model.target import ObjectRef
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
        RepositoryNotFound, RepositoryDamaged, NotFoundError: the content can't be read any more.
    """
    params = step.params
    ref, resource = params.ref, resource_of(params.ref)
    wanted, repository = await load(context.cluster, params.origin, ref, in_force=True)
    way = Way(
        keep_node_ports=params.keep_node_ports, new_addresses=params.new_addresses, half_done=params.how == "recreate"
    )
    for _ in range(ATTEMPTS):
        live = await live_object(context.cluster, resource, ref)
        if live is not None and _reached(live, wanted, way):
            return StepOutcome(False, msg("{ref} holds that already.", ref=params.label))
        if live is not None and live["metadata"].get("deletionTimestamp"):
            await until_gone(context.cluster, resource, ref, str(live["metadata"]["uid"]))
            continue
        if not (live is None and way.half_done):
            _as_planned(step, live, repository)
        try:
            await _write(context, ref, resource, live, wanted.body(live), way)
        except (Conflict, ObjectNotFound):
            continue
        return StepOutcome(
            True, msg("{ref} is as {source} has it again.", ref=params.label, source=params.origin.label)
        )
    raise _restless(step)


async def remove(context: StepContext, step: StepOf[RemoveParams]) -> StepOutcome:
    """Deletes an object that was made since all was well.

    Raises:
        PreconditionFailed: it is not what it was when the plan was made.
    """
    params = step.params
    ref, resource = params.ref, resource_of(params.ref)
    changed = False
    for _ in range(ATTEMPTS):
        live = await live_object(context.cluster, resource, ref)
        if live is None or (live["metadata"]["uid"] != step.precondition["uid"] and changed):
            word = (
                msg("{ref} is gone.", ref=params.label) if changed else msg("{ref} is gone already.", ref=params.label)
            )
            return StepOutcome(changed, word)
        if live["metadata"].get("deletionTimestamp"):
            await until_gone(context.cluster, resource, ref, str(live["metadata"]["uid"]))
            continue
        _as_planned(step, live, None)
        try:
            await _delete(context, resource, ref, live)
        except (Conflict, ObjectNotFound):
            continue
        changed = True
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
    written = (await load(context.cluster, params.written, ref))[0] if params.written is not None else None
    for _ in range(ATTEMPTS):
        live = await live_object(context.cluster, resource, ref)
        if former is None and live is None:
            return StepOutcome(False, msg("{ref} is missing, as it was before the run.", ref=step.params.label))
        if former is not None and live is not None and _reached(live, Wanted(former), Way()):
            return StepOutcome(False, msg("{ref} is as it was before the run.", ref=step.params.label))
        if not _as_left(live, former, written):
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


def _as_left(live: Object | None, former: Object | None, written: Wanted | None) -> bool:
    """Whether the object is what the run left behind; or gone, where it is on its way to be made anew."""
    if written is None:
        return live is None
    if live is None:
        return former is not None and must_recreate(former, {**written.content, "metadata": {}})
    return written.held_by(live)


def _as_planned(
    step: StepOf[RestoreParams] | StepOf[RemoveParams], live: Object | None, repository: Repository | None
) -> None:
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


def _reached(live: Object, wanted: Wanted, way: Way) -> bool:
    if (way.keep_node_ports or way.new_addresses) and wanted.content["kind"] == "Service":
        wanted = Wanted(without_node_ports(wanted.content, live), wanted.exact)
    return wanted.held_by(live) and not live["metadata"].get("deletionTimestamp")


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
            "{ref} was deleted, and could be created neither as it should be nor as it was before: {why}",
            ref=str(ref),
            why=of_error(error),
            hint="`backout undo` tries again to put back what was there.",
        ) from error
    raise PreconditionFailed(
        "{ref} could not be created as it should be, and is as it was before: {why}",
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
