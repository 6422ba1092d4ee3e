# SPDX-License-Identifier: Apache-2.0
"""The plan: an ordered, hashed, readable document. What was approved is what runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from backout.model.change import Changes
from backout.model.evidence import Problem
from backout.model.message import Message
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target

API_VERSION = "backout.dev/v1"


class ClusterIdentity(msgspec.Struct, frozen=True):
    """Which cluster this is, whatever the context is called: uid of the kube-system namespace, SHA-256 of the CA."""

    uid: str
    ca: str
    server: str = ""

    def same_as(self, other: ClusterIdentity) -> bool:
        """Whether both are one cluster. Where one of them was seen by somebody who might not read kube-system, the
        authority tells; with neither in common nothing does, and they are different."""
        if self.uid and other.uid:
            return self.uid == other.uid
        return bool(self.ca) and self.ca == other.ca


class Access(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One right that the plan needs, in the words of RBAC. ``resource`` may carry a subresource: ``pods/log``."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


class Compensation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a step is taken back: an action, its parameters, and the rights that it needs."""

    action: str
    params: dict[str, Any] = {}
    access: tuple[Access, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One effect. Idempotent: look, act only if the effect is absent, confirm. JSON only, nothing secret.

    ``action`` names the effect (``helm.rollback``, ``workload.undo``, ``workload.replace-stuck-pods``, …), ``params``
    are its arguments, ``precondition`` what must still hold right before (release head, uid, resourceVersion, hash).
    """

    id: str
    action: str
    target: Target
    title: Message
    params: dict[str, Any] = {}
    precondition: dict[str, Any] = {}
    effect: Message | None = None
    compensation: Compensation | None = None
    destroys: tuple[ObjectRef, ...] = ()
    timeout: float = 300.0


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something to measure after the run. ``code`` names the measurement, ``params`` its arguments."""

    code: str
    target: Target
    title: Message
    params: dict[str, Any] = {}


class Risk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something the reader must know before saying yes. ``needs_approval``: not done without an explicit word."""

    code: str
    message: Message
    needs_approval: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One way back for one cluster. ``hash`` covers every other field; `run` holds to it."""

    apiVersion: str = API_VERSION
    kind: str = "Plan"
    cluster: str
    identity: ClusterIdentity
    namespace: str
    made_at: datetime
    target: Target
    mechanism: str
    cause: Message
    current: Revision | None = None
    revision: Revision
    why_good: tuple[Message, ...] = ()
    problems: tuple[Problem, ...] = ()
    steps: tuple[Step, ...]
    changes: Changes = Changes()
    risks: tuple[Risk, ...] = ()
    checks: tuple[Check, ...] = ()
    access: tuple[Access, ...] = ()
    soak: float = 10.0
    undo_of: str = ""
    hash: str = ""
