# SPDX-License-Identifier: Apache-2.0
"""What measurements share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backout.model.measured import Measured, failed, passed
from backout.model.message import msg
from backout.model.part import Check
from backout.model.revision import Revision


def namespace_of(check: Check) -> str:
    """The namespace that a check is about."""
    return str(check.params.get("namespace") or check.target.namespace)


def revision_in_force(revisions: Sequence[Revision], digest: str = "", status: str = "") -> Measured:
    """Whether the current revision has that content and that status; an empty one is not asked for."""
    head = next((revision for revision in reversed(revisions) if revision.current), None)
    if head is None:
        return failed(msg("it has no current revision"))
    data: dict[str, Any] = {"revision": head.number, "status": head.status}
    if status and head.status != status:
        return failed(
            msg("revision {number} is {status}", number=head.number, status=head.status), msg("deployed"), **data
        )
    if digest and head.digest != digest:
        return failed(
            msg("revision {number} has other content ({digest})", number=head.number, digest=head.digest[:19]),
            msg("content {digest}", digest=digest[:19]),
            **data,
        )
    if not digest:
        return passed(msg("revision {number} is {status}", number=head.number, status=head.status), **data)
    return passed(msg("revision {number} is in force, with the content that was asked for", number=head.number), **data)
