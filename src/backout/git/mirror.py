# SPDX-License-Identifier: Apache-2.0
"""A bare mirror of one repository, for this user alone: one branch and all tags, with the history whole.

It is fetched with ``--filter=blob:limit``: large files come only when they are needed, where the server can leave them out
(git-clone(1), partial clone). What happens in it is done under a file lock, so two processes never work in one mirror.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from backout.errors import (
    AccessDenied,
    BackoutError,
    CaptureError,
    GitUnreachable,
    LockedError,
    NotFoundError,
    RefusedError,
    TimedOut,
    TokenExpired,
)
from backout.git.words import require_branch
from backout.model.giturl import Remote
from backout.model.redaction import redact_text
from backout.tools.git import REMOTE, run_git
from backout.tools.run import OUTPUT, Completed

LOOK = 30.0
"""Seconds for a question to the repository."""
WORK = 300.0
"""Seconds for what moves data."""
SMALL = "256k"
"""Files up to this size come with the history; manifests are far smaller."""
_AUTH = re.compile(
    r"authentication failed|could not read (?:username|password)|permission denied \((?:publickey|password)|"
    r"terminal prompts disabled|invalid (?:username|credentials)|\b401\b",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(r"\b403\b|access denied|not authorized|write access to repository not granted", re.IGNORECASE)
_GONE = re.compile(
    r"could not resolve host|connection (?:refused|timed out|reset|closed)|network is unreachable|no route to host|"
    r"operation timed out|early eof|the remote end hung up unexpectedly|\b50[0234]\b|couldn't connect|failed to connect|"
    r"unable to connect|recv failure|gnutls_handshake|ssl connection|kex_exchange_identification|"
    r"operation too slow",
    re.IGNORECASE,
)
_CHAFF = re.compile(
    r"hint:|warning: redirecting|please make sure you have the correct access|and the repository exists|"
    r"fatal: could not read from remote repository",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"does not appear to be a git repository|repository .*not found|\b404\b|no such file or directory", re.IGNORECASE
)


class Mirror:
    """One mirrored repository in ``folder``."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote = remote
        self.folder = folder

    async def git(
        self,
        *arguments: str,
        timeout: float = LOOK,
        check: bool = True,
        stdin: bytes | None = None,
        output: int = OUTPUT,
        more: Mapping[str, str] | None = None,
    ) -> Completed:
        """Runs git in the mirror.

        Raises:
            ToolMissing, ToolFailed, TimedOut: see `backout.tools.git.run_git`.
        """
        return await run_git(
            self.remote,
            arguments,
            folder=self.folder,
            timeout=timeout,
            check=check,
            stdin=stdin,
            output=output,
            more=more,
        )

    async def talk(self, arguments: Sequence[str], *, timeout: float = WORK) -> Completed:
        """Runs what speaks with the repository itself (``ls-remote``, ``fetch``).

        Raises:
            GitUnreachable: no answer; trying again can help.
            TokenExpired, AccessDenied: it does not let us.
            NotFoundError: there is no repository at that URL.
            RefusedError: anything else that git says.
            ToolMissing: there is no git.
        """
        try:
            answer = await self.git(*arguments, timeout=timeout, check=False)
        except TimedOut as error:
            raise told(error.message, self.remote.url, silent=True) from None
        if answer.code:
            raise told(words_of(answer.stderr), self.remote.url)
        return answer

    async def default_branch(self) -> str:
        """The branch that the repository itself names.

        Raises:
            NotFoundError: it names none, as an empty one does.
            BackoutError: see `talk`.
        """
        self._make_folder()
        answer = await self.talk(["ls-remote", "--symref", "--end-of-options", REMOTE, "HEAD"], timeout=LOOK)
        found = re.search(r"^ref: refs/heads/(\S+)\s+HEAD$", answer.stdout, re.MULTILINE)
        if found is None:
            raise NotFoundError(
                "{url} names no branch of its own.",
                url=self.remote.url,
                hint="stacks.NAME.git.branch in the configuration names one",
            )
        return require_branch(found[1])

    async def fetch(self, branch: str) -> str:
        """Brings the branch and all tags up to date, and answers the branch's newest commit.

        Raises:
            NotFoundError: no such repository or branch.
            LockedError: another process works in this mirror for long.
            BackoutError: see `talk`.
        """
        branch = require_branch(branch)
        async with self.locked():
            return await self.fetch_locked(branch)

    async def fetch_locked(self, branch: str) -> str:
        """`fetch`, for who holds the lock."""
        await self._make()
        mine = tracking(branch)
        arguments = [
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            f"--filter=blob:limit={SMALL}",
            "--end-of-options",
            REMOTE,
            f"+refs/heads/{branch}:{mine}",
            "+refs/tags/*:refs/tags/*",
        ]
        try:
            await self.talk(arguments)
        except RefusedError as error:
            if re.search(r"couldn't find remote ref", str(error.arguments.get("words", "")), re.IGNORECASE):
                raise no_branch(self.remote.url, branch) from None
            raise
        return await self.head(branch)

    async def head(self, branch: str) -> str:
        """The newest commit of a branch as it was fetched last.

        Raises:
            NotFoundError: it was not.
        """
        answer = await self.git(
            "rev-parse", "--quiet", "--verify", "--end-of-options", f"{tracking(branch)}^{{commit}}", check=False
        )
        found = answer.stdout.split()
        if answer.code or not found:
            raise no_branch(self.remote.url, branch)
        return found[-1]

    @asynccontextmanager
    async def locked(self, timeout: float = WORK) -> AsyncIterator[None]:
        """Keeps other processes (and other tasks of this one) out of the mirror.

        Raises:
            LockedError: they did not leave in time.
            CaptureError: the folder can't be written.
        """
        self._make_folder()
        try:
            handle = os.open(self.folder / "backout.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            try:
                async with asyncio.timeout(timeout):
                    while not _lock(handle):  # noqa: ASYNC110 - the lock is another process's
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise LockedError(
                    "Another process works in the mirror of {url} ({folder}).",
                    url=self.remote.url,
                    folder=str(self.folder),
                    hint="wait until it has ended, and try again",
                ) from None
            yield
        finally:
            os.close(handle)

    def work_folder(self) -> Path:
        """An empty folder for a working tree. Under the lock only: whatever is in it is of a process that died.

        Raises:
            CaptureError: it can't be made.
        """
        place = self.folder / "work"
        try:
            if place.exists():
                shutil.rmtree(place)
            place.mkdir(mode=0o700)
        except OSError as error:
            raise _unwritable(place, error) from error
        return place

    async def _make(self) -> None:
        """The repository in the folder, where there is none yet, or half of one."""
        if (self.folder / "HEAD").exists():
            # A process that died in the middle of a fetch leaves locks of git's own behind; nobody else has ours.
            for stale in (*self.folder.glob("*.lock"), *self.folder.glob("refs/**/*.lock")):
                if stale.name != "backout.lock":
                    with contextlib.suppress(OSError):
                        stale.unlink()
            return
        await run_git(
            self.remote,
            ["init", "--quiet", "--bare", "--template=", "--end-of-options", str(self.folder)],
            timeout=LOOK,
        )

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritable(self.folder, error) from error


def tracking(branch: str) -> str:
    """The ref that a branch of the repository has in its mirror."""
    return f"refs/remotes/{REMOTE}/{branch}"


def words_of(stderr: str) -> str:
    """What git says went wrong, without what it always adds, and without secrets."""
    lines = [line.strip() for line in redact_text(stderr).splitlines()]
    kept = [line for line in lines if line and not _CHAFF.match(line)]
    return " ".join(kept[-6:])[-500:] or "git said nothing"


def told(words: str, url: str, *, silent: bool = False) -> BackoutError:
    """What a failure of git means, by its words: whether trying again can help, whether somebody must log in. ``silent``:
    it did not end in time."""
    if silent or _GONE.search(words):
        return GitUnreachable(
            "{url} gives no answer: {words}",
            url=url,
            words=words,
            expected="a repository that answers",
            hint="look at the server, the network and the proxy, and try again",
        )
    if _AUTH.search(words):
        return TokenExpired(
            "{url} does not accept the credentials: {words}",
            url=url,
            words=words,
            expected="what git itself uses for this URL: an SSH key, or a credential helper",
            hint="git ls-remote {url} must work without a question",
        )
    if _FORBIDDEN.search(words):
        return AccessDenied("{url} does not allow that: {words}", url=url, words=words, hint="ask for the right to it")
    if _ABSENT.search(words):
        return NotFoundError("There is no repository at {url}: {words}", url=url, words=words)
    return RefusedError("{url}: git says: {words}", url=url, words=words)


def no_branch(url: str, branch: str) -> NotFoundError:
    """The error for a branch that is not there."""
    return NotFoundError("{url} has no branch {branch}.", url=url, branch=branch)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unwritable(folder: Path, error: OSError) -> CaptureError:
    return CaptureError(
        "The mirror of a repository can't be kept in {folder}: {reason}.",
        folder=str(folder),
        reason=error.strerror or type(error).__name__,
        hint="free some space, or set BACKOUT_DATA to another folder",
    )
