# SPDX-License-Identifier: Apache-2.0
"""The key that captures are encrypted with: an age identity of this user on this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyrage

from backout.errors import ConfigError, RefusedError
from backout.snapshots.place import data_folder, private_folder, written


def identity_path(folder: Path | None = None) -> Path:
    """Where the identity is. Whoever has this file can read the captures; without it nobody can."""
    return (folder or data_folder()) / "identity.age"


def identities(folder: Path | None = None) -> list[pyrage.x25519.Identity]:
    """All identities of the file, the current one first: older captures may need an older one.

    Raises:
        ConfigError: the file is missing, can't be read, or is no age identity.
        RefusedError: others may read it.
    """
    first = identity(folder)
    lines = identity_path(folder).read_text(encoding="ascii").splitlines()
    others = [line for line in lines if line.startswith("AGE-SECRET-KEY-")][1:]
    return [first, *(pyrage.x25519.Identity.from_str(line) for line in others)]


def identity(folder: Path | None = None, *, create: bool = False) -> pyrage.x25519.Identity:
    """The identity; with ``create`` it is made at the first use.

    Raises:
        ConfigError: the file is missing, can't be read, or is no age identity.
        RefusedError: others may read it.
    """
    path = identity_path(folder)
    if create and not path.exists():
        private_folder(path.parent)
        made = pyrage.x25519.Identity.generate()
        written(path, f"{made}\n".encode(), exclusive=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(
            "The key of the captures, {path}, can't be read: {reason}.",
            path=str(path),
            reason=error.strerror or type(error).__name__,
            hint="captures can't be opened without it; put it back from your backup",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise RefusedError(
            "The key of the captures, {path}, may be read by others.", path=str(path), hint="chmod 600 {path}"
        )
    line = next((line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-")), "")
    try:
        return pyrage.x25519.Identity.from_str(line)
    except pyrage.IdentityError as error:
        raise ConfigError("{path} is not an age identity.", path=str(path)) from error
