# SPDX-License-Identifier: Apache-2.0
"""Manifests as files hold them: YAML or JSON documents, read safely and within limits; names of objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import yaml

from kubetwin.client import Obj

FILE_LIMIT = 10 * 1024 * 1024
"""Bytes of all manifests of one directory, as argo-cd's reposerver.max.combined.directory.manifests.size (10M)."""
OBJECTS_LIMIT = 5000


class ManifestError(Exception):
    """Files or a program's output that are no manifests."""


class Key(NamedTuple):
    """An object's identity; the version of its group does not belong to it."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


def group_of(obj: Obj) -> str:
    """The API group; empty for the core group."""
    group, slash, _ = str(obj.get("apiVersion") or "").rpartition("/")
    return group if slash else ""


def version_of(obj: Obj) -> str:
    return str(obj.get("apiVersion") or "").rpartition("/")[2]


def identity(obj: Obj) -> Key:
    meta = obj["metadata"]
    return Key(group_of(obj), str(obj["kind"]), str(meta.get("namespace") or ""), str(meta.get("name") or ""))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes' parser reads it: dates stay texts, and a value ``=`` is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parsed(text: str | bytes, name: str) -> list[Any]:
    """Every document of a file that is not empty.

    Raises:
        ManifestError: it is no YAML.
    """
    try:
        return [each for each in yaml.load_all(text, Loader=_Loader) if each is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"Failed to unmarshal {name!r}: {str(error)[:500]}") from error


def objects(documents: Iterable[Any], name: str) -> list[Obj]:
    """Documents as objects; a List is taken apart.

    Raises:
        ManifestError: one has no kind, apiVersion or name.
    """
    found: list[Obj] = []
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
            found += objects(document["items"] or (), name)
            continue
        if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            raise ManifestError(f"Failed to unmarshal {name!r}: Object 'Kind' or 'apiVersion' is missing")
        meta = document.get("metadata")
        if not isinstance(meta, dict) or not (meta.get("name") or meta.get("generateName")):
            raise ManifestError(f"Failed to unmarshal {name!r}: {document['kind']} has no name")
        found.append(document)
        if len(found) > OBJECTS_LIMIT:
            raise ManifestError(f"more than {OBJECTS_LIMIT} objects")
    return found


def is_crd_of(obj: Obj, group: str = "", kind: str = "") -> bool:
    """Whether it is a CustomResourceDefinition, of this very kind if one is named."""
    if obj.get("kind") != "CustomResourceDefinition" or group_of(obj) != "apiextensions.k8s.io":
        return False
    spec = obj.get("spec") or {}
    return not kind or (spec.get("group") == group and (spec.get("names") or {}).get("kind") == kind)
