# SPDX-License-Identifier: Apache-2.0
"""GitHub and GitHub Enterprise Server. Facts: docs.github.com, REST "Pulls" (``/repos/{owner}/{repo}/pulls``), "Commits"
(``/commits/{sha}/pulls``), GraphQL ``revertPullRequest`` (input: pullRequestId, title, body, draft)."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from backout.errors import NotFoundError, RefusedError
from backout.git.forges.http import Api, Query
from backout.git.forges.port import Kind, Proposal, Request
from backout.model.decoding import UNREADABLE
from backout.model.plaintext import one_line

VERSION = "2022-11-28"
_REVERT = (
    "mutation($id: ID!, $title: String!, $body: String!) { revertPullRequest(input: "
    "{pullRequestId: $id, title: $title, body: $body}) { revertPullRequest { number } } }"
)


class _Ref(msgspec.Struct, frozen=True):
    ref: str = ""
    sha: str = ""


class _Pull(msgspec.Struct, frozen=True):
    number: int
    html_url: str
    state: str
    node_id: str = ""
    merged_at: str | None = None
    merge_commit_sha: str | None = None
    body: str | None = None
    head: _Ref = _Ref()
    base: _Ref = _Ref()


class GitHub:
    """One repository there. ``base`` is ``https://api.github.com``, or ``https://HOST/api/v3``."""

    kind: ClassVar[Kind] = "github"

    def __init__(self, base: str, path: str, token: str) -> None:
        owner, _, name = path.partition("/")
        if not owner or not name or "/" in name:
            raise RefusedError("{path} is no repository of GitHub.", path=path, expected="OWNER/NAME")
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": VERSION,
        }
        self._api = Api(base, headers)
        self._graphql = f"{base.removesuffix('/v3')}/graphql"
        self._owner = owner
        self._here = f"/repos/{owner}/{name}"

    async def find(self, branch: str, into: str) -> Request | None:
        """By the branch; GitHub lists the newest first."""
        query: Query = {"head": f"{self._owner}:{branch}", "base": into, "state": "all", "per_page": 10}
        found = pulls(await self._api.ask("GET", f"{self._here}/pulls", query=query))
        return _request(found[0]) if found else None

    async def open(self, proposal: Proposal) -> Request:
        """``POST …/pulls``."""
        body = {"title": proposal.title, "body": proposal.text, "head": proposal.branch, "base": proposal.into}
        return _request(_pull(await self._api.ask("POST", f"{self._here}/pulls", body=body)))

    async def look(self, number: int) -> Request:
        """``GET …/pulls/N``."""
        return _request(_pull(await self._api.ask("GET", f"{self._here}/pulls/{number}")))

    async def revert(self, commit: str, into: str, title: str, text: str, key: str) -> Request:
        """GitHub's own way: the merged pull request that brought ``commit`` is reverted by a new one, on a branch that GitHub
        makes. What it holds must be looked at before anybody merges it. One that has ``key`` in its text is found again.

        Raises:
            NotFoundError: no merged pull request brought that commit to ``into``.
            RefusedError: GitHub can't revert it (a conflict), and says why.
            BackoutError: see `http.Api.ask`.
        """
        query: Query = {"base": into, "state": "all", "sort": "created", "direction": "desc", "per_page": 50}
        there = pulls(await self._api.ask("GET", f"{self._here}/pulls", query=query))
        if (mine := next((one for one in there if key in (one.body or "")), None)) is not None:
            return _request(mine)
        brought = pulls(await self._api.ask("GET", f"{self._here}/commits/{commit}/pulls"))
        merged = next((one for one in brought if one.merged_at and one.base.ref == into), None)
        if merged is None:
            raise NotFoundError(
                "No merged pull request brought {commit} to {branch}.",
                commit=commit[:8],
                branch=into,
                hint="it was pushed; a branch of its own with the revert is the way",
            )
        variables = {"id": merged.node_id, "title": title, "body": text}
        answer = await self._api.ask("POST", self._graphql, body={"query": _REVERT, "variables": variables})
        number = _number(answer)
        if number is None:
            # GraphQL answers 200 with the errors beside the data.
            raise RefusedError(
                "GitHub does not revert pull request {number}: {words}",
                number=merged.number,
                words=one_line("; ".join(_errors(answer)))[:300] or "no words",
            )
        return await self.look(number)


def pulls(found: Any) -> list[_Pull]:
    """A list of pull requests.

    Raises:
        RefusedError: it is none.
    """
    try:
        return msgspec.convert(found, list[_Pull])
    except UNREADABLE as error:
        raise _strange() from error


def _pull(found: Any) -> _Pull:
    return pulls([found])[0]


def _request(pull: _Pull) -> Request:
    # `merged` is missing in lists; `merged_at` is everywhere. Before a merge `merge_commit_sha` is a trial of GitHub's.
    merged = pull.merged_at is not None
    return Request(
        number=pull.number,
        url=pull.html_url,
        state="merged" if merged else "open" if pull.state == "open" else "closed",
        branch=pull.head.ref,
        head=pull.head.sha,
        commit=(pull.merge_commit_sha or "") if merged else "",
        text=pull.body or "",
    )


def _number(answer: Any) -> int | None:
    for key in ("data", "revertPullRequest", "revertPullRequest", "number"):
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if isinstance(answer, int) else None


def _errors(answer: Any) -> list[str]:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    return [str(one.get("message", "")) for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []


def _strange() -> RefusedError:
    return RefusedError("GitHub answers something that is no pull request.", hint="a proxy may be in between")
