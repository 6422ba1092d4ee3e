# SPDX-License-Identifier: Apache-2.0
"""Pieces of a run that are executions of their own: each is claimed by a process, and carried out, for itself.

Two forms of one thing: where a run is carried out in one process, that carries its pieces out as well (the engine's own
hands); where workers share a queue, the pieces go there (`queued`), and any worker that knows the cluster takes one.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow that is a piece of a run. ``name`` is its own within the run; ``cluster`` is where it acts. One that is
    ``light`` only looks: it leaves no record with the engine, and no limit holds it back."""

    name: str
    workflow: str
    cluster: str
    payload: Any = None
    light: bool = False
