# SPDX-License-Identifier: Apache-2.0
"""Parameters of the steps of this way back. A content never stands in one: it is named by its address."""

from __future__ import annotations

from typing import Literal

import msgspec

from backout.mechanisms.common.params import ObjectParams
from backout.mechanisms.port import CaptureSource

How = Literal["create", "update", "recreate"]


class RestoreParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.restore``: the content at ``address``, and how the object gets to it."""

    how: How
    repository: str
    snapshot: str
    address: str
    keep_node_ports: bool = False
    new_addresses: bool = False


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A content that a run wrote."""

    repository: str
    address: str


class PutBackParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.put-back``: as the capture has it, on the condition that ``written`` is in force. An undo names the
    capture."""

    written: Written
    capture: CaptureSource | None = None


class ScaleParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.scale``: how many pods, and for what is waited (``gone``, ``running``, or nothing)."""

    replicas: int
    until: Literal["gone", "running", ""] = ""


class ReplacePodsParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.replace-pods``: the pods that fail over the old content of ``object``, or ``every`` one."""

    object: ObjectParams
    every: bool = False


class ReloadParams(ObjectParams, frozen=True, kw_only=True):
    """``objects.await-reload``: until ``containers`` work with the content of ``object`` at ``address``."""

    containers: tuple[str, ...]
    object: ObjectParams
    repository: str
    address: str
