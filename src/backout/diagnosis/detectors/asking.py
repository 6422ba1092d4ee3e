# SPDX-License-Identifier: Apache-2.0
"""Who asks a Service: Ingresses that lead to it, and programs whose arguments or variables hold its address. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backout.cluster.port import Object
from backout.diagnosis.evidence.collect import State
from backout.kube.references import calls, of_ingress, words_of


def asking(state: State, ingresses: Iterable[Object], namespace: str, service: str) -> Iterator[str]:
    """Each as ``kind/name``."""
    for ingress in ingresses:
        if any(one.kind == "Service" and one.name == service for one in of_ingress(ingress)):
            yield f"ingress/{ingress['metadata']['name']}"
    for key, workload in state.workloads.items():
        words = words_of(workload.spec.template.spec.plain())
        if key[0] == namespace and any(calls(word, service, namespace) for _, word in words):
            yield f"{key[1].lower()}/{key[2]}"
