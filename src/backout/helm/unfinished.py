# SPDX-License-Identifier: Apache-2.0
"""A release whose first install never ended: there is nothing to go back to, and what to do instead. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from backout.errors import NoGoodRevision
from backout.model.message import Message, msg
from backout.model.revision import Revision
from backout.model.target import Target


def never_installed(revisions: Sequence[Revision]) -> bool:
    """True when all that is known of a release is an install that Helm did not end."""
    return len(revisions) == 1 and revisions[0].status == "pending-install"


def instead(target: Target) -> Message:
    """What to do, for people."""
    return msg(
        "Its first install never ended, so there is nothing to go back to. When no helm works on it any more: look at "
        "what it made (`helm get manifest {name} -n {namespace}`), then `helm uninstall {name} -n {namespace}` and "
        "install it again.",
        name=target.name,
        namespace=target.namespace,
    )


def refusal(target: Target) -> NoGoodRevision:
    """The error for whoever asks to go back on it."""
    return NoGoodRevision(
        "{target} never finished its first install, so there is nothing to go back to.",
        target=str(target),
        hint="When no helm works on it any more: look at what it made (`helm get manifest {name} -n {namespace}`), "
        "then `helm uninstall {name} -n {namespace}` and install it again.",
        name=target.name,
        namespace=target.namespace,
    )
