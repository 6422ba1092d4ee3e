# SPDX-License-Identifier: Apache-2.0
"""Brings a release record that Helm pruned back from a snapshot, and takes it away again.

The record is created as Helm had stored it (but that it is superseded by now), and only where none of that name is. Nothing of
it is ever in a step, an event or an error: it holds the values of the release.
"""

from __future__ import annotations

import msgspec

from backout.cluster.port import Object
from backout.errors import (
    AlreadyExists,
    ObjectNotFound,
    PreconditionFailed,
    RepositoryChanged,
    RepositoryDamaged,
    RepositoryNotFound,
)
from backout.helm.deployed import superseded
from backout.helm.records import Records, record_of
from backout.kube.sanitise import sanitise
from backout.mechanisms.helm.effects import records_of
from backout.mechanisms.helm.params import RecordParams
from backout.mechanisms.port import StepContext, StepOf, StepOutcome
from backout.model.decoding import UNREADABLE
from backout.model.message import msg
from backout.snapshots import source
from backout.snapshots.collect import encode


async def restore_record(context: StepContext, step: StepOf[RecordParams]) -> StepOutcome:
    """Creates the record, unless exactly that one is there already.

    Raises:
        PreconditionFailed: another record of that revision is there, or the API server stored something else.
        RepositoryNotFound, RepositoryChanged, RepositoryDamaged, KeyMissing, StorageError: it can't be read.
    """
    records, wanted = records_of(context.cluster, step.target, step.params.driver), await _wanted(step)
    number, snapshot = step.params.revision, step.params.snapshot[:8]
    found = await _present(records, step)
    if found is None:
        await context.guard()
        try:
            made = await context.cluster.create(wanted)
        except AlreadyExists:
            found = await _present(records, step)
            if found is None:
                raise
        else:
            if not _same(made, wanted):
                await _delete(context, records, step, made)
                raise PreconditionFailed(
                    "The API server stored another record of revision {n} than was asked for; it was deleted again.",
                    n=number,
                    hint="An admission webhook may have changed it.",
                )
            return StepOutcome(
                True,
                msg("Revision {n} is in Helm's history again, from snapshot {id}.", n=number, id=snapshot),
                {"made": {"uid": made["metadata"]["uid"]}},
            )
    if not _same(found, wanted):
        raise PreconditionFailed(
            "Helm's history has another record of revision {n} now than the one that was to be brought back.",
            n=number,
            expected="none, as when the plan was made",
            found="{record}",
            record=step.params.record,
            hint="Somebody works on this release. Look at `backout history {target}`, then plan anew.",
            target=str(step.target),
        )
    return StepOutcome(
        False, msg("Revision {n} is in Helm's history already.", n=number), {"made": {"uid": found["metadata"]["uid"]}}
    )


async def remove_record(context: StepContext, step: StepOf[RecordParams]) -> StepOutcome:
    """Deletes the record that a run brought back, and no other.

    It is known by the uid that the run noted. A run that was cut off before that cannot have rolled back, so the record
    must then still be what was brought back.

    Raises:
        PreconditionFailed: what is there is another record.
    """
    records = records_of(context.cluster, step.target, step.params.driver)
    number = step.params.revision
    found = await _present(records, step)
    if found is None:
        return StepOutcome(False, msg("Revision {n} is not in Helm's history.", n=number))
    uid = step.params.made.uid if step.params.made else ""
    if found["metadata"]["uid"] != uid if uid else not _same(found, await _wanted(step)):
        raise PreconditionFailed(
            "The record of revision {n} in Helm's history is not the one that the run brought back.",
            n=number,
            hint="It is left alone.",
        )
    await context.guard()
    await _delete(context, records, step, found)
    return StepOutcome(True, msg("Revision {n} is not in Helm's history any more, as before.", n=number))


async def _wanted(step: StepOf[RecordParams]) -> Object:
    """The record as it is kept."""
    params = step.params
    name, id_ = params.record, params.repository
    async with source.opened() as repository:
        if repository is None:
            raise RepositoryNotFound(
                "The snapshots are not here, and the record of revision {n} is in them.",
                n=params.revision,
                expected="snapshot {id}",
                id=params.snapshot,
                hint="Set snapshots.repository to where the plan was made.",
            )
        if repository.id != id_:
            raise RepositoryChanged(
                "The record of revision {n} is in another repository than the one that is configured here.",
                n=params.revision,
                expected="{wanted}",
                found="{here}",
                wanted=id_,
                here=repository.id,
            )
        content = await repository.get(params.address, name)
    try:
        obj = msgspec.json.decode(content)
        record = record_of(obj, step.target.namespace)
    except UNREADABLE as error:
        raise RepositoryDamaged("What snapshots keep as {name} is no release record.", name=name) from error
    named = (record.name, record.release, record.revision) if record else None
    if named != (name, params.release, params.revision):
        raise RepositoryDamaged("What snapshots keep as {name} is another record.", name=name)
    # What it says of itself was true then: two that say deployed are none that Helm knows what to do with.
    return dict(superseded(dict(obj)))


async def _present(records: Records, step: StepOf[RecordParams]) -> Object | None:
    try:
        found = await records.cluster.get(records.resource, step.params.record, records.namespace)
    except ObjectNotFound:
        return None
    return {"apiVersion": records.resource.api_version, "kind": records.resource.kind, **found}


def _same(live: Object, wanted: Object) -> bool:
    return encode(sanitise(live)) == encode(sanitise(wanted))


async def _delete(context: StepContext, records: Records, step: StepOf[RecordParams], obj: Object) -> None:
    await context.cluster.delete(records.resource, step.params.record, records.namespace, uid=obj["metadata"]["uid"])
