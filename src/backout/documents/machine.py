# SPDX-License-Identifier: Apache-2.0
"""This installation, embedded clusters, and rehearsals on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal

import msgspec

from backout.documents.base import Document
from backout.lab.player import Ending, Outcome


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version, and a path where it is a program."""

    version: str
    path: str = ""


class Version(Document, frozen=True, kw_only=True, omit_defaults=False):
    """`backout version`: each part with its version; null where there is none."""

    kind: Literal["Version"] = "Version"
    backout: Part
    python: Part
    sqlite: Part
    helm: Part | None
    kubectl: Part | None
    git: Part | None
    kubetwin: Part | None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario, and what it breaks."""

    scenario: str
    title: str


class ScenarioList(Document, frozen=True, kw_only=True):
    """`backout demo --list`."""

    kind: Literal["ScenarioList"] = "ScenarioList"
    items: tuple[Listed, ...]


class Rehearsal(Document, frozen=True, kw_only=True):
    """`backout demo`: how a scenario ended; ``why`` and ``code`` are of the error that ended it."""

    kind: Literal["Rehearsal"] = "Rehearsal"
    scenario: str
    outcome: Ending
    cause: str
    mechanism: str
    target: str
    confidence: str
    runs: tuple[str, ...]
    seconds: float
    why: str = ""
    code: str = ""


class Twin(Document, frozen=True, kw_only=True):
    """`backout twin up`, `status` and `down`: the embedded clusters of a directory, the ports of their ingresses and
    the URLs of their Argo CD."""

    kind: Literal["Twin"] = "Twin"
    directory: str
    up: bool
    pid: int = 0
    clusters: tuple[str, ...] = ()
    kubeconfig: str = ""
    keep: bool = False
    ingress: dict[str, int] = msgspec.field(default_factory=dict)
    argocd: dict[str, str] = msgspec.field(default_factory=dict)


class TwinFault(Document, frozen=True, kw_only=True):
    """`backout twin break`: what a workload fails with; empty when it was mended."""

    kind: Literal["TwinFault"] = "TwinFault"
    cluster: str
    namespace: str
    workload: str
    fault: str


class SchemaList(Document, frozen=True, kw_only=True):
    """`backout schema`: the kinds of documents that there are."""

    kind: Literal["SchemaList"] = "SchemaList"
    items: tuple[str, ...]


def rehearsal(outcome: Outcome) -> Rehearsal:
    """How a scenario ended."""
    fields = asdict(outcome)
    return Rehearsal(**{**fields, "runs": tuple(fields["runs"])})


def version_document(facts: Mapping[str, dict[str, str] | None]) -> Version:
    """What was found of each part."""
    return msgspec.convert(facts, Version)
