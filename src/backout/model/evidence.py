# SPDX-License-Identifier: Apache-2.0
"""What was seen, where and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from backout.model.message import Message
from backout.model.target import ObjectRef


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was seen.

    ``source`` is ``pod``, ``event``, ``log``, ``condition``, ``release``, ``object``, ``metric``, ``http``,
    ``snapshot``.
    """

    source: str
    ref: ObjectRef
    message: Message
    at: datetime | None = None
    data: dict[str, Any] = {}


class Symptom(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of failure of one workload (or release), whatever the number of pods that show it.

    ``code`` is the reason as Kubernetes words it (``CrashLoopBackOff``, ``OOMKilled``, ``ImagePullBackOff``,
    ``CreateContainerConfigError``, ``NotReady``, ``Unschedulable``, …) or ours: ``ReleasePending``, ``ReleaseFailed``,
    ``RolloutStuck``, ``MissingReference``, and of objects ``ConfigReloadFailed``, ``ForwardRequestFailures``,
    ``ObjectStorageErrors``, ``ImmutableReplaced``, ``NoEndpoints``, ``ConnectionRefused``, ``HTTPStatus``,
    ``WrongBackend``, ``NoSuchPort``. ``since`` is the first sign of it.
    """

    code: str
    ref: ObjectRef
    message: Message
    since: datetime | None = None
    pods: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
