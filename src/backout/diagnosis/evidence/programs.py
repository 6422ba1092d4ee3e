# SPDX-License-Identifier: Apache-2.0
"""What running programs say of the configuration that they were given: only programs that are known are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from posixpath import basename, dirname
from typing import Any

import msgspec

from backout.cluster.port import PODS, ClusterReader, Object
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.errors import AccessDenied
from backout.kube.pod_health import health_of
from backout.kube.references import Reference, references
from backout.probes.programs import Program, programs_of

PODS_ASKED = 10
"""Of one workload: a hundred receivers read the same file."""
AT_ONCE = 16
FILES = ("volume", "projected")


@dataclass(frozen=True, slots=True)
class Running:
    """A known program of one workload, with some of its pods."""

    workload: WorkloadKey
    program: Program
    spec: Mapping[str, Any]
    references: tuple[Reference, ...]
    pods: list[Object] = field(default_factory=list)

    def source_of(self, path: str) -> tuple[Reference, str] | None:
        """The object, and its key, that a file comes from; None when it comes from elsewhere."""
        for one in self.references:
            if one.container != self.program.container or not one.path:
                continue
            for key in one.keys or (basename(path),):
                if one.file(key) == path:
                    return one, key
        return None

    def followed(self) -> Iterator[Reference]:
        """The objects whose files the program loads anew by itself."""
        for one in self.references:
            if one.container == self.program.container and one.how in FILES and one.path:
                places = [one.path, *(dirname(file) for file in one.files)]
                # Prometheus loads anew what is called like a rule file.
                if any(self.program.follows(f"{place.rstrip('/')}/x.yml") for place in places) or any(
                    self.program.follows(file) for file in one.files or (f"{one.path}/{_name(self.program)}",)
                ):
                    yield one

    def variable(self, name: str) -> Reference | None:
        """The object that an environment variable of the program comes from."""
        for container in (*self.spec.get("containers", ()), *self.spec.get("initContainers", ())):
            if container.get("name") != self.program.container:
                continue
            for entry in container.get("env") or ():
                source = entry.get("valueFrom") or {}
                ref = source.get("secretKeyRef") or source.get("configMapKeyRef") or {}
                if entry.get("name") == name and ref.get("name"):
                    kind = "Secret" if "secretKeyRef" in source else "ConfigMap"
                    wanted = (kind, ref["name"], "env", self.program.container)
                    return next((o for o in self.references if (o.kind, o.name, o.how, o.container) == wanted), None)
        return None


def _name(program: Program) -> str:
    return basename(program.hashring or program.config)


async def running(cluster: ClusterReader, state: State) -> list[Running]:
    """The known programs among the workloads, where they have pods."""
    found = []
    for key, workload in state.workloads.items():
        spec = workload.spec.template.spec.plain()
        programs = [p for p in programs_of(spec) if p.hashring or p.config or p.storage or p.component == "rule"]
        if programs:
            read = references(spec)
            found += [Running(key, program, spec, read) for program in programs]
    gate = asyncio.Semaphore(AT_ONCE)
    keys = sorted({one.workload for one in found})

    async def pods(key: WorkloadKey) -> list[Object]:
        labels = state.workloads[key].spec.selector.match_labels
        if not labels:
            return []
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        async with gate:
            try:
                listed = await cluster.list_all(PODS, key[0], labels=selector)
            except AccessDenied:
                return []
        return [pod for pod in listed if health_of(pod).counts][:PODS_ASKED]

    by_key = dict(zip(keys, await asyncio.gather(*(pods(key) for key in keys)), strict=True))
    for one in found:
        one.pods.extend(by_key[one.workload])
    return [one for one in found if one.pods]


def started(pod: Object, container: str) -> datetime | None:
    """Since when a container runs; None when it does not."""
    status = pod.get("status") or {}
    for entry in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        if entry.get("name") == container:
            at = ((entry.get("state") or {}).get("running") or {}).get("startedAt")
            return msgspec.convert(at, datetime) if at else None
    return None
