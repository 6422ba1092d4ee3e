# SPDX-License-Identifier: Apache-2.0
"""Who reads an object, or calls it, by what a diagnosis has read anyway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

from backout.cluster.port import ClusterReader
from backout.diagnosis.detectors.configuration import workload_ref
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.metadata import live, reference
from backout.diagnosis.evidence.network import Network
from backout.kube.references import Reference, of_ingress
from backout.model.evidence import Reading
from backout.model.target import ObjectRef

LOOKED_INTO = 50
"""ConfigMaps in which the name of a Service is sought."""


async def readings(
    cluster: ClusterReader,
    state: State,
    ref: ObjectRef,
    network: Network,
    references: Callable[[WorkloadKey], tuple[Reference, ...]],
) -> tuple[Reading, ...]:
    """The workloads and Ingresses that read a ConfigMap or Secret, or that name a Service."""
    found = set(_ingresses(ref, network))
    here = [key for key in state.workloads if key[0] == ref.namespace]
    for key in here:
        for one in references(key):
            if (one.kind, one.name) == (ref.kind, ref.name):
                found.add(
                    Reading(ref=workload_ref(key), container=one.container, how=one.how, path=one.path, keys=one.keys)
                )
    if ref.kind == "Service":
        found |= await _callers(cluster, state, ref, here, references)
    return tuple(sorted(found))


def _ingresses(ref: ObjectRef, network: Network) -> Iterator[Reading]:
    for (namespace, name), ingress in network.ingresses.items():
        if namespace == ref.namespace:
            for one in of_ingress(ingress.plain(namespace)):
                if (one.kind, one.name) == (ref.kind, ref.name):
                    yield Reading(ref=reference("Ingress", name, namespace), how=one.how, path=one.path)


async def _callers(
    cluster: ClusterReader,
    state: State,
    ref: ObjectRef,
    here: list[WorkloadKey],
    references: Callable[[WorkloadKey], tuple[Reference, ...]],
) -> set[Reading]:
    """Workloads whose arguments, variables or ConfigMaps hold the name of a Service as a host."""
    host = re.compile(rf"(?<![\w.-]){re.escape(ref.name)}(?=[:/\"'\s]|\.{re.escape(ref.namespace)}\b|\.svc\b|$)")
    found = set()
    readers: dict[ObjectRef, list[tuple[WorkloadKey, Reference]]] = {}
    for key in here:
        for container in state.workloads[key].spec.template.spec.containers:
            words: list[Any] = [*container.command, *container.args, *(e.get("value") or "" for e in container.env)]
            if any(_calls(host, str(word)) for word in words):
                found.add(Reading(ref=workload_ref(key), container=container.name, how="args"))
        for one in references(key):
            if one.kind == "ConfigMap":
                readers.setdefault(reference("ConfigMap", one.name, ref.namespace), []).append((key, one))
    wanted = sorted(readers)[:LOOKED_INTO]
    contents = await asyncio.gather(*(live(cluster, config) for config in wanted))
    for config, content in zip(wanted, contents, strict=True):
        for name, text in ((content or {}).get("data") or {}).items():
            if _calls(host, str(text)):
                for key, one in readers[config]:
                    found.add(
                        Reading(
                            ref=workload_ref(key), container=one.container, how="configmap", path=f"{config}: {name}"
                        )
                    )
    return found


def _calls(host: re.Pattern[str], text: str) -> bool:
    """A bare word may mean anything: what is called has a scheme before it, or a port or path behind it."""
    for match in host.finditer(text):
        before, after = text[: match.start()], text[match.end() : match.end() + 1]
        if before.endswith(("//", "@")) or after in (":", "/", "."):
            return True
    return False
