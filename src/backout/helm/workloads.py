# SPDX-License-Identifier: Apache-2.0
"""The workloads of a manifest: their pod templates, the configuration that those read, and what matches what."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any

import msgspec

from backout.helm.manifest import documents, entries, kind_of
from backout.kube.references import calls, words_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.templates import digest_of, images, plain_template, references

_CONFIG = frozenset({"ConfigMap", "Secret"})
_AROUND = frozenset({"NetworkPolicy", "ServiceAccount", "Role", "RoleBinding", "Service"})
_LABEL = re.compile(r"^[ ]{4}(?:helm\.sh/chart|app\.kubernetes\.io/version)[: ].*\n?", re.MULTILINE)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One workload as a revision's manifest describes it.

    ``template_digest`` names its pod template; ``key`` also covers what the same manifest has around it: the ConfigMaps and
    Secrets that the template names, its ServiceAccount with what that may do, the NetworkPolicies that select it, and the Services that
    it calls by name. Equal templates with others are not the same state.
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
    around = [entry.object for entry in entries(manifest, _AROUND)]
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
                key=digest_of([template_digest, read, _of(template, around, entry.namespace(namespace))]),
                replicas=replicas if isinstance(replicas, int) else None,
                strategy=str(strategy.get("type") or "RollingUpdate"),
                images=tuple(images(template)),
            )
        )
    return tuple(found)


def _of(template: dict[str, Any], around: list[dict[str, Any]], namespace: str) -> list[str]:
    """What of the objects around concerns pods of a template: names of their contents, in a fixed order."""
    labels = (template.get("metadata") or {}).get("labels") or {}
    account = str((template.get("spec") or {}).get("serviceAccountName") or "default")
    words = [word for _, word in words_of(template.get("spec") or {})]
    bound = [obj for obj in around if obj.get("kind") == "RoleBinding" and _binds(obj, account)]
    roles = {str((obj.get("roleRef") or {}).get("name")) for obj in bound}
    mine = [
        *bound,
        *(obj for obj in around if obj.get("kind") == "NetworkPolicy" and _selects(obj, labels)),
        *(obj for obj in around if obj.get("kind") == "Role" and _name(obj) in roles),
        *(obj for obj in around if obj.get("kind") == "ServiceAccount" and _name(obj) == account),
        *(
            obj
            for obj in around
            if obj.get("kind") == "Service" and any(calls(word, _name(obj), namespace) for word in words)
        ),
    ]
    told = ("spec", "rules", "subjects", "roleRef", "imagePullSecrets", "secrets")
    return sorted(
        digest_of([obj.get("kind"), _name(obj), {key: obj[key] for key in told if key in obj}]) for obj in mine
    )


def _name(obj: dict[str, Any]) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def _binds(binding: dict[str, Any], account: str) -> bool:
    return any(
        one.get("kind") == "ServiceAccount" and one.get("name") == account for one in binding.get("subjects") or ()
    )


def _selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    selector = (policy.get("spec") or {}).get("podSelector") or {}
    wanted = selector.get("matchLabels") or {}
    return bool(wanted.items() <= labels.items()) and not selector.get("matchExpressions")
