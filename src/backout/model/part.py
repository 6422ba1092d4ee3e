# SPDX-License-Identifier: Apache-2.0
"""One way back of one target: its steps, what they change and need, and how it will be proven."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.model.change import Changes
from backout.model.diagnosis import Problem
from backout.model.message import Message
from backout.model.revision import Revision
from backout.model.scope import Scope
from backout.model.target import ObjectRef, Target


class Access(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One right that a part needs, in the words of RBAC. ``resource`` may carry a subresource: ``pods/log``."""

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


class Spared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stays as it is because somebody asked for that (``--skip``), and how that is seen to."""

    what: str
    namespace: str = ""
    how: Message


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One way back of one target in one scope.

    ``id`` is unique in its operation; ``needs`` are the ids of the parts that must be verified before this one begins.
    ``soak``: seconds of watching before its verdict. ``skipped``: objects that it would change or delete, and leaves alone.
    """

    id: str
    scope: Scope
    target: Target
    mechanism: str
    needs: tuple[str, ...] = ()
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
    skipped: tuple[Spared, ...] = ()
