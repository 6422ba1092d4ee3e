# SPDX-License-Identifier: Apache-2.0
"""The states that a target was in, and what is known of how good each was."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from backout.model.message import Message

Goodness = Literal["good", "bad", "unknown"]
UNREADABLE = "unreadable-"
"""How the digest of a revision begins whose content can't be read."""


class Revision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One revision of one target.

    ``number`` grows with every change and is what ``--to`` takes. ``digest`` names the content: two revisions with the
    same digest are the same state (Helm: hash of the rendered manifest; workloads: hash of the pod template).
    ``created`` is when it came up first; of the current one, when it came into force.
    ``goodness`` says whether it is proven to have worked; ``reasons`` say why. Never derived from the number alone.
    ``settled`` is False for a current revision that the cluster is not at: never finished, changed by hand since, or
    with pods stuck on another one. Going "back" to it again is then something to do.
    ``former`` are numbers that it had before: a Deployment's revision gets a new one when it comes back.
    ``names`` are what else ``--to`` takes for it: ids and tags of the snapshots that hold it.
    """

    number: int
    digest: str
    created: datetime | None = None
    status: str = ""
    summary: str = ""
    change_cause: str = ""
    chart: str = ""
    app_version: str = ""
    images: tuple[str, ...] = ()
    current: bool = False
    settled: bool = True
    goodness: Goodness = "unknown"
    reasons: tuple[Message, ...] = ()
    names: tuple[str, ...] = ()
    former: tuple[int, ...] = ()

    @property
    def removed(self) -> bool:
        """True when what it says was taken away, and only its record is kept: nothing of it is in force."""
        return self.status in ("uninstalled", "uninstalling")

    @property
    def readable(self) -> bool:
        """False when its content can't be read, so that nothing can be said of it."""
        return not self.digest.startswith(UNREADABLE)
