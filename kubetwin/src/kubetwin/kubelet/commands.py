# SPDX-License-Identifier: Apache-2.0
"""Commands of exec probes. Nothing runs in simulated pods, so the end of most is not known."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_SHELLS = frozenset(("sh", "bash", "ash", "dash"))
_FIXED = {"true": 0, ":": 0, "false": 1}
_CODES = 256


def exit_code(command: Sequence[str]) -> int | None:
    """How a command ends that does the same everywhere (``true``, ``false``, ``exit 3``, also in a shell); None for any
    other, whose end only its program could tell."""
    words = [command[0].rpartition("/")[2], *command[1:]] if command else []
    if len(words) == 3 and words[0] in _SHELLS and re.fullmatch(r"-e?c", words[1]):
        try:
            words = shlex.split(words[2])
        except ValueError:
            return None
        if len(words) == 2 and words[0] == "exit" and words[1].isdecimal():
            return int(words[1]) % _CODES
        words = [words[0].rpartition("/")[2], *words[1:]] if words else []
    return _FIXED.get(words[0]) if len(words) == 1 else None
