# SPDX-License-Identifier: Apache-2.0
"""The workloads of a manifest: their pod templates, the configuration that those read, and what matches what."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from backout.mechanisms.diff import index, same
from backout.mechanisms.helm.manifest import documents, entries, kind_of

KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_CONFIG = frozenset({"ConfigMap", "Secret"})
_HASHES = ("pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name")
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


def digest_of(value: Any) -> str:
    """A short name of any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def workloads(manifest: str, namespace: str) -> tuple[Workload, ...]:
    """The Deployments, StatefulSets and DaemonSets of a manifest."""
    config = [text for text in documents(manifest) if kind_of(text) in _CONFIG]
    found = []
    for entry in entries(manifest, KINDS):
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
                kind=entry.kind, name=entry.name, namespace=entry.namespace(namespace), template=template,
                template_digest=template_digest, key=digest_of([template_digest, read]),
                replicas=replicas if isinstance(replicas, int) else None,
                strategy=str(strategy.get("type") or "RollingUpdate"), images=tuple(images(template)),
            )
        )  # fmt: skip
    return tuple(found)


def plain_template(template: dict[str, Any]) -> dict[str, Any]:
    """A pod template without the labels that controllers add and without the null creation time."""
    meta = dict(template.get("metadata") or {})
    meta.pop("creationTimestamp", None)
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in _HASHES}
    if "labels" in meta:
        meta["labels"] = labels
    return {**{key: value for key, value in template.items() if not key.startswith("$")}, "metadata": meta}


def images(template: dict[str, Any]) -> Iterator[str]:
    """The images of a template, init containers first."""
    spec = template.get("spec") or {}
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or []:
            if isinstance(container, dict) and container.get("image"):
                yield str(container["image"])


def references(node: Any) -> Iterator[str]:
    """Names of the ConfigMaps and Secrets that a pod template reads."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in {"configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef", "configMap", "secret"}:
                name = value.get("name") or value.get("secretName") if isinstance(value, dict) else None
                if name:
                    yield str(name)
            yield from references(value)


def covers(live: Any, wanted: Any, field: str = "", parent: str = "") -> bool:
    """True when everything that ``wanted`` says stands in ``live`` too: the server fills in defaults, never less."""
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return not wanted and live is None
        return all(covers(live.get(key), value, str(key), field) for key, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return not wanted and live is None
        left, right = index(field, live), index(field, wanted)
        if field == "ports" and wanted and "protocol" not in str(wanted):
            # protocol is defaulted to TCP by the server, so it is no part of the key here
            return len(live) == len(wanted) and all(map(covers, live, wanted))
        if len(live) != len(wanted):
            return False
        return all(key in left and covers(left[key], value, "", field) for key, value in right.items())
    if wanted is None:
        return True
    return same(live, wanted, parent) or ((parent == "env" or field == "value") and str(live) == str(wanted))


def best_match(live: dict[str, Any], templates: dict[str, dict[str, Any]]) -> str | None:
    """Which of ``templates`` (by digest) the server made ``live`` from; None when none or more than one can be meant.

    A template that says less fits wherever one fits that says more, so the one that says most is meant.
    """
    live = plain_template(live)
    fitting = {digest: template for digest, template in templates.items() if covers(live, template)}
    winners = [
        digest
        for digest, template in fitting.items()
        if not any(
            other != digest and covers(richer, template) and not covers(template, richer)
            for other, richer in fitting.items()
        )
    ]
    return winners[0] if len(winners) == 1 else None
