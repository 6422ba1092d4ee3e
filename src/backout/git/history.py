# SPDX-License-Identifier: Apache-2.0
"""The history of a branch as typed records: who committed what when, and which paths each commit touched.

One ``git log`` reads all; nothing else is asked, however many applications want to know. A merge is compared with its first
parent, so it touches what it brought to the branch (git-log(1), ``--diff-merges=first-parent``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import cached_property

import msgspec

from backout.errors import TooLarge
from backout.git.mirror import Mirror, tracking
from backout.git.words import OBJECT, below

MOST = 50_000
"""Commits that are read at most, newest first."""
OUTPUT = 256 * 1024 * 1024
"""Bytes of a log at most."""
LOG_TIME = 120.0
_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%cn", "%ct", "%B")
_REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{7,64})", re.MULTILINE)


class Touched(msgspec.Struct, frozen=True):
    """A path that a commit changed: ``A`` added, ``M`` modified, ``D`` deleted, ``T`` made another type of file."""

    path: str
    status: str


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit. ``message`` is whole; ``mainline`` says whether the branch itself was at it (first parents only)."""

    sha: str
    parents: tuple[str, ...]
    author: str
    email: str
    authored: datetime
    committer: str
    committed: datetime
    message: str
    touched: tuple[Touched, ...]
    mainline: bool = True

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0].strip()

    @property
    def merge(self) -> bool:
        """Whether it has more than one parent."""
        return len(self.parents) > 1

    @property
    def reverts(self) -> tuple[str, ...]:
        """The commits that git's own sentence in the message says it reverts."""
        return tuple(_REVERTS.findall(self.message))


class History(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The commits of a branch, newest first. ``whole`` is False where older ones were left out."""

    head: str
    commits: tuple[Commit, ...]
    whole: bool = True

    @cached_property
    def by_sha(self) -> dict[str, Commit]:
        """By whole id."""
        return {commit.sha: commit for commit in self.commits}

    def touching(self, files: Collection[str], folders: Collection[str] = ()) -> Iterator[Commit]:
        """The commits that touched one of the files, or anything under one of the folders."""
        wanted = frozenset(files)
        under = frozenset(folders)
        for commit in self.commits:
            if any(one.path in wanted or (under and below(one.path, under)) for one in commit.touched):
                yield commit

    def reverted(self) -> dict[str, str]:
        """Commit → the newest commit that says that it takes it back, and was not taken back itself."""
        found: dict[str, str] = {}
        gone: set[str] = set()
        for commit in self.commits:
            if commit.sha in gone:
                continue
            for named in commit.reverts:
                whole = self._whole(named)
                if whole is not None:
                    found.setdefault(whole, commit.sha)
                    gone.add(whole)
        return found

    def _whole(self, named: str) -> str | None:
        if named in self.by_sha:
            return named
        found = [sha for sha in self.by_sha if sha.startswith(named)]
        return found[0] if len(found) == 1 else None


async def read_history(mirror: Mirror, branch: str, *, most: int = MOST) -> History:
    """The history of a branch as it was fetched last.

    Raises:
        NotFoundError: it was not fetched.
        TooLarge: the log is longer than anybody reads.
        ToolFailed, TimedOut: git fails.
    """
    head = await mirror.head(branch)
    return History(head=head, **await _read(mirror, [tracking(branch)], head, most))


async def read_since(mirror: Mirror, since: str, until: str, *, most: int = MOST) -> tuple[Commit, ...]:
    """What came after ``since`` up to ``until`` (whole ids), newest first.

    Raises:
        TooLarge, ToolFailed, TimedOut: as `read_history`.
    """
    found: tuple[Commit, ...] = (await _read(mirror, [until, f"^{since}"], until, most))["commits"]
    return found


async def read_commit(mirror: Mirror, sha: str) -> Commit:
    """One commit by its whole id.

    Raises:
        ToolFailed: there is none.
    """
    found: tuple[Commit, ...] = (await _read(mirror, [sha], sha, 1))["commits"]
    return found[0]


async def _read(mirror: Mirror, wanted: list[str], head: str, most: int) -> dict:  # type: ignore[type-arg]
    answer = await mirror.git(
        "log",
        "-z",
        "--encoding=UTF-8",
        "--no-color",
        "--no-show-signature",
        "--no-mailmap",
        "--no-notes",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--diff-merges=first-parent",
        "--name-status",
        f"--max-count={most + 1}",
        "--format=" + "%x00".join(_FIELDS) + "%x00",
        "--end-of-options",
        *wanted,
        "--",
        timeout=LOG_TIME,
        output=OUTPUT,
    )
    if answer.cut:
        raise TooLarge(
            "The log of {url} is longer than {most} MiB.",
            url=mirror.remote.url,
            most=OUTPUT // 1024 // 1024,
            hint="this repository is too large to be read here",
        )
    commits = parse_log(answer.stdout)
    whole = len(commits) <= most
    return {"commits": _on_mainline(commits[:most], head), "whole": whole}


def parse_log(text: str) -> list[Commit]:
    """The records of a log in the format above.

    Fields hold no NUL, and a status is never an id, so what begins where is never in doubt.
    """
    tokens = text.split("\0")
    found = []
    at, end = 0, len(tokens)
    while at < end:
        token = tokens[at].lstrip("\n")
        if not OBJECT.fullmatch(token):
            at += 1
            continue
        _, parents, author, email, authored, committer, committed, message = tokens[at : at + 8]
        at += 8
        touched = []
        while at < end:
            status = tokens[at].lstrip("\n")
            if OBJECT.fullmatch(status):
                break
            if not status:
                at += 1
                continue
            touched.append(Touched(tokens[at + 1], status[0]))
            at += 2
        found.append(
            Commit(
                sha=token,
                parents=tuple(parents.split()),
                author=_plain(author),
                email=_plain(email),
                authored=_time(authored),
                committer=_plain(committer),
                committed=_time(committed),
                message=_plain(message).strip("\n"),
                touched=tuple(touched),
            )
        )
    return found


def _on_mainline(commits: list[Commit], head: str) -> tuple[Commit, ...]:
    """Marks those that the branch itself never was at."""
    parent = {commit.sha: commit.parents[0] if commit.parents else "" for commit in commits}
    mainline = set()
    while head in parent:
        mainline.add(head)
        head = parent[head]
    return tuple(
        commit if commit.sha in mainline else msgspec.structs.replace(commit, mainline=False) for commit in commits
    )


def _time(text: str) -> datetime:
    """Seconds since 1970; a commit may claim any time, and one beyond all calendars is the beginning."""
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
