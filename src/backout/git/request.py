# SPDX-License-Identifier: Apache-2.0
"""A way back that others merge: a branch, a pull or merge request, and the wait for it. Each part can be called again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from backout.errors import Conflict, GitUnreachable, Invalid, PreconditionFailed, RefusedError, Throttled, TimedOut
from backout.git.forges.port import Forge, Proposal, Request
from backout.git.message import made_by
from backout.git.mirror import Mirror, tracking
from backout.git.push import Guard, Pushed, Wanted, push_aside
from backout.git.resolve import is_ancestor
from backout.git.revert import changed, digest_of

INTERVAL = 15.0
"""Seconds between two looks at a request."""

Tell = Callable[[Request], None]
"""Gets every state that is seen."""


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was merged. ``commit`` is on the branch; ``as_approved``: it changes exactly what the plan said, so
    nobody amended it."""

    commit: str
    as_approved: bool


async def propose(
    forge: Forge, mirror: Mirror, wanted: Wanted, proposal: Proposal, guard: Guard
) -> tuple[Pushed, Request]:
    """A branch with the commit, and a request to merge it.

    Raises:
        RefusedError: there was such a request, and somebody closed it without merging.
        BackoutError: see `push_aside` and `forges.port.Forge.open`.
    """
    pushed = await push_aside(mirror, wanted, proposal.branch, guard)
    there = await forge.find(proposal.branch, proposal.into)
    if there is None:
        await guard()
        try:
            there = await forge.open(proposal)
        except (Conflict, Invalid):
            # Another attempt of ours may have been first, and not have heard the answer.
            there = await forge.find(proposal.branch, proposal.into)
            if there is None:
                raise
    if there.state == "closed":
        raise closed(there)
    return pushed, there


async def hold_to_approval(mirror: Mirror, branch: str, wanted: Wanted) -> str:
    """Holds a branch that somebody else made (GitHub's own revert) to what was approved; answers its newest commit.

    Raises:
        PreconditionFailed: it changes something else.
        BackoutError: it can't be fetched.
    """
    async with mirror.locked():
        into = await mirror.fetch_locked(wanted.branch)
        head = await mirror.fetch_locked(branch)
        base = (await mirror.git("merge-base", into, head)).stdout.split()[-1]
        if digest_of(await changed(mirror, base, head)) != wanted.digest:
            raise PreconditionFailed(
                "What the platform put on {branch} is not what the plan says.",
                branch=branch,
                hint="close that request, and make one from a branch of Backout's",
            )
        return head


async def await_merge(
    forge: Forge,
    mirror: Mirror,
    wanted: Wanted,
    number: int,
    *,
    timeout: float,
    tell: Tell = lambda request: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    interval: float = INTERVAL,
) -> Merged:
    """Waits until the request is merged and its commit is on the branch. Nothing is written; it can be called again.

    Raises:
        RefusedError: it was closed without a merge.
        TimedOut: nobody merged it in time.
        TokenExpired, AccessDenied, NotFoundError: it can't be seen any more.
    """
    until = time.monotonic() + timeout
    last: Request | None = None
    while True:
        wait = interval
        try:
            request = await forge.look(number)
            if last is None or request.state != last.state:
                tell(request)
            last = request
            if request.state == "closed":
                raise closed(request)
            if request.state == "merged" and (found := await _arrived(mirror, wanted, request)) is not None:
                return found
        except Throttled as error:
            wait = float(str(error.arguments.get("seconds") or interval))
        except GitUnreachable:
            # It answers again, or the time runs out.
            pass
        if time.monotonic() + wait > until:
            raise TimedOut(
                "{url} was not merged within {seconds} s.",
                url=last.url if last else f"request {number}",
                seconds=round(timeout),
                found=last.state if last else "no answer",
                hint="have it merged, then: backout resume",
            )
        await sleep(wait)


async def _arrived(mirror: Mirror, wanted: Wanted, request: Request) -> Merged | None:
    """The commit by which it came to the branch; None where the branch does not have it yet."""
    async with mirror.locked():
        await mirror.fetch_locked(wanted.branch)
        commit = request.commit
        if not commit or not await is_ancestor(mirror, commit, tracking(wanted.branch)):
            # Rebased: known by its trailer.
            found = await mirror.git(
                "log", "--format=%H%x00%B%x01", f"{wanted.planned}..{tracking(wanted.branch)}", "--", check=False
            )
            mine = [one.strip("\n").split("\0", 1) for one in found.stdout.split("\x01") if "\0" in one]
            commit = next((sha for sha, text in mine if made_by(text, wanted.key)), "")
            if not commit:
                return None
        parents = (await mirror.git("rev-list", "--parents", "--max-count=1", commit)).stdout.split()[1:]
        same = bool(parents) and digest_of(await changed(mirror, parents[0], commit)) == wanted.digest
        return Merged(commit=commit, as_approved=same)


def closed(request: Request) -> RefusedError:
    """The error for a request that ended without a merge."""
    return RefusedError(
        "{url} was closed and not merged.",
        url=request.url,
        expected="a merge",
        hint="ask who closed it; open it again and resume, or make a new plan",
    )
