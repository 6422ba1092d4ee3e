# SPDX-License-Identifier: Apache-2.0
"""GitLab, gitlab.com or one's own. Facts: docs.gitlab.com, "Merge requests API" (``/projects/:id/merge_requests``; states
opened, closed, locked, merged; 409 where the branch has an open one already)."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from backout.errors import RefusedError
from backout.git.forges.http import Api, Query
from backout.git.forges.port import Kind, Proposal, Request, State
from backout.model.decoding import UNREADABLE

_STATES: dict[str, State] = {"opened": "open", "locked": "open", "merged": "merged", "closed": "closed"}
"""``locked`` is the moment of merging."""


class _Merge(msgspec.Struct, frozen=True):
    iid: int
    web_url: str
    state: str
    source_branch: str = ""
    sha: str | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    description: str | None = None


class GitLab:
    """One project there, also one in groups of groups. ``base`` is ``https://HOST/api/v4``."""

    kind: ClassVar[Kind] = "gitlab"

    def __init__(self, base: str, path: str, token: str) -> None:
        if "/" not in path:
            raise RefusedError("{path} is no project of GitLab.", path=path, expected="GROUP/NAME")
        # Personal, project and OAuth tokens are all taken so (docs.gitlab.com, "REST API authentication").
        self._api = Api(base, {"Authorization": f"Bearer {token}"})
        self._here = f"/projects/{quote(path, safe='')}/merge_requests"

    async def find(self, branch: str, into: str) -> Request | None:
        """By the branches; GitLab lists the newest first."""
        query: Query = {"source_branch": branch, "target_branch": into, "state": "all", "per_page": 10}
        found = await self._api.ask("GET", self._here, query=query)
        merges = _merges(found)
        return _request(merges[0]) if merges else None

    async def open(self, proposal: Proposal) -> Request:
        """``POST …/merge_requests``."""
        body = {
            "source_branch": proposal.branch,
            "target_branch": proposal.into,
            "title": proposal.title,
            "description": proposal.text,
            "remove_source_branch": True,
        }
        return _request(_merges([await self._api.ask("POST", self._here, body=body)])[0])

    async def look(self, number: int) -> Request:
        """``GET …/merge_requests/N``."""
        return _request(_merges([await self._api.ask("GET", f"{self._here}/{number}")])[0])


def _merges(found: Any) -> list[_Merge]:
    try:
        merges = msgspec.convert(found, list[_Merge])
    except UNREADABLE as error:
        raise _strange() from error
    if any(one.state not in _STATES for one in merges):
        raise _strange()
    return merges


def _request(merge: _Merge) -> Request:
    state = _STATES[merge.state]
    # A fast-forward leaves no merge commit: the branch's own head is then on the target.
    commit = merge.merge_commit_sha or merge.squash_commit_sha or merge.sha or ""
    return Request(
        number=merge.iid,
        url=merge.web_url,
        state=state,
        branch=merge.source_branch,
        head=merge.sha or "",
        commit=commit if state == "merged" else "",
        text=merge.description or "",
    )


def _strange() -> RefusedError:
    return RefusedError("GitLab answers something that is no merge request.", hint="a proxy may be in between")
