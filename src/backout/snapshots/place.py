# SPDX-License-Identifier: Apache-2.0
"""Where data is kept, and how a file gets there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from backout.effects import passing
from backout.errors import CaptureError
from backout.model.settings import SnapshotSettings

ENVIRONMENT = "BACKOUT_DATA"


def data_folder() -> Path:
    """``$BACKOUT_DATA``, else ``backout`` below ``$XDG_DATA_HOME`` or ``~/.local/share``."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named).expanduser()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "backout"


def repository_place(settings: SnapshotSettings) -> str:
    """Where the configuration has the snapshots: a directory, or an URL."""
    return settings.repository or str(data_folder() / "snapshots")


def never_made(settings: SnapshotSettings) -> bool:
    """True where the snapshots are to be in a directory that does not even exist: what opens a repository, and takes
    longer to import than a small namespace to read, is not needed then. False in every doubt."""
    place = repository_place(settings)
    if "://" in place:
        return False
    try:
        Path(place).expanduser().absolute().lstat()
    except FileNotFoundError:
        return True
    except (OSError, RuntimeError, ValueError):
        pass
    return False


def private_folder(path: Path) -> None:
    """Makes the folder, for this user alone.

    Raises:
        CaptureError: it can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unwritable(path, error) from error


def written(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Writes a file (0600) so that it is there whole after a crash, or not at all: fsync, rename, fsync of the folder.

    ``exclusive`` keeps what another process put there meanwhile.

    Raises:
        CaptureError: the disk is full, or the place is not writable.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with passing("capture", path.name):
        _write(path, draft, content, exclusive=exclusive)


def _write(path: Path, draft: Path, content: bytes, *, exclusive: bool) -> None:
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if exclusive:
                try:
                    path.hardlink_to(draft)
                except FileExistsError:
                    return
            else:
                draft.replace(path)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> CaptureError:
    return CaptureError(
        "The state before the run can't be kept in {folder}: {reason}. Nothing was written to the cluster.",
        folder=str(folder),
        reason=error.strerror or type(error).__name__,
        env=ENVIRONMENT,
        hint="free some space, or set {env} to another folder",
    )
