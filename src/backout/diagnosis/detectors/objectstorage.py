# SPDX-License-Identifier: Apache-2.0
"""Programs whose requests to the object storage fail, and the object that their configuration of it comes from.

They run and are ready all the same, apart from those that list the bucket before they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from backout.cluster.port import ClusterReader, Object
from backout.diagnosis.attribution.faults import Finding
from backout.diagnosis.detectors.configuration import workload_ref
from backout.diagnosis.evidence.metadata import reference
from backout.diagnosis.evidence.programs import Running, started
from backout.kube.pod_health import health_of
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.target import ObjectRef
from backout.probes.objectstorage import StorageState, storage_state


async def object_storage(cluster: ClusterReader, programs: Iterable[Running], now: datetime) -> list[Finding]:
    """One finding for each program that fails at it; those whose configuration is in no object are left out."""
    asked = [(running, ref) for running in programs if (ref := _source(running)) is not None]
    found = await asyncio.gather(*(_one(cluster, running, ref, now) for running, ref in asked))
    return [finding for finding in found if finding is not None]


def _source(running: Running) -> ObjectRef | None:
    """Where the program's configuration of its object storage comes from."""
    storage = running.program.storage
    if storage is None or storage.how == "literal":
        return None
    if storage.how == "env":
        one = running.variable(storage.where)
    else:
        source = running.source_of(storage.where)
        one = source[0] if source is not None else None
    return reference(one.kind, one.name, running.workload[0]) if one is not None else None


async def _one(cluster: ClusterReader, running: Running, ref: ObjectRef, now: datetime) -> Finding | None:
    program, namespace = running.program, running.workload[0]
    states = await asyncio.gather(
        *(storage_state(cluster, namespace, pod, program.container, program, now=now) for pod in running.pods)
    )
    failing = [
        (pod, told)
        for pod, told in zip(running.pods, states, strict=True)
        if told.state == "failing" and not _before(pod, program.container, told)
    ]
    if not failing:
        return None
    said = next((told.said for _, told in failing if told.said), "")
    text = (
        msg("requests of {program} to the object storage fail: {why}", program=program.name, why=said)
        if said
        else msg("requests of {program} to the object storage fail", program=program.name)
    )
    evidence = tuple(
        Evidence(
            source="log" if told.by == "log" else "metric",
            at=told.at,
            ref=ObjectRef("v1", "Pod", pod["metadata"]["name"], namespace),
            data={"failed": told.operations},
            message=msg("{pod}: {what}", pod=pod["metadata"]["name"], what=told.message),
        )
        for pod, told in failing[:3]
    )
    starts = [at for pod, _ in failing if (at := started(pod, program.container)) is not None]
    symptom = Symptom(
        code="ObjectStorageErrors",
        ref=workload_ref(running.workload),
        message=text,
        evidence=evidence,
        since=max(starts, default=None),
        pods=tuple(sorted(pod["metadata"]["name"] for pod, _ in failing)),
    )
    return Finding(
        ref, symptom, running.workload, msg("What fails takes its access to the object storage from it."), direct=True
    )


def _before(pod: Object, container: str, told: StorageState) -> bool:
    """True for the last words of the container before this one, which is ready by now."""
    since = started(pod, container)
    return told.by == "log" and health_of(pod).ready and since is not None and told.at is not None and told.at < since
