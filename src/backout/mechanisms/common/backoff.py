# SPDX-License-Identifier: Apache-2.0
"""Who waits in a back-off for what goes back, and in which order that is started anew. Pure; one definition for every way back.

A kubelet starts what crashed, and pulls what it could not have, ever more rarely: up to every five minutes (kubernetes
pkg/kubelet: MaxContainerBackOff, MaxImageBackOff), and it does not notice that what the program needs is there again. A pod
that is made anew starts at once. Only pods that fail and do not serve are ever ended for that, so that no budget for disruptions
has less than before (pkg/controller/disruption counts ready pods).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, Object
from backout.kube.pod_health import health_of
from backout.kube.references import mentions, words_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.part import Access
from backout.model.target import ObjectRef

LONGEST = 330.0
"""Seconds until even the longest back-off is over."""


def waits(pod: Object) -> bool:
    """Whether it fails, and does not serve."""
    found = health_of(pod)
    return found.failure is not None and not found.ready


def rights(ref: ObjectRef) -> tuple[Access, ...]:
    """What it takes to find the pods of a workload that wait, and to end them."""
    resource = WORKLOAD_RESOURCES[ref.kind]
    kept = REPLICASETS if ref.kind == "Deployment" else CONTROLLERREVISIONS
    return (
        *(Access(verb, resource.group, resource.plural, ref.namespace) for verb in ("get", "list", "watch")),
        *(Access(verb, kept.group, kept.plural, ref.namespace) for verb in ("list", "watch")),
        *(Access(verb, PODS.group, PODS.plural, ref.namespace) for verb in ("list", "watch", "delete")),
    )


def in_order(templates: Mapping[ObjectRef, dict[str, Any]], services: Sequence[Object]) -> list[ObjectRef]:
    """The workloads of these pod templates: what names a Service of another one in its arguments or variables comes after it, else as
    given; in a circle, the first."""
    left = list(templates)
    behind = {ref: _behind(ref, templates, services) for ref in left}
    done: list[ObjectRef] = []
    while left:
        free = [ref for ref in left if not behind[ref] & set(left)]
        following = (free or left)[0]
        done.append(following)
        left.remove(following)
    return done


def _behind(
    ref: ObjectRef, templates: Mapping[ObjectRef, dict[str, Any]], services: Sequence[Object]
) -> set[ObjectRef]:
    words = [word for _, word in words_of(templates[ref].get("spec") or {})]
    found = set()
    for other, template in templates.items():
        if other == ref:
            continue
        labels = (template.get("metadata") or {}).get("labels") or {}
        for service in services:
            selector = (service.get("spec") or {}).get("selector") or {}
            if selector and all(labels.get(k) == v for k, v in selector.items()):
                name = service["metadata"]["name"]
                if any(mentions(word, name) for word in words):
                    found.add(other)
    return found
