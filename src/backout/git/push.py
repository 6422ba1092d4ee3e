# SPDX-License-Identifier: Apache-2.0
"""Brings a commit that takes something back to the repository: on top of whatever is there by then, never forced.

Exactly what was approved is pushed, or nothing: the changes of every file are held to the digest that the plan has. When
somebody else pushed first, it is fetched and decided anew: what they changed must not be what the application is made of.
Killed at any instant it can be called again: a commit that arrived is known by its trailer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection

import msgspec

from backout.errors import AccessDenied, Conflict, NotFoundError, PreconditionFailed, TimedOut
from backout.git.history import Commit, read_commit, read_since
from backout.git.message import made_by
from backout.git.mirror import WORK, Mirror, told, tracking, words_of
from backout.git.resolve import is_ancestor
from backout.git.revert import Back, commit_locked
from backout.git.words import below, require_branch, short
from backout.tools.git import REMOTE

ATTEMPTS = 5
"""How often somebody else may push first."""
MOST_SINCE = 2000
_FIRST = re.compile(
    r"\(fetch first\)|\(non-fast-forward\)|cannot lock ref|failed to update ref|incorrect old value", re.IGNORECASE
)
_PROTECTED = re.compile(
    r"protected branch|GH006|GH013|pre-receive hook declined|not allowed to push|hook declined|"
    r"must be made through a pull request|deny updating|refusing to update",
    re.IGNORECASE,
)

Guard = Callable[[], Awaitable[None]]
"""Called right before a push: whether we still may. It raises where not."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be on ``branch``, as it was approved when ``planned`` was its newest commit.

    ``digest``: of the changes of every file. ``key``, ``message``: of the commit (`git.message`). ``files`` and ``folders``:
    what the application is made of; whoever changed that since must be looked at before. ``actor``: who it is by where git
    knows no name.
    """

    branch: str
    planned: str
    back: Back
    digest: str
    key: str
    message: str
    files: Collection[str] = ()
    folders: Collection[str] = ()
    actor: str = "backout"


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is now. ``changed`` is False where it was there before; ``attempts``: how often it was pushed."""

    commit: str
    parent: str
    changed: bool = True
    attempts: int = 0


async def push(mirror: Mirror, wanted: Wanted, guard: Guard) -> Pushed:
    """Onto the branch itself.

    Raises:
        PreconditionFailed: what the application is made of was changed since, or the branch was rewritten; make a new plan.
        RefusedError: the branch is protected, or the repository refuses for another reason that it says.
        Conflict: others pushed first, again and again.
        GitUnreachable: no answer. Whether it arrived is found out by calling again.
        BackoutError: see `backout.git.revert.draft`, and what ``guard`` raises.
    """
    branch = require_branch(wanted.branch)
    async with mirror.locked():
        for attempt in range(1, ATTEMPTS + 1):
            head = await mirror.fetch_locked(branch)
            since = await _since(mirror, wanted, head)
            if (mine := found_in(since, wanted.key)) is not None:
                return Pushed(commit=mine.sha, parent=mine.parents[0], changed=False, attempts=attempt - 1)
            _still_right(wanted, since)
            commit, drafted = await commit_locked(mirror, head, wanted.back, wanted.message, wanted.actor)
            if drafted.digest != wanted.digest:
                raise PreconditionFailed(
                    "On top of {head} going back would change something else than the plan says.",
                    head=short(head),
                    hint="make a new plan",
                )
            await guard()
            if await _send(mirror, commit, branch):
                await _confirm(mirror, commit, branch)
                return Pushed(commit=commit, parent=head, attempts=attempt)
    raise Conflict(
        "Others pushed to {branch} {count} times while this was tried.",
        branch=branch,
        count=ATTEMPTS,
        hint="try again when it is quieter: backout resume",
    )


async def push_aside(mirror: Mirror, wanted: Wanted, name: str, guard: Guard) -> Pushed:
    """Onto a branch of its own, ``name``, for a pull or merge request into ``branch``.

    Raises:
        Conflict: there is such a branch, and it is not of this step.
        BackoutError: see `push`.
    """
    branch, name = require_branch(wanted.branch), require_branch(name)
    async with mirror.locked():
        if (there := await _tip(mirror, name)) is not None:
            return await _same(mirror, wanted, name, there)
        head = await mirror.fetch_locked(branch)
        since = await _since(mirror, wanted, head)
        if (mine := found_in(since, wanted.key)) is not None:
            # It was merged, and its branch deleted.
            return Pushed(commit=mine.sha, parent=mine.parents[0], changed=False)
        _still_right(wanted, since)
        commit, drafted = await commit_locked(mirror, head, wanted.back, wanted.message, wanted.actor)
        if drafted.digest != wanted.digest:
            raise PreconditionFailed(
                "On top of {head} going back would change something else than the plan says.",
                head=short(head),
                hint="make a new plan",
            )
        await guard()
        if not await _send(mirror, commit, name):
            there = await _tip(mirror, name)
            if there is None:
                raise Conflict("The branch {branch} can't be made.", branch=name, hint="try again: backout resume")
            return await _same(mirror, wanted, name, there)
        await _confirm(mirror, commit, name)
        return Pushed(commit=commit, parent=head, attempts=1)


