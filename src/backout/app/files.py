# SPDX-License-Identifier: Apache-2.0
"""Files that a verb reads, or writes, for its caller."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from backout.errors import UsageError


def write_private(path: str, text: str) -> None:
    """Writes a file that only its owner can read.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                # A file that is there already may be open to others: that ends before anything stands in it.
                os.fchmod(file.fileno(), 0o600)
                os.ftruncate(file.fileno(), 0)
            file.write(text)
    except OSError as error:
        raise UsageError("{file} can't be written: {problem}.", file=path, problem=str(error.strerror)) from error


LARGEST = 32 * 1024 * 1024
"""Bytes of a file that is read whole: a plan of ten thousand objects is a tenth of that."""


def read_bounded(path: Path) -> bytes:
    """The content of a file that somebody else may have written.

    Raises:
        UsageError: it can't be read, is no file, or is larger than 32 MiB.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError("{file} is no file.", file=str(path))
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError("{file} can't be read: {problem}.", file=str(path), problem=str(error.strerror)) from error
    if len(content) > LARGEST:
        raise UsageError("{file} is larger than {limit} bytes.", file=str(path), limit=LARGEST)
    return content
