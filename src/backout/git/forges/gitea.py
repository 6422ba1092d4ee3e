# SPDX-License-Identifier: Apache-2.0
"""Gitea and Forgejo. Facts: their OpenAPI documents (``/repos/{owner}/{repo}/pulls``; ``merged``, ``merge_commit_sha``; 409
where there is such a pull request already). Their list can't be asked by branch, so the newest are looked through."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from backout.errors import RefusedError
from backout.git.forges.http import Api, Query
from backout.git.forges.port import Kind, Proposal, Request
from backout.model.decoding import UNREADABLE

PAGES, PAGE = 4, 50
"""As many of the newest are looked through."""


class _Ref(msgspec.Struct, frozen=True):
    ref: str = ""
    sha: str = ""


class _Pull(msgspec.Struct, frozen=True):
    number: int
    html_url: str
    state: str
    merged: bool = False
    merge_commit_sha: str | None = None
    body: str | None = None
    head: _Ref | None = None
    base: _Ref | None = None


class Gitea:
    """One repository there. ``base`` is ``https://HOST/api/v1``."""

    kind: ClassVar[Kind] = "gitea"

    def __init__(self, base: str, path: str, token: str) -> None:
        owner, _, name = path.partition("/")
        if not owner or not name or "/" in name:
            raise RefusedError("{path} is no repository of Gitea.", path=path, expected="OWNER/NAME")
        self._api = Api(base, {"Authorization": f"token {token}"})
        self._here = f"/repos/{owner}/{name}/pulls"

    async def find(self, branch: str, into: str) -> Request | None:
        """The newest of that branch."""
        for page in range(1, PAGES + 1):
            query: Query = {"state": "all", "sort": "newest", "page": page, "limit": PAGE}
            found = _pulls(await self._api.ask("GET", self._here, query=query))
            mine = [one for one in found if one.head and one.base and (one.head.ref, one.base.ref) == (branch, into)]
            if mine:
                return _request(max(mine, key=lambda one: one.number))
            # Servers may give less than was asked for on a page; an empty one is the end.
            if not found:
                break
        return None

    async def open(self, proposal: Proposal) -> Request:
        """``POST …/pulls``."""
        body = {"title": proposal.title, "body": proposal.text, "head": proposal.branch, "base": proposal.into}
        return _request(_pulls([await self._api.ask("POST", self._here, body=body)])[0])

    async def look(self, number: int) -> Request:
        """``GET …/pulls/N``."""
        return _request(_pulls([await self._api.ask("GET", f"{self._here}/{number}")])[0])


def _pulls(found: Any) -> list[_Pull]:
    try:
        return msgspec.convert(found, list[_Pull])
    except UNREADABLE as error:
        raise RefusedError(
            "Gitea answers something that is no pull request.", hint="a proxy may be in between"
        ) from error


def _request(pull: _Pull) -> Request:
    return Request(
        number=pull.number,
        url=pull.html_url,
        state="merged" if pull.merged else "open" if pull.state == "open" else "closed",
        branch=pull.head.ref if pull.head else "",
        head=pull.head.sha if pull.head else "",
        commit=(pull.merge_commit_sha or "") if pull.merged else "",
        text=pull.body or "",
    )