def found_in(commits: Collection[Commit], key: str) -> Commit | None:
    """The commit that this step made, among others."""
    return next((one for one in commits if made_by(one.message, key)), None)


def _still_right(wanted: Wanted, since: Collection[Commit]) -> None:
    """What came since the plan must not be what the application is made of.

    Raises:
        PreconditionFailed: it is; the commits are named.
    """
    files, folders = frozenset(wanted.files), frozenset(wanted.folders)
    others = [one for one in since if any(touch.path in files or below(touch.path, folders) for touch in one.touched)]
    if others:
        first = others[-1]
        raise PreconditionFailed(
            "Since the plan was made, {count} commits changed what goes back: {commits}.",
            count=len(others),
            commits=", ".join(short(one.sha) for one in others[:5]),
            who=first.author,
            when=f"{first.committed:%Y-%m-%dT%H:%M:%SZ}",
            subject=first.subject[:80],
            expected="{planned} as the newest change of it",
            planned=short(wanted.planned),
            found="“{subject}” by {who} at {when}",
            hint="look at what they did, and make a new plan",
        )


async def _since(mirror: Mirror, wanted: Wanted, head: str) -> tuple[Commit, ...]:
    """What came after the commit that the plan was made on."""
    if not await is_ancestor(mirror, wanted.planned, head):
        raise PreconditionFailed(
            "{branch} was rewritten: {planned}, which the plan was made on, is not in it any more.",
            branch=wanted.branch,
            planned=short(wanted.planned),
            found="{head} as its newest commit",
            head=short(head),
            hint="find out who forced it, and make a new plan",
        )
    found = await read_since(mirror, wanted.planned, head, most=MOST_SINCE)
    if len(found) >= MOST_SINCE:
        raise PreconditionFailed(
            "Since the plan was made, over {most} commits came to {branch}.",
            most=MOST_SINCE,
            branch=wanted.branch,
            hint="make a new plan",
        )
    return found


async def _send(mirror: Mirror, commit: str, branch: str) -> bool:
    """One push; False where somebody was first."""
    arguments = [
        *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"),
        *("--end-of-options", REMOTE, f"{commit}:refs/heads/{branch}"),
    ]
    try:
        answer = await mirror.git(*arguments, timeout=WORK, check=False)
    except TimedOut as error:
        raise told(error.message, mirror.remote.url, silent=True) from None
    if answer.code == 0:
        return True
    words = " ".join([*re.findall(r"^!\t\S*\t(.*)$", answer.stdout, re.MULTILINE), words_of(answer.stderr)])
    if _PROTECTED.search(words):
        raise AccessDenied(
            "{url} does not take a push to {branch}: {words}",
            url=mirror.remote.url,
            branch=branch,
            words=words_of(words),
            expected="a branch that may be pushed to",
            hint="go by a pull or merge request instead",
        )
    if _FIRST.search(words):
        return False
    raise told(words_of(words), mirror.remote.url)


async def _confirm(mirror: Mirror, commit: str, branch: str) -> None:
    """That it is there, by another look.

    Raises:
        Conflict: it is not: somebody forced the branch meanwhile.
        GitUnreachable: nobody can say.
    """
    await mirror.fetch_locked(branch)
    if not await is_ancestor(mirror, commit, tracking(branch)):
        raise Conflict(
            "{commit} was taken, and is not in {branch} any more: somebody forced that branch.",
            commit=short(commit),
            branch=branch,
            hint="find out who, and make a new plan",
        )


async def _tip(mirror: Mirror, branch: str) -> str | None:
    try:
        return await mirror.fetch_locked(branch)
    except NotFoundError as error:
        if "has no branch" in error.template:
            return None
        raise


async def _same(mirror: Mirror, wanted: Wanted, name: str, there: str) -> Pushed:
    commit = await read_commit(mirror, there)
    if not made_by(commit.message, wanted.key):
        raise Conflict(
            "{url} has a branch {branch} already, and {commit} there is not of this run.",
            url=mirror.remote.url,
            branch=name,
            commit=short(there),
            hint="delete that branch when nobody needs it, and resume",
        )
    return Pushed(commit=there, parent=commit.parents[0], changed=False)
