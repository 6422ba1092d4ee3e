# SPDX-License-Identifier: Apache-2.0
"""Parameters of the steps of this way back."""

from __future__ import annotations

from typing import Any

from backout.mechanisms.common.params import ObjectParams


class TemplateParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.undo``: the template of ``digest``, kept by the revision ``source`` (or given, where none keeps it), on
    the condition that the one of ``expect`` is in force."""

    number: int = 0
    digest: str
    source: str = ""
    change_cause: str = ""
    expect: str = ""
    template: dict[str, Any] | None = None
    declared: dict[str, Any] | None = None
    """Where what the workload is declared to be is found: ``release`` and ``revision``, or ``snapshot``."""


class SpecParams(ObjectParams, frozen=True, kw_only=True):
    """``workload.set-spec``: parts of the spec beside the template; None takes one away."""

    parts: dict[str, Any]
