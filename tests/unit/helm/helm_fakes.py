# SPDX-License-Identifier: Apache-2.0
"""A cluster in a dict, as far as reading goes. What may not be listed is a constructor argument."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any, TypeVar

import msgspec

from backout.cluster.port import Resource
from backout.errors import AccessDenied, ObjectNotFound

T = TypeVar("T")


class Shelf:
    """Lists and gets from ``objects``: plural → objects as the API gives them."""

    name = "c1"

    def __init__(self, objects: dict[str, list[dict[str, Any]]], forbidden: frozenset[str] = frozenset()) -> None:
        self.objects, self.forbidden = objects, forbidden
        self.gets: list[str] = []

    async def list_as(
        self,
        type: type[T],
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[T]:
        if resource.plural in self.forbidden:
            raise AccessDenied("no")
        found = [obj for obj in self.objects.get(resource.plural, []) if _selected(obj, labels)]
        if metadata_only:
            found = [{"metadata": obj["metadata"]} for obj in found]
        return [msgspec.json.decode(json.dumps(obj), type=type) for obj in found]

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        self.gets.append(name)
        for obj in self.objects.get(resource.plural, []):
            if obj["metadata"]["name"] == name:
                return msgspec.json.decode(json.dumps(obj), type=type)
        raise ObjectNotFound("no")


def _selected(obj: dict[str, Any], selector: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, unequal, value = term.partition("!=")
        if unequal:
            if labels.get(key) == value:
                return False
            continue
        key, _, value = term.partition("=")
        if labels.get(key) != value:
            return False
    return True


def record(
    release: str,
    number: int,
    manifest: str,
    *,
    status: str = "deployed",
    created: str = "2026-11-22T10:00:00Z",
    body: str | None = None,
) -> dict[str, Any]:
    payload = {
        "name": release,
        "namespace": "ns",
        "version": number,
        "manifest": manifest,
        "info": {"status": status, "description": "Upgrade complete"},
        "chart": {"metadata": {"name": "chart", "version": "1.0.0"}},
    }
    inner = base64.b64encode(gzip.compress(json.dumps(payload).encode()))
    return {
        "metadata": {
            "name": f"sh.helm.release.v1.{release}.v{number}",
            "namespace": "ns",
            "uid": f"{release}-{number}",
            "resourceVersion": "1",
            "creationTimestamp": created,
            "labels": {
                "owner": "helm",
                "name": release,
                "version": str(number),
                "status": status,
                "modifiedAt": "1795341600",
            },
        },
        "type": "helm.sh/release.v1",
        "data": {"release": base64.b64encode(inner).decode() if body is None else body},
    }
