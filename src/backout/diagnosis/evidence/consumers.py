# SPDX-License-Identifier: Apache-2.0
"""Who reads an object, or calls it, by what a diagnosis has read anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from backout.cluster.port import ClusterReader
from backout.diagnosis.detectors.configuration import workload_ref
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.metadata import live, reference
from backout.diagnosis.evidence.network import Network
from backout.kube.references import Reference, calls, of_ingress, words_of
from backout.model.diagnosis import ConsumedBy
from backout.model.target import ObjectRef

LOOKED_INTO = 50
"""ConfigMaps in which the name of a Service is sought."""


async def consumed_by(
    cluster: ClusterReader,
    state: State,
    ref: ObjectRef,
    network: Network,
    references: Callable[[WorkloadKey], tuple[Reference, ...]],
) -> tuple[ConsumedBy, ...]:
    """The workloads and Ingresses that read a ConfigMap or Secret, or that name a Service."""
    found = set(_ingresses(ref, network))
    here = [key for key in state.workloads if key[0] == ref.namespace]
    for key in here:
        for one in references(key):
            if (one.kind, one.name) == (ref.kind, ref.name):
                found.add(
                    ConsumedBy(
                        ref=workload_ref(key), container=one.container, how=one.how, path=one.path, keys=one.keys
                    )
                )
    if ref.kind == "Service":
        found |= await _callers(cluster, state, ref, here, references)
    return tuple(sorted(found))


def _ingresses(ref: ObjectRef, network: Network) -> Iterator[ConsumedBy]:
    for (namespace, name), ingress in network.ingresses.items():
        if namespace == ref.namespace:
            for one in of_ingress(ingress.plain(namespace)):
                if (one.kind, one.name) == (ref.kind, ref.name):
                    yield ConsumedBy(ref=reference("Ingress", name, namespace), how=one.how, path=one.path)


async def _callers(
    cluster: ClusterReader,
    state: State,
    ref: ObjectRef,
    here: list[WorkloadKey],
    references: Callable[[WorkloadKey], tuple[Reference, ...]],
) -> set[ConsumedBy]:
    """Workloads whose arguments, variables or ConfigMaps hold the name of a Service as a host."""
    found = set()
    readers: dict[ObjectRef, list[tuple[WorkloadKey, Reference]]] = {}
    for key in here:
        for container, word in words_of(state.workloads[key].spec.template.spec.plain()):
            if calls(word, ref.name, ref.namespace):
                found.add(ConsumedBy(ref=workload_ref(key), container=container, how="args"))
        for one in references(key):
            if one.kind == "ConfigMap":
                readers.setdefault(reference("ConfigMap", one.name, ref.namespace), []).append((key, one))
    wanted = sorted(readers)[:LOOKED_INTO]
    contents = await asyncio.gather(*(live(cluster, config) for config in wanted))
    for config, content in zip(wanted, contents, strict=True):
        for name, text in ((content or {}).get("data") or {}).items():
            if calls(str(text), ref.name, ref.namespace):
                for key, one in readers[config]:
                    found.add(
                        ConsumedBy(
                            ref=workload_ref(key), container=one.container, how="configmap", path=f"{config}: {name}"
                        )
                    )
    return found
