# SPDX-License-Identifier: Apache-2.0
"""What a way back asks of a platform, whichever it is. A merge request of GitLab is a request like any other here."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

import msgspec

Kind = Literal["github", "gitlab", "gitea"]
State = Literal["open", "merged", "closed"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A pull or merge request. ``url`` is its page; ``commit``: what its merging left on the branch, where the platform
    says so; ``closed``: ended without a merge is a state of its own."""

    number: int
    url: str
    state: State
    branch: str = ""
    head: str = ""
    commit: str = ""
    text: str = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: ``branch`` into ``into``. ``text`` holds the trailer by which it is known again."""

    branch: str
    into: str
    title: str
    text: str


class Forge(Protocol):
    """One repository on one platform. Everything but `open` and `revert` only looks."""

    kind: ClassVar[Kind]

    async def find(self, branch: str, into: str) -> Request | None:
        """The newest request from that branch, whatever became of it; None where there never was one.

        Raises:
            TokenExpired, AccessDenied, NotFoundError, Throttled, GitUnreachable, RefusedError: see `http.Api.ask`.
        """

    async def open(self, proposal: Proposal) -> Request:
        """Makes the request.

        Raises:
            Conflict, Invalid: there is one already, or nothing to merge.
            BackoutError: see `find`.
        """

    async def look(self, number: int) -> Request:
        """A request as it is now.

        Raises:
            BackoutError: see `find`.
        """
