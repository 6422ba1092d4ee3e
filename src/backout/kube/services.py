# SPDX-License-Identifier: Apache-2.0
"""Whether a Service is to have addresses: the one rule. Pure.

A Service without pods is ordinary where its part does not run: it is scaled to 0, or nothing that runs has its labels (such as the
Services that a monitoring chart brings for control planes that are elsewhere). Then an empty one is no failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Maker(NamedTuple):
    """What makes pods: their labels, and how many it wants."""

    labels: Mapping[str, str]
    pods: int


def wants_addresses(selector: Mapping[str, str] | None, makers: Iterable[Maker]) -> bool:
    """True when something wants pods that the selector matches; never for a Service without a selector."""
    return bool(selector) and any(
        maker.pods > 0 and all(maker.labels.get(key) == value for key, value in (selector or {}).items())
        for maker in makers
    )


def has_port(service: Mapping[str, Any], port: int | str) -> bool:
    """Whether a Service has a port of that name or number; one that stands for a name elsewhere need not list any."""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return True
    return any(port in (entry.get("name"), entry.get("port")) for entry in spec.get("ports") or ())
