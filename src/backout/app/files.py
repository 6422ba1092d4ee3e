# SPDX-License-Identifier: Apache-2.0
"""Files that a verb writes for its caller."""

from __future__ import annotations

import os

from backout.errors import UsageError


def write_private(path: str, text: str) -> None:
    """Writes a file that only its owner can read.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError("{file} can't be written: {problem}.", file=path, problem=str(error.strerror)) from error
