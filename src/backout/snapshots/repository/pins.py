# SPDX-License-Identifier: Apache-2.0
"""What this machine remembers of a repository: age proves no sender, so a forged one could stand in for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from backout.errors import ConfigError, RepositoryChanged
from backout.model.decoding import UNREADABLE
from backout.snapshots.place import data_folder, private_folder, written
from backout.snapshots.repository.keys import KeyFile


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """The id, the highest serial of keys, and the fingerprints of all generations that were seen. Not secret."""

    url: str
    id: str
    serial: int
    fingerprints: tuple[str, ...]


def check_and_remember(url: str, keys: KeyFile, folder: Path | None = None) -> bool:
    """Compares with what was seen here before, and remembers what is there now; True at the first time.

    Raises:
        RepositoryChanged: another repository, or older keys.
        ConfigError: the memory can't be read.
    """
    path = _path(url, folder)
    ring = keys.keyring()
    now = Pin(
        url=url,
        id=keys.repository,
        serial=keys.serial,
        fingerprints=tuple(generation.fingerprint for generation in ring.generations),
    )
    known = _read(path)
    if known == now:
        return False
    if known is not None:
        if known.id != now.id:
            raise RepositoryChanged(
                "In {url} is another repository than before.",
                url=url,
                expected="{before}",
                found="{after}",
                before=known.id,
                after=now.id,
                path=str(path),
                hint="if you replaced it yourself, remove {path}",
            )
        if now.serial < known.serial or not set(known.fingerprints) <= set(now.fingerprints):
            raise RepositoryChanged(
                "The keys of {url} are not those that this machine has seen: older ones, or others, were put in place.",
                url=url,
                expected="serial {before} or later",
                found="serial {after}",
                before=known.serial,
                after=now.serial,
                path=str(path),
                hint="find out who did that; if you put an older copy back yourself, remove {path}",
            )
    private_folder(path.parent)
    written(path, msgspec.json.encode(now))
    return known is None


def remembered(url: str, folder: Path | None = None) -> Path | None:
    """Where it is remembered that there was a repository; None when this machine never saw one there."""
    path = _path(url, folder)
    return path if path.exists() else None


def _path(url: str, folder: Path | None) -> Path:
    return (folder or data_folder()) / "repositories" / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> Pin | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Pin)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        raise ConfigError(
            "What this machine remembers of the snapshot repository, {path}, can't be read.",
            path=str(path),
            hint="remove it if you trust the repository that is there now",
        ) from error
