# SPDX-License-Identifier: Apache-2.0
"""Whether what the pods of a template read is there: pods that run go on without it, new ones do not start."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader
from backout.errors import BackoutError, ObjectNotFound
from backout.kube.projections import Meta, Projection
from backout.kube.references import references
from backout.mechanisms.common.measuring import Named, namespace_of
from backout.mechanisms.common.workloads import load
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import msg
from backout.model.target import ObjectRef


class _Bare(Projection, frozen=True, kw_only=True):
    metadata: Meta


_KINDS = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


async def missing_of(reader: ClusterReader, template: dict[str, Any], namespace: str) -> tuple[ObjectRef, ...]:
    """ConfigMaps and Secrets that pods of ``template`` need and that do not exist. What may not be read is not asked."""
    needed = {(one.kind, one.name) for one in references(template.get("spec") or {}) if not one.optional}
    found = []
    for kind, name in sorted(needed):
        try:
            there = await reader.list_as(
                _Bare, _KINDS[kind], namespace, fields=f"metadata.name={name}", metadata_only=True
            )
        except BackoutError:
            continue
        if not there:
            found.append(ObjectRef("v1", kind, name, namespace))
    return tuple(found)


async def read_objects_exist(check: CheckOf[Named], cluster: ClusterReader) -> Measured:
    """``read-objects``: what the template in force of a workload needs is there."""
    namespace = namespace_of(check)
    try:
        obj = await load(cluster, check.params.kind, check.params.name, namespace)
    except ObjectNotFound:
        return failed(msg("{kind} {name} does not exist", kind=check.params.kind, name=check.params.name))
    except BackoutError as error:
        return unknown(msg("it can't be read: {reason}", reason=error.message))
    gone = await missing_of(cluster, obj["spec"].get("template") or {}, namespace)
    if gone:
        return failed(
            msg(
                "{objects} does not exist: pods that run go on, new ones do not start",
                objects=", ".join(str(ref) for ref in gone),
            ),
            msg("what its pods read"),
        )
    return passed(msg("all of it is there"))
