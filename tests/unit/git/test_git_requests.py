# SPDX-License-Identifier: Apache-2.0
"""A branch, a request, and the wait for its merge, on every platform alike: one suite for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from git_platforms import TOKEN, Platform, serving
from git_repositories import Put, content, repository, run, tip

from backout.errors import (
    AccessDenied,
    BackoutError,
    Conflict,
    GitUnreachable,
    Invalid,
    NotFoundError,
    PreconditionFailed,
    RefusedError,
    Throttled,
    TimedOut,
    TokenExpired,
    TooLarge,
)
from backout.git.forges.choose import api_of, forge_of, kind_of, token_of
from backout.git.forges.github import GitHub
from backout.git.forges.http import wait_of
from backout.git.forges.port import Forge, Proposal, Request
from backout.git.history import read_commit
from backout.git.message import Reason, of_revert
from backout.git.mirror import Mirror
from backout.git.push import Pushed, Wanted
from backout.git.request import Merged, await_merge, hold_to_approval, propose
from backout.git.revert import Back, draft
from backout.model.giturl import Remote, remote_of

KEY = "run-1/request"


class World:
    """A bad commit, and a platform."""

    def __init__(self, platform: Platform, forge: Forge, home: Path) -> None:
        self.platform, self.forge, self.there = platform, forge, platform.there
        self.mirror = Mirror(remote_of(f"file://{self.there}"), home / "m")
        self.bad = tip(self.there)
        self.seen: list[str] = []

    async def plan(self) -> Wanted:
        head = await self.mirror.fetch("main")
        back = Back(commits=(self.bad,))
        drafted = await draft(self.mirror, head, back)
        message = of_revert([await read_commit(self.mirror, self.bad)], Reason(key=KEY, cause="it crashed"))
        return Wanted(branch="main", planned=head, back=back, digest=drafted.digest, key=KEY, message=message)

    def propose(self) -> tuple[Pushed, Request]:
        wanted = asyncio.run(self.plan()) if not hasattr(self, "wanted") else self.wanted
        self.wanted = wanted
        proposal = Proposal(branch="backout/run-1", into="main", title='Revert "bad"', text=wanted.message)
        return asyncio.run(propose(self.forge, self.mirror, wanted, proposal, self.guard))

    def wait(self, number: int, *, between: Any = None, timeout: float = 60.0) -> Merged:
        async def sleep(_: float) -> None:
            if between is not None:
                between()

        return asyncio.run(
            await_merge(
                self.forge,
                self.mirror,
                self.wanted,
                number,
                timeout=timeout,
                sleep=sleep,
                interval=0.01,
                tell=lambda request: self.seen.append(request.state),
            )
        )

    async def guard(self) -> None:
        pass


@pytest.fixture(params=["github", "gitlab", "gitea"])
def world(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from serve(request.param, home, monkeypatch)


@pytest.fixture
def github(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from serve("github", home, monkeypatch)


def serve(kind: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    there = repository(home / "r.git", [Put("1", {"a": "good"}), Put("bad", {"a": "bad"})])
    platform = Platform(kind, there)
    with serving(platform, home) as cert:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        remote = Remote(f"https://{kind}.example/ops/thanos", "jane", TOKEN)
        yield World(platform, asyncio.run(forge_of(remote, kind=kind, api=platform.url)), home)


def former(number: int, **more: Any) -> dict[str, Any]:
    """A request that was there before."""
    plain = {"number": number, "into": "main", "title": "", "text": "", "commit": None, "head": ""}
    return plain | more


def test_it_is_proposed_once_merged_by_a_person_and_known_again(world: World) -> None:
    world.platform.requests = [former(number, branch=f"old-{number}", state="closed") for number in (1, 2, 3)]
    pushed, request = world.propose()
    assert request.state == "open" and request.number == 4 and pushed.changed
    assert request.url.endswith("/4") and KEY in world.platform.requests[3]["text"]
    assert world.propose() == (Pushed(commit=pushed.commit, parent=pushed.parent, changed=False), request)
    made = iter([lambda: None, lambda: world.platform.merge(4)])
    merged = world.wait(4, between=lambda: next(made)())
    assert merged == Merged(commit=tip(world.there), as_approved=True) and content(world.there, "a") == "good"
    assert world.seen == ["open", "merged"]
    assert world.wait(4) == merged


@pytest.mark.parametrize("how", ["squash", "fast-forward"])
def test_however_it_is_merged(world: World, how: str) -> None:
    _, request = world.propose()
    made = world.platform.merge(request.number, how=how)
    assert world.wait(request.number) == Merged(commit=made, as_approved=True)


def test_a_reviewer_amended_it(world: World) -> None:
    _, request = world.propose()
    made = world.platform.merge(request.number, how="squash", amend={"b": "more"})
    assert world.wait(request.number) == Merged(commit=made, as_approved=False)


def test_closed_unmerged_is_refused_and_not_made_again(world: World) -> None:
    _, request = world.propose()
    world.platform.close(request.number)
    for attempt in (world.propose, lambda: world.wait(request.number)):
        with pytest.raises(RefusedError, match="was closed and not merged"):
            attempt()
    assert len(world.platform.requests) == 1


def test_the_answer_to_the_request_was_lost(world: World) -> None:
    world.platform.lose_next_answer = True
    with pytest.raises(GitUnreachable):
        world.propose()
    _, request = world.propose()
    assert request.number == 1 and len(world.platform.requests) == 1


def test_nobody_merges_it_in_time(world: World) -> None:
    _, request = world.propose()
    with pytest.raises(TimedOut, match="was not merged within") as error:
        world.wait(request.number, timeout=0.0)
    assert error.value.found == "open" and "backout resume" in error.value.hint


def test_the_platform_is_away_for_a_while_or_asks_to_slow_down(world: World) -> None:
    _, request = world.propose()
    world.platform.merge(request.number)
    world.platform.canned = [(502, b"<html>", {}), (429, {"message": "slow"}, {"Retry-After": "1"}), (503, {}, {})]
    assert world.wait(request.number).as_approved


@pytest.mark.parametrize(
    ("status", "answer", "headers", "kind", "words"),
    [
        (401, {"message": "Bad credentials"}, {}, TokenExpired, "does not accept the token: Bad credentials"),
        (403, {"message": "Resource not accessible"}, {}, AccessDenied, "does not allow that: Resource"),
        (403, {"message": "API rate limit exceeded"}, {"X-RateLimit-Remaining": "0"}, Throttled, "slow down"),
        (404, {"message": "404 Project Not Found"}, {}, NotFoundError, "no such repository or request"),
        (409, {"message": ["Another open merge request"]}, {}, Conflict, "Another open merge request"),
        (422, {"message": "Validation Failed", "errors": [{"field": "base", "code": "invalid"}]}, {}, Invalid, "base"),
        (400, {"message": {"title": ["is too long"]}}, {}, Invalid, "is too long"),
        (429, {}, {"Retry-After": "7"}, Throttled, "slow down"),
        (500, b"\xff\xfe", {}, GitUnreachable, "answers 500"),
        (301, {}, {"Location": "https://evil.example/x?token=t0p"}, RefusedError, "elsewhere: https://evil.example"),
        (418, {}, {}, RefusedError, "answers 418"),
        (200, b"<html>login", {"Content-Type": "text/html"}, RefusedError, "no JSON"),
        (200, {"number": "x"}, {}, RefusedError, "something that is no"),
        (200, [1, 2], {}, RefusedError, "something that is no"),
        (200, b"[" * 100000, {}, RefusedError, "no JSON"),
        (200, b" " * (9 * 1024 * 1024), {}, TooLarge, "more than 8 MiB"),
    ],
)  # fmt: skip
def test_what_a_platform_answers_is_said_as_what_it_is(
    github: World, status: int, answer: Any, headers: dict[str, str], kind: type[BackoutError], words: str
) -> None:
    github.platform.canned = [(status, answer, headers)]
    with pytest.raises(kind, match=words) as error:
        asyncio.run(github.forge.look(1))
    assert type(error.value) is kind and TOKEN not in str(error.value.__reduce__())


def test_a_server_that_nobody_vouches_for_and_one_that_is_not_there(
    github: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RefusedError, match="is not vouched for"):
        asyncio.run(github.forge.look(1))
    with pytest.raises(GitUnreachable):
        asyncio.run(GitHub("https://127.0.0.1:1", "ops/thanos", TOKEN).look(1))


def test_an_expired_token_is_named_before_anything_is_made(world: World) -> None:
    world.platform.canned = [(401, {"message": "expired"}, {})]
    with pytest.raises(TokenExpired):
        world.propose()
    assert world.platform.requests == []


def test_githubs_own_revert_is_found_again_and_held_to_what_was_approved(github: World) -> None:
    world = github
    assert isinstance(world.forge, GitHub)
    world.platform.requests = [former(1, branch="feature", title="bad", state="merged", commit=world.bad)]
    wanted = world.wanted = asyncio.run(world.plan())

    def revert(commit: str = world.bad) -> Request:
        assert isinstance(world.forge, GitHub)
        return asyncio.run(world.forge.revert(commit, "main", 'Revert "bad"', wanted.message, KEY))

    request = revert()
    assert request.number == 2 and request.branch == "revert-1-feature" and revert() == request
    assert asyncio.run(hold_to_approval(world.mirror, request.branch, wanted)) == tip(world.there, request.branch)
    made = world.platform.merge(2)
    assert world.wait(2) == Merged(commit=made, as_approved=True)
    with pytest.raises(NotFoundError, match="No merged pull request"):
        asyncio.run(world.forge.revert("0" * 40, "main", "t", "x", "other"))
    run(world.there, "branch", "odd", "main~1")
    with pytest.raises(PreconditionFailed, match="not what the plan says"):
        asyncio.run(hold_to_approval(world.mirror, "odd", wanted))


def test_githubs_own_revert_that_conflicts(github: World) -> None:
    world = github
    assert isinstance(world.forge, GitHub)
    world.platform.requests = [former(1, branch="f", title="conflict", state="merged", commit=world.bad)]
    with pytest.raises(RefusedError, match="does not revert pull request 1: Could not be reverted"):
        asyncio.run(world.forge.revert(world.bad, "main", "t", "x", KEY))


@pytest.mark.parametrize(
    ("url", "kind", "api"),
    [
        ("git@github.com:ops/thanos.git", "github", "https://api.github.com"),
        ("https://github.corp.example/ops/thanos", "github", "https://github.corp.example/api/v3"),
        ("ssh://git@gitlab.example:2222/a/b/c", "gitlab", "https://gitlab.example/api/v4"),
        ("https://codeberg.org/ops/thanos", "gitea", "https://codeberg.org/api/v1"),
        ("https://git.forgejo.example/ops/thanos", "gitea", "https://git.forgejo.example/api/v1"),
        ("https://notgithubatall.example/x/y", None, ""),
        ("file:///srv/github/x.git", None, ""),
    ],
)
def test_the_platform_of_a_url(url: str, kind: Any, api: str) -> None:
    assert kind_of(url) == kind
    if kind:
        host = url.rpartition("@")[2].removeprefix("https://").partition("/")[0].partition(":")[0]
        assert api_of(kind, host) == api


@pytest.mark.parametrize(
    ("url", "environment", "token"),
    [
        ("https://github.com/o/r", {"GITHUB_TOKEN": "g"}, "g"),
        ("git@github.com:o/r", {"GITHUB_TOKEN": "g", "GH_TOKEN": "h"}, "h"),
        ("https://github.evil.example/o/r", {"GITHUB_TOKEN": "g", "GH_ENTERPRISE_TOKEN": "e"}, None),
        ("https://github.corp.example/o/r", {"GH_ENTERPRISE_TOKEN": "e", "GH_HOST": "github.corp.example"}, "e"),
        ("https://gitlab.com/o/r", {"GITLAB_TOKEN": "l"}, "l"),
        ("https://gitlab.evil.example/o/r", {"GITLAB_TOKEN": "l"}, None),
        ("https://gitlab.com/o/r", {"GITLAB_TOKEN": "l", "GITLAB_HOST": "https://gitlab.corp.example"}, None),
        ("https://gitlab.corp.example/o/r", {"GITLAB_TOKEN": "l", "GITLAB_HOST": "https://gitlab.corp.example/"}, "l"),
        ("https://jane:pw@github.corp.example/o/r", {"GITHUB_TOKEN": "g"}, "pw"),
    ],
)
def test_a_token_goes_to_its_own_host_alone(
    url: str, environment: dict[str, str], token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GH_ENTERPRISE_TOKEN",
        "GITHUB_ENTERPRISE_TOKEN",
        "GH_HOST",
        "GITLAB_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    remote, kind = remote_of(url), kind_of(url)
    assert kind is not None
    host = remote.url.rpartition("@")[2].removeprefix("https://").partition("/")[0].partition(":")[0]
    if token is None:
        with pytest.raises(TokenExpired, match="no token for"):
            asyncio.run(token_of(remote, kind, host))
    else:
        assert asyncio.run(token_of(remote, kind, host)) == token


def test_gits_credential_helper_gives_the_token_of_any_host(home: Path) -> None:
    (home / "home" / ".gitconfig").write_text(
        '[credential "https://git.example"]\n\thelper = "!echo username=x; echo password=of-the-helper; true"\n'
    )
    assert asyncio.run(token_of(remote_of("git@git.example:o/r"), "gitea", "git.example")) == "of-the-helper"
    with pytest.raises(RefusedError, match="Nothing tells which platform"):
        asyncio.run(forge_of(remote_of("https://git.example/o/r")))


def test_how_long_to_wait() -> None:
    assert wait_of({"retry-after": "7"}) == 7 and wait_of({"retry-after": "999999"}) == 3600
    assert 3 <= wait_of({"x-ratelimit-reset": str(int(time.time()) + 5)}) <= 5
    assert wait_of({}) == wait_of({"retry-after": "Wed, 21 Oct 2015"}) == 60
