# SPDX-License-Identifier: Apache-2.0
"""The custom resources of a manifest: what an operator makes something of, and which images it is told to run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from backout.helm.manifest import entries
from backout.kube.groups import custom
from backout.kube.templates import digest_of

CustomId = tuple[str, str, str]
"""Kind, namespace, name."""


class CustomResource(msgspec.Struct, frozen=True, kw_only=True):
    """One custom resource as a revision's manifest describes it; ``key`` names the content of everything but metadata."""

    api_version: str
    kind: str
    name: str
    namespace: str
    key: str
    images: tuple[str, ...] = ()

    @property
    def id(self) -> CustomId:
        """Kind, namespace, name."""
        return self.kind, self.namespace, self.name

    @property
    def label(self) -> str:
        """``kind/name``."""
        return f"{self.kind.lower()}/{self.name}"


@lru_cache(maxsize=64)
def custom_resources(manifest: str, namespace: str) -> tuple[CustomResource, ...]:
    """The custom resources of a manifest; definitions of kinds are none."""
    found = []
    for entry in entries(manifest):
        if not custom(entry.api_version):
            continue
        body = {
            key: value for key, value in entry.object.items() if key not in ("apiVersion", "kind", "metadata", "status")
        }
        found.append(
            CustomResource(
                api_version=entry.api_version,
                kind=entry.kind,
                name=entry.name,
                namespace=entry.namespace(namespace),
                key=digest_of(body),
                images=tuple(dict.fromkeys(_images(body))),
            )
        )
    return tuple(found)


def _images(node: Any) -> Iterator[str]:
    """Every field called ``image``, or ending so, that holds a reference."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str) and value and (key == "image" or str(key).endswith("Image")):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for item in node:
            yield from _images(item)
