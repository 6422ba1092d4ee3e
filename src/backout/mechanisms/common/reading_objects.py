# SPDX-License-Identifier: Apache-2.0
"""Whether what the pods of a template need is there: pods that run go on without it, new ones do not start."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from backout.cluster.port import ClusterReader
from backout.errors import BackoutError, ObjectNotFound
from backout.kube.needs import NEEDED, Need, needs_of
from backout.kube.projections import Meta, Projection
from backout.mechanisms.common.measuring import Named, namespace_of
from backout.mechanisms.common.workloads import load
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import Message, msg
from backout.model.target import ObjectRef


class _Bare(Projection, frozen=True, kw_only=True):
    metadata: Meta


async def missing_of(
    reader: ClusterReader, templates: Sequence[dict[str, Any]], namespace: str, coming: Collection[ObjectRef] = ()
) -> list[tuple[ObjectRef, ...]]:
    """For each template what its pods need and does not exist, nor is ``coming``. What may not be read is taken to be there."""
    needed = [needs_of(template.get("spec") or {}) for template in templates]
    every = sorted({need for needs in needed for need in needs})
    there = await asyncio.gather(*(_exists(reader, need, namespace) for need in every))
    gone = {need for need, found in zip(every, there, strict=True) if not found}
    return [
        tuple(ref for need in needs if need in gone and (ref := need.ref(namespace)) not in coming) for needs in needed
    ]


async def _exists(reader: ClusterReader, need: Need, namespace: str) -> bool:
    resource = NEEDED[need.kind]
    where = namespace if resource.namespaced else ""
    try:
        found = await reader.list_as(_Bare, resource, where, fields=f"metadata.name={need.name}", metadata_only=True)
    except BackoutError:
        return True
    return bool(found)


def needs_what_is_gone(refs: Sequence[ObjectRef]) -> Message:
    """Why a revision is no way back, however well it ran once."""
    return msg(
        "Its pods need {objects}, which does not exist: new ones would not start.", objects=", ".join(map(str, refs))
    )


async def read_objects_exist(check: CheckOf[Named], cluster: ClusterReader) -> Measured:
    """``read-objects``: what the template in force of a workload needs is there."""
    namespace = namespace_of(check)
    try:
        obj = await load(cluster, check.params.kind, check.params.name, namespace)
    except ObjectNotFound:
        return failed(msg("{kind} {name} does not exist", kind=check.params.kind, name=check.params.name))
    except BackoutError as error:
        return unknown(msg("it can't be read: {reason}", reason=error.message))
    (gone,) = await missing_of(cluster, [obj["spec"].get("template") or {}], namespace)
    if gone:
        return failed(
            msg(
                "{objects} does not exist: pods that run go on, new ones do not start",
                objects=", ".join(str(ref) for ref in gone),
            ),
            msg("what its pods read"),
        )
    return passed(msg("all of it is there"))
