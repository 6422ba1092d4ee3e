# SPDX-License-Identifier: Apache-2.0
"""A plan that needs a release record from a snapshot: its step, the change that it is, and what to know of it.

And all records of a release, as a capture keeps them."""

from __future__ import annotations

from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader, Object
from backout.errors import AccessDenied
from backout.helm.records import Record
from backout.mechanisms.helm.analysis import Analysis
from backout.mechanisms.helm.params import RecordParams
from backout.mechanisms.port import wire
from backout.model.change import ObjectChange
from backout.model.message import msg
from backout.model.part import Access, Compensation, Risk, Step
from backout.model.target import ObjectRef, Target

RESTORE = "helm.restore-record"
REMOVE = "helm.remove-record"
TIME = "%Y-%m-%d %H:%M UTC"


def restore_step(analysis: Analysis, target: Target, driver: str) -> list[Step]:
    """The step that comes before the rollback; none when the record is where it belongs."""
    record = analysis.target
    if record.kept is None:
        return []
    kept = record.kept
    params = wire(
        RecordParams(
            release=target.name,
            driver=driver,
            revision=record.revision,
            record=record.name,
            repository=kept.repository,
            snapshot=kept.snapshot,
            address=kept.address,
        )
    )
    plural = "configmaps" if driver == "configmap" else "secrets"
    rights = tuple(Access(verb, "", plural, record.namespace, record.name) for verb in ("get", "delete"))
    return [
        Step(
            id="restore-record",
            action=RESTORE,
            target=target,
            params=params,
            precondition={"absent": record.name},
            title=msg(
                "Bring the record of revision {n} back from snapshot {id}", n=record.revision, id=kept.snapshot[:8]
            ),
            effect=msg("Helm's history has revision {n} again, exactly as it was.", n=record.revision),
            compensation=Compensation(REMOVE, params, rights),
            timeout=60.0,
        )
    ]


def record_change(record: Record, driver: str) -> list[ObjectChange]:
    """The record as an object that is created; what is in it is secret."""
    if record.kept is None:
        return []
    ref = ObjectRef("v1", "ConfigMap" if driver == "configmap" else "Secret", record.name, record.namespace)
    note = msg(
        "Helm's record of revision {n}, as snapshot {id} of {time} has it.",
        n=record.revision,
        id=record.kept.snapshot[:8],
        time=record.kept.taken.strftime(TIME),
    )
    return [ObjectChange(ref=ref, action="create", notes=(note,))]


def record_risk(record: Record) -> list[Risk]:
    """What one must know of a record that comes from elsewhere."""
    if record.kept is None:
        return []
    return [
        Risk(
            code="record-from-snapshot",
            message=msg(
                "Revision {n} is not in Helm's history any more: its record comes from snapshot {id}, taken {time}. It stays "
                "in the history until Helm prunes it again.",
                n=record.revision,
                id=record.kept.snapshot[:8],
                time=record.kept.taken.strftime(TIME),
            ),
        )
    ]


async def every_record(cluster: ClusterReader, release: str, namespace: str) -> list[Object]:
    """The release records of either storage driver (helm.sh/helm pkg/storage/driver: labels owner and name)."""
    records: list[Object] = []
    denied: AccessDenied | None = None
    for resource in (SECRETS, CONFIGMAPS):
        try:
            found = await cluster.list_all(resource, namespace, labels=f"owner=helm,name={release}")
        except AccessDenied as error:
            denied = denied or error
        else:
            records += [{**record, "apiVersion": "v1", "kind": resource.kind} for record in found]
    if denied and not records:
        raise denied
    return records
