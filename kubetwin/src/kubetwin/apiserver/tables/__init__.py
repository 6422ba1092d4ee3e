# SPDX-License-Identifier: Apache-2.0
"""Server-side printing: the `Table` that `kubectl get` asks for.

Columns and cells follow the printers of the real server (Kubernetes 1.36, `pkg/printers/internalversion`, the
aggregator's table of APIServices, and the apiextensions table of custom resources). Pure functions, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, Protocol

from kubetwin.apiserver.tables import control, core, custom, network, pods, storage, workloads
from kubetwin.apiserver.tables.columns import CREATED, NAME, Column, Printer, printer
from kubetwin.apiserver.tables.text import Obj

IncludeObject = Literal["Metadata", "Object", "None"]

_PRINTERS: Mapping[tuple[str, str], Printer] = {
    **pods.PRINTERS,
    **workloads.PRINTERS,
    **network.PRINTERS,
    **storage.PRINTERS,
    **core.PRINTERS,
    **control.PRINTERS,
}


class Printable(Protocol):
    """What is needed to know of a resource type."""

    @property
    def group(self) -> str:
        """The API group, empty for core."""

    @property
    def resource(self) -> str:
        """The plural name."""

    @property
    def crd_version(self) -> Mapping[str, Any] | None:
        """For custom resources the entry of the definition's `spec.versions`, else None."""


# Roles, cluster roles, limit ranges, custom resource definitions and whatever else has no printer of its own.
_DEFAULT = printer(
    "v1/Object", NAME, Column("Created At", "@meta:creationTimestamp", lambda obj, _: CREATED(obj), "date")
)


def table(
    resource_type: Printable,
    objects: Iterable[Mapping[str, Any]],
    *,
    include_object: IncludeObject = "Metadata",
    subresource: str = "",
    metadata: Mapping[str, Any] | None = None,
    no_headers: bool = False,
    version: str = "v1",
    now: datetime | None = None,
) -> dict[str, Any]:
    """A meta.k8s.io Table of objects.

    `metadata` is the list's (resourceVersion, continue, remainingItemCount) or the object's (of which only
    resourceVersion counts). `version` is v1 or v1beta1. `now` is for ages.
    """
    moment = now or datetime.now(UTC)
    if subresource == "scale":
        chosen = workloads.SCALE
    elif resource_type.crd_version is not None:
        chosen = custom.printer(resource_type.crd_version.get("additionalPrinterColumns") or ())
    else:
        chosen = _PRINTERS.get((resource_type.group, resource_type.resource), _DEFAULT)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {
            key: metadata[key]
            for key in ("resourceVersion", "continue", "remainingItemCount")
            if metadata and metadata.get(key)
        },
        "columnDefinitions": None if no_headers else _definitions(tuple(chosen.columns)),
        "rows": [_row(chosen, obj, include_object, version, moment) for obj in objects],
    }


@lru_cache(maxsize=256)
def _definitions(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    return [column.definition() for column in columns]


def _row(printer: Printer, obj: Obj, include: IncludeObject, version: str, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": printer.row(obj, now)}
    if printer.conditions is not None and (conditions := printer.conditions(obj)):
        row["conditions"] = conditions
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": obj["metadata"],
        }
    else:
        row["object"] = None
    return row
