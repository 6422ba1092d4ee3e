# SPDX-License-Identifier: Apache-2.0
"""Takes one file out of archives within archives, with limits. Nothing else of them is ever written or run."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backout.errors import RefusedError, TooLarge

CHUNK = 1024 * 1024
MEMBERS = 10_000


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def take(archive: Path, members: tuple[str, ...], target: Path, limit: int) -> None:
    """Writes the file that ``members`` lead to into ``target``; what lies between is kept beside it for a moment.

    Raises:
        TooLarge: something inflates to more than ``limit`` bytes.
        RefusedError: an archive is damaged, or does not hold what it should.
    """
    source = archive
    for depth, member in enumerate(members):
        last = depth == len(members) - 1
        destination = target if last else target.with_name(f"{target.name}.{depth}")
        try:
            with _open(source, member) as stream, destination.open("xb") as output:
                _copy(stream, output, limit, member)
        except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, NotImplementedError) as error:
            raise RefusedError(
                "{archive} is damaged: {reason}.",
                archive=source.name,
                reason=type(error).__name__,
                hint="Download it again.",
            ) from None
        finally:
            if source is not archive:
                source.unlink(missing_ok=True)
        source = destination


def _copy(stream: IO[bytes], output: IO[bytes], limit: int, member: str) -> None:
    size = 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise TooLarge("{member} is larger than {limit} bytes.", member=member, limit=limit)
        output.write(chunk)


@contextmanager
def _open(archive: Path, member: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            if member not in zipped.namelist():
                raise _missing(archive, member)
            with zipped.open(member) as stream:
                yield stream
        return
    with tarfile.open(archive, "r|gz") as tar:
        for count, info in enumerate(tar):
            if count > MEMBERS:
                break
            if info.name == member and info.isreg():
                found = tar.extractfile(info)
                if found is not None:
                    yield found
                    return
    raise _missing(archive, member)


def _missing(archive: Path, member: str) -> RefusedError:
    return RefusedError("{archive} does not hold {member}.", archive=archive.name, member=member)
