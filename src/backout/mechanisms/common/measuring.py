# SPDX-License-Identifier: Apache-2.0
"""What measurements share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, passed
from backout.model.message import msg
from backout.model.revision import Revision


class Placed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a check in a namespace: that of its target, where it says none."""

    namespace: str = ""


class Named(Placed, frozen=True, kw_only=True):
    """Parameters of a check on one object, as far as they name it; what they leave out is the target's."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""


class ByDigest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a check that a revision is in force."""

    digest: str = ""
    number: int = 0


def namespace_of(check: CheckOf[Placed]) -> str:
    """The namespace that a check is about."""
    return check.params.namespace or check.target.namespace


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
