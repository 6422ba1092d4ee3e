# SPDX-License-Identifier: Apache-2.0
"""What the verbs answer that only read. Lists have an item for each cluster that was asked, also when that is one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.app.doctor import Examination
from backout.app.reading import ClusterStatus, History, Ledger, Measured
from backout.documents.base import Document
from backout.model.diagnosis import Diagnosis, Problem, Stopped, UnderWay
from backout.model.message import Message
from backout.model.revision import Revision
from backout.model.target import Target
from backout.model.verdict import CheckResult, Outcome


class StatusList(Document, frozen=True, kw_only=True):
    """`backout status`: the targets of each cluster."""

    kind: Literal["StatusList"] = "StatusList"
    items: tuple[ClusterStatus, ...]


class HistoryDocument(Document, frozen=True, kw_only=True):
    """`backout history`: the revisions of one target, oldest first."""

    kind: Literal["History"] = "History"
    target: Target
    revisions: tuple[Revision, ...]


class ChangesList(Document, frozen=True, kw_only=True):
    """`backout changes`: what changed on each cluster."""

    kind: Literal["ChangesList"] = "ChangesList"
    items: tuple[Ledger, ...]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster that was looked at: what was seen there (``looked_at``), what was hidden (``blind``), what has not ended
    (``under_way``), what somebody scaled to 0 though nothing asks it (``stopped``), and what is missing as evidence only
    (``unread``)."""

    cluster: str
    namespace: str
    at: datetime
    healthy: bool
    looked_at: dict[str, int]
    blind: tuple[Message, ...]
    under_way: tuple[UnderWay, ...]
    stopped: tuple[Stopped, ...] = ()
    unread: tuple[Message, ...] = ()


class DiagnosisList(Document, frozen=True, kw_only=True):
    """`backout diagnose`: every problem, wherever it was found (``target`` says where), and what was looked at."""

    kind: Literal["DiagnosisList"] = "DiagnosisList"
    healthy: bool
    problems: tuple[Problem, ...]
    items: tuple[Looked, ...]


class ClusterVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the checks on one cluster measured. ``blind``: why nothing was, where the cluster could not be asked; then it is unknown."""

    cluster: str
    outcome: Outcome
    checks: tuple[CheckResult, ...]
    at: datetime
    soak: float = 0.0
    blind: tuple[Message, ...] = ()


class VerdictList(Document, frozen=True, kw_only=True):
    """`backout verify`: a verdict for each cluster."""

    kind: Literal["VerdictList"] = "VerdictList"
    items: tuple[ClusterVerdict, ...]


class Checked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


class Doctor(Document, frozen=True, kw_only=True):
    """`backout doctor`: what was looked at, and the Roles that would grant what is missing."""

    kind: Literal["Doctor"] = "Doctor"
    ok: bool
    checks: tuple[Checked, ...]
    roles: tuple[dict[str, Any], ...]


def history_document(found: History) -> HistoryDocument:
    """The revisions of one target."""
    return HistoryDocument(target=found.target, revisions=found.revisions)


def diagnosis_list(found: Sequence[Diagnosis]) -> DiagnosisList:
    """The answers of all clusters that were asked."""
    return DiagnosisList(
        healthy=all(one.healthy for one in found),
        problems=tuple(problem for one in found for problem in one.problems),
        items=tuple(
            Looked(
                cluster=one.cluster,
                namespace=one.namespace,
                at=one.at,
                healthy=one.healthy,
                looked_at=one.looked_at,
                blind=one.blind,
                under_way=one.under_way,
                stopped=one.stopped,
                unread=one.unread,
            )
            for one in found
        ),
    )


def verdict_list(found: Sequence[Measured]) -> VerdictList:
    """The verdicts of all clusters that were asked."""
    return VerdictList(
        items=tuple(
            ClusterVerdict(
                cluster=one.cluster,
                outcome=one.verdict.outcome,
                checks=one.verdict.checks,
                at=one.verdict.at,
                soak=one.verdict.soak,
                blind=one.blind,
            )
            for one in found
        )
    )


def doctor_document(found: Examination) -> Doctor:
    """The findings with texts instead of messages."""
    checks = (
        Checked(
            name=check.name,
            ok=check.ok,
            detail=f"{check.detail} ({check.code})" if check.code else str(check.detail),
            hint=str(check.hint) if check.hint is not None else "",
        )
        for check in found.checks
    )
    return Doctor(ok=found.ok, checks=tuple(checks), roles=found.roles)
