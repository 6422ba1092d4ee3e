# SPDX-License-Identifier: Apache-2.0
"""Parameters of the steps of this way back. A content never stands in one: it is named by where it comes from."""

from __future__ import annotations

from typing import Literal

from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.objects.content import Origin
from backout.mechanisms.port import CaptureSource

How = Literal["create", "update", "recreate"]


class RestoreParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.restore``: where the content comes from, and how the object gets to it."""

    how: How
    origin: Origin
    keep_node_ports: bool = False
    new_addresses: bool = False


class RemoveParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.remove``: an object that was made since all was well."""


class PutBackParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.put-back``: as the capture has it, on the condition that what the run wrote is in force (None: that it is
    gone). An undo names the capture."""

    written: Origin | None = None
    capture: CaptureSource | None = None


class AskAgainParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.ask-again``: the value of the annotation; None takes it away."""

    value: str | None = None


class ReplacePodsParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.replace-pods``: the pods that fail over the old content of ``object``, or ``every`` one."""

    object: ObjectParams
    every: bool = False


class ReloadParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.await-reload``: until ``containers`` work with the content of ``object`` that comes from ``origin``."""

    containers: tuple[str, ...]
    object: ObjectParams
    origin: Origin
