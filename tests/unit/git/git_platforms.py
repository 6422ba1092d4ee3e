# SPDX-License-Identifier: Apache-2.0
"""Platforms as their published API documents describe them, over one real repository: requests are made, found, merged
and closed. They are strict: a field, header or query that the documents do not have is answered with 400."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from git_repositories import run, tip
from git_servers import tls_server

TOKEN = "t0ken-of-jane-hunter2"
Answer = tuple[int, Any, dict[str, str]]

BASES = {"github": "", "gitlab": "/api/v4", "gitea": "/api/v1"}
AUTHORIZATION = {"github": f"Bearer {TOKEN}", "gitlab": f"Bearer {TOKEN}", "gitea": f"token {TOKEN}"}


class Platform:
    """One repository ``ops/thanos`` on one platform."""

    def __init__(self, kind: str, there: Path) -> None:
        self.kind = kind
        self.there = there
        self.requests: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.canned: list[Answer] = []
        """Answers that are given first, whatever is asked."""
        self.lose_next_answer = False
        self.url = ""

    def merge(self, number: int, *, how: str = "merge", amend: dict[str, str] | None = None) -> str:
        """What a person does with the button."""
        request = self.requests[number - 1]
        head = tip(self.there, request["branch"])
        tree = run(self.there, "rev-parse", f"{head}^{{tree}}")
        for path, content in (amend or {}).items():
            blob = run(self.there, "hash-object", "-w", "--stdin", stdin=content.encode())
            tree = run(
                self.there, "mktree", stdin=f"{run(self.there, 'ls-tree', tree)}\n100644 blob {blob}\t{path}\n".encode()
            )
        base = tip(self.there)
        if how == "fast-forward":
            made = head
        else:
            parents = ["-p", base, *(["-p", head] if how == "merge" else [])]
            made = run(self.there, "commit-tree", tree, *parents, "-m", f"Merged #{number}")
        run(self.there, "update-ref", "refs/heads/main", made)
        run(self.there, "update-ref", "-d", f"refs/heads/{request['branch']}")
        request |= {"state": "merged", "commit": None if how == "fast-forward" else made, "head": head}
        return made

    def close(self, number: int) -> None:
        self.requests[number - 1]["state"] = "closed"

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if self.canned:
            return self.canned.pop(0)
        found = getattr(self, f"_{self.kind}")(method, path.removeprefix(BASES[self.kind]), query, body)
        return found if found is not None else (404, {"message": "Not Found"}, {})

    def _make(self, branch: str, into: str, title: str, text: str) -> dict[str, Any]:
        made = {"number": len(self.requests) + 1, "branch": branch, "into": into, "title": title, "text": text}
        made |= {"state": "open", "commit": None, "head": tip(self.there, branch)}
        self.requests.append(made)
        return made

    def _github(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer | None:
        if path == "/graphql" and method == "POST":
            return self._graphql(body)
        if path.startswith("/repos/ops/thanos/commits/") and path.endswith("/pulls"):
            return 200, [self._pull(one) for one in self.requests if one["commit"] == path.split("/")[5]], {}
        if path == "/repos/ops/thanos/pulls" and method == "GET":
            _only(query, "head", "base", "state", "per_page", "sort", "direction")
            head = query.get("head", "")
            found = [
                one for one in self.requests if head in ("", f"ops:{one['branch']}") and one["into"] == query["base"]
            ]
            return 200, [self._pull(one) for one in found[::-1]], {}
        if path == "/repos/ops/thanos/pulls" and method == "POST":
            _only(body, "title", "body", "head", "base", "draft", "maintainer_can_modify")
            if self._open_of(body["head"]):
                error = {
                    "resource": "PullRequest",
                    "code": "custom",
                    "message": f"A pull request already exists for ops:{body['head']}.",
                }
                return 422, {"message": "Validation Failed", "errors": [error]}, {}
            return 201, self._pull(self._make(body["head"], body["base"], body["title"], body["body"]), single=True), {}
        if path.startswith("/repos/ops/thanos/pulls/") and method == "GET":
            return self._one(path, lambda one: self._pull(one, single=True))
        return None

    def _graphql(self, body: Any) -> Answer:
        variables = body["variables"]
        merged = self.requests[int(variables["id"].removeprefix("PR_")) - 1]
        if "conflict" in merged["title"]:
            return 200, {"data": {"revertPullRequest": None}, "errors": [{"message": "Could not be reverted"}]}, {}
        branch = f"revert-{merged['number']}-{merged['branch']}"
        before = run(self.there, "rev-parse", f"{merged['commit']}^1^{{tree}}")
        commit = run(self.there, "commit-tree", before, "-p", tip(self.there), "-m", variables["title"])
        run(self.there, "update-ref", f"refs/heads/{branch}", commit)
        made = self._make(branch, merged["into"], variables["title"], variables["body"])
        return 200, {"data": {"revertPullRequest": {"revertPullRequest": {"number": made["number"]}}}}, {}

    def _pull(self, one: dict[str, Any], *, single: bool = False) -> dict[str, Any]:
        merged = one["state"] == "merged"
        found = {
            "number": one["number"],
            "node_id": f"PR_{one['number']}",
            "html_url": f"https://github.example/ops/thanos/pull/{one['number']}",
            "state": "open" if one["state"] == "open" else "closed",
            "merged_at": "2026-11-30T00:00:00Z" if merged else None,
            # a trial merge before, as GitHub has it
            "merge_commit_sha": (one["commit"] or one["head"]) if merged else "f" * 40,
            "body": one["text"],
            "head": {"ref": one["branch"], "sha": one["head"]},
            "base": {"ref": one["into"]},
        }
        return found | ({"merged": merged} if single else {})

    def _gitlab(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer | None:
        here = "/projects/ops%2Fthanos/merge_requests"
        if path == here and method == "GET":
            _only(query, "source_branch", "target_branch", "state", "per_page")
            return 200, [self._mr(one) for one in self.requests[::-1] if one["branch"] == query["source_branch"]], {}
        if path == here and method == "POST":
            _only(body, "source_branch", "target_branch", "title", "description", "remove_source_branch")
            if self._open_of(body["source_branch"]):
                return 409, {"message": ["Another open merge request already exists for this source branch: !1"]}, {}
            made = self._make(body["source_branch"], body["target_branch"], body["title"], body["description"])
            return 201, self._mr(made), {}
        if path.startswith(here + "/") and method == "GET":
            return self._one(path, self._mr)
        return None

    def _mr(self, one: dict[str, Any]) -> dict[str, Any]:
        return {
            "iid": one["number"],
            "web_url": f"https://gitlab.example/ops/thanos/-/merge_requests/{one['number']}",
            "state": {"open": "opened"}.get(one["state"], one["state"]),
            "source_branch": one["branch"],
            "sha": one["head"],
            "merge_commit_sha": one["commit"],
            "squash_commit_sha": None,
            "description": one["text"],
        }

    def _gitea(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer | None:
        here = "/repos/ops/thanos/pulls"
        if path == here and method == "GET":
            _only(query, "state", "sort", "page", "limit")
            at = 2 * (int(query["page"]) - 1)  # fewer than asked for
            return 200, [self._gitea_pull(one) for one in self.requests[::-1][at : at + 2]], {}
        if path == here and method == "POST":
            _only(body, "title", "body", "head", "base")
            if self._open_of(body["head"]):
                return 409, {"message": "pull request already exists for these targets"}, {}
            return 201, self._gitea_pull(self._make(body["head"], body["base"], body["title"], body["body"])), {}
        if path.startswith(here + "/") and method == "GET":
            return self._one(path, self._gitea_pull)
        return None

    def _gitea_pull(self, one: dict[str, Any]) -> dict[str, Any]:
        return {
            "number": one["number"],
            "html_url": f"https://gitea.example/ops/thanos/pulls/{one['number']}",
            "state": "open" if one["state"] == "open" else "closed",
            "merged": one["state"] == "merged",
            "merge_commit_sha": (one["commit"] or one["head"]) if one["state"] == "merged" else None,
            "body": one["text"],
            "head": {"ref": one["branch"], "sha": one["head"]},
            "base": {"ref": one["into"]},
        }

    def _open_of(self, branch: str) -> bool:
        return any(one["branch"] == branch and one["state"] == "open" for one in self.requests)

    def _one(self, path: str, form: Any) -> Answer | None:
        number = int(path.rpartition("/")[2])
        return (200, form(self.requests[number - 1]), {}) if number <= len(self.requests) else None


class BadRequest(Exception):
    """What the documents do not know."""


def _only(given: dict[str, Any], *known: str) -> None:
    if unknown := set(given) - set(known):
        raise BadRequest(str(unknown))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    platform: Platform

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        platform = self.platform
        platform.asked.append((self.command, unquote(self.path)))
        if self.headers.get("Authorization") != AUTHORIZATION[platform.kind]:
            found: Answer = (401, {"message": "Bad credentials"}, {})
        elif platform.kind == "github" and self.headers.get("X-GitHub-Api-Version") != "2022-11-28":
            found = (400, {"message": "no version"}, {})
        else:
            try:
                found = platform.answer(self.command, parts.path, dict(parse_qsl(parts.query)), body)
            except (BadRequest, KeyError, subprocess.CalledProcessError) as error:
                found = (400, {"message": f"bad request: {error}"}, {})
        if platform.lose_next_answer and self.command == "POST":
            platform.lose_next_answer = False
            self.close_connection = True
            return
        status, answer, headers = found
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(platform: Platform, folder: Path) -> Iterator[Path]:
    """The platform behind TLS; gives the certificate to trust."""
    handler = type("Handler", (_Handler,), {"platform": platform})
    with tls_server(handler, folder) as (port, cert):
        platform.url = f"https://127.0.0.1:{port}{BASES[platform.kind]}"
        yield cert
