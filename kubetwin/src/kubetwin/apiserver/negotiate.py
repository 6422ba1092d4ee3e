# SPDX-License-Identifier: Apache-2.0
"""Content negotiation: which representation an ``Accept`` header asks for and what a body is written in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kubetwin.apiserver.status import no_representation, not_acceptable, unsupported_media_type

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
ACCEPTED = (JSON, YAML)


@dataclass(frozen=True, slots=True)
class MediaType:
    """``target`` is the kind asked for with ``as=`` (``Table``, ``PartialObjectMetadata``…), empty for the object."""

    yaml: bool = False
    target: str = ""
    group: str = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        return YAML if self.yaml else JSON


def _clauses(header: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[float, str, dict[str, str]]] = []
    for clause in header.split(","):
        kind, *params = (part.strip() for part in clause.split(";"))
        if not kind:
            continue
        options = dict(p.split("=", 1) for p in params if "=" in p)
        try:
            weight = float(options.pop("q", "1"))
        except ValueError:
            weight = 1.0
        found.append((weight, kind.lower(), options))
    found.sort(key=lambda item: -item[0])
    return [(kind, options) for _, kind, options in found]


@lru_cache(maxsize=256)
def accept(header: str, targets: tuple[str, ...] = ()) -> MediaType:
    """The first acceptable representation; ``targets`` are the ``as=`` kinds this endpoint can make.

    Raises ApiError 406 when nothing that the header names can be produced.
    """
    if not header.strip():
        return MediaType()
    refused = False
    for kind, options in _clauses(header):
        if kind in (JSON, "*/*", "application/*"):
            yaml = False
        elif kind == YAML:
            yaml = True
        else:
            continue
        target = options.get("as", "")
        if target and (target not in targets or not _known_version(target, options)):
            refused = True
            continue
        return MediaType(yaml, target, options.get("g", ""), options.get("v", ""))
    raise not_acceptable(ACCEPTED) if refused else no_representation(ACCEPTED)


def _known_version(target: str, options: dict[str, str]) -> bool:
    if target == "APIGroupDiscoveryList":
        return True
    return options.get("g") == "meta.k8s.io" and options.get("v") in ("v1", "v1beta1")


@lru_cache(maxsize=64)
def body_type(header: str) -> str:
    """The type of a body that can be read; raises ApiError 415 for anything else (CBOR for example)."""
    kind = header.partition(";")[0].strip().lower()
    if kind in ("", JSON):
        return JSON
    if kind in (YAML, PROTOBUF):
        return kind
    raise unsupported_media_type((*ACCEPTED, PROTOBUF))
