# SPDX-License-Identifier: Apache-2.0
"""How one operation goes over many clusters: waves, gates, budget, deadline."""

from __future__ import annotations

from typing import Literal

import msgspec

from backout.model.message import Message

OnFailure = Literal["stop", "continue", "undo"]
"""What happens to the rest when more failed than may: nothing more is begun; all the same; what was changed is put back."""
Unplanned = Literal["refuse", "skip"]
"""What happens where a cluster can't be planned: nothing is carried out, or the others go on without it."""


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that go together: ``parts`` are their ids. ``asked`` is how the wave was written: ``1``, ``25%``, ``rest``, a
    label, or a cluster."""

    asked: str
    parts: tuple[str, ...]


class NotPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, or a target there, that was meant and has no part. ``needed``: False where nothing is to be done of it."""

    cluster: str
    target: str = ""
    code: str
    why: Message
    needed: bool = True


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """How the parts of an operation are carried out. Part of what is hashed, so nobody joins and nobody leaves later.

    ``parallel``: so many clusters at a time; ``max_failures``: so many parts may fail, and the next wave begins all the
    same; ``soak``: seconds between the end of a wave and the look at it that opens the next; ``deadline``: seconds that
    one part may take in one go, 0 for no other limit than those of its steps.
    """

    waves: tuple[Wave, ...]
    parallel: int
    max_failures: int
    on_failure: OnFailure
    soak: float
    deadline: float
    unplanned: Unplanned
    not_planned: tuple[NotPlanned, ...] = ()

    @property
    def missing(self) -> tuple[NotPlanned, ...]:
        """What should have had a part."""
        return tuple(one for one in self.not_planned if one.needed)

    def wave_of(self, part: str) -> int:
        """The number of the wave that a part goes in, from 1; 0 for one that is in none."""
        return next((number for number, wave in enumerate(self.waves, 1) if part in wave.parts), 0)
