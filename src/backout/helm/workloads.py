# SPDX-License-Identifier: Apache-2.0
"""The workloads of a manifest: their pod templates, the configuration that those read, and what matches what."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any

import msgspec

from backout.helm.manifest import documents, entries, kind_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.templates import digest_of, images, plain_template, references

_CONFIG = frozenset({"ConfigMap", "Secret"})
_LABEL = re.compile(r"^[ ]{4}(?:helm\.sh/chart|app\.kubernetes\.io/version)[: ].*\n?", re.MULTILINE)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One workload as a revision's manifest describes it.

    ``template_digest`` names its pod template; ``key`` also covers the ConfigMaps and Secrets of the same manifest that
    the template names, since equal templates with other configuration are not the same state.
    """

    kind: str
    name: str
    namespace: str
    template: dict[str, Any]
    template_digest: str
    key: str
    replicas: int | None
    strategy: str
    images: tuple[str, ...] = ()

    @property
    def id(self) -> tuple[str, str, str]:
        """Kind, namespace, name."""
        return self.kind, self.namespace, self.name


@lru_cache(maxsize=64)
def workloads(manifest: str, namespace: str) -> tuple[Workload, ...]:
    """The Deployments, StatefulSets and DaemonSets of a manifest."""
    config = [text for text in documents(manifest) if kind_of(text) in _CONFIG]
    found = []
    for entry in entries(manifest, frozenset(WORKLOAD_RESOURCES)):
        spec = entry.object.get("spec") or {}
        template = plain_template(spec.get("template") or {})
        template_digest = digest_of(template)
        names = sorted(set(references(template)))
        read = sorted(
            hashlib.sha256(_LABEL.sub("", text).encode()).hexdigest()
            for text in config
            if any(name in text for name in names)
        )
        strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
        replicas = spec.get("replicas")
        found.append(
            Workload(
                kind=entry.kind,
                name=entry.name,
                namespace=entry.namespace(namespace),
                template=template,
                template_digest=template_digest,
                key=digest_of([template_digest, read]),
                replicas=replicas if isinstance(replicas, int) else None,
                strategy=str(strategy.get("type") or "RollingUpdate"),
                images=tuple(images(template)),
            )
        )
    return tuple(found)
