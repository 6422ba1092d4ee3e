# SPDX-License-Identifier: Apache-2.0
"""What was approved gets to the repository exactly once, on top of what others pushed meanwhile, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import git_servers
import pytest
from git_repositories import Put, content, put, repository, run, tip

from backout.errors import (
    AccessDenied,
    BackoutError,
    Conflict,
    LeaseLost,
    PreconditionFailed,
    RefusedError,
    TokenExpired,
)
from backout.git import push as pushing
from backout.git.history import read_commit
from backout.git.message import Reason, of_revert
from backout.git.mirror import Mirror
from backout.git.push import Pushed, Wanted, push, push_aside
from backout.git.revert import Back, draft
from backout.model.giturl import remote_of


class World:
    """A repository with a bad commit, reached through a server, and the approved way back."""

    def __init__(self, there: Path, url: str, home: Path) -> None:
        self.there = there
        self.home = home
        self.mirror = Mirror(remote_of(url), home / "m")
        self.bad = run(there, "rev-parse", "main").strip()
        self.guarded = 0

    async def plan(self, **more: Any) -> Wanted:
        head = await self.mirror.fetch("main")
        back = Back(commits=(self.bad,))
        drafted = await draft(self.mirror, head, back)
        message = of_revert([await read_commit(self.mirror, self.bad)], Reason(key="run-1/push", cause="it crashed"))
        given = {"key": "run-1/push", "digest": drafted.digest, "files": ("app/a", "base/x"), "folders": ("app",)}
        return Wanted(branch="main", planned=head, back=back, message=message, actor="jane@laptop", **(given | more))

    async def guard(self) -> None:
        self.guarded += 1

    def push(self, wanted: Wanted) -> Pushed:
        return asyncio.run(push(self.mirror, wanted, self.guard))


def made(home: Path) -> Path:
    return repository(home / "r.git", [Put("1", {"app/a": "good", "base/x": "1"}), Put("bad", {"app/a": "bad"})])


@pytest.fixture
def world(home: Path) -> World:
    there = made(home)
    return World(there, f"file://{there}", home)


@pytest.fixture(params=["https", "ssh"])
def served(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    there = made(home)
    server = getattr(git_servers, request.param)
    with server(there, monkeypatch) as url:
        if request.param == "https":
            url = url.replace("https://", f"https://{git_servers.USER}:{git_servers.PASSWORD}@")
        yield World(there, url, home)


def test_over_real_servers_it_is_fetched_pushed_and_known_again(served: World) -> None:
    wanted = asyncio.run(served.plan())
    put(served.there, [Put("somebody else, elsewhere", {"other/b": "1"})])
    found = served.push(wanted)
    assert found.changed and found.attempts == 1 and tip(served.there) == found.commit
    assert content(served.there, "app/a") == "good" and content(served.there, "other/b") == "1"
    assert served.push(wanted) == Pushed(commit=found.commit, parent=found.parent, changed=False, attempts=0)
    assert served.guarded == 1
    assert "Backout-Run: run-1/push" in run(served.there, "log", "-1", "--format=%B", "main")


def test_credentials_come_from_gits_own_helper_and_a_wrong_or_lesser_one_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = made(home)
    with git_servers.https(there, monkeypatch) as url:
        world = World(there, url, home)
        with pytest.raises(TokenExpired, match="does not accept the credentials"):
            asyncio.run(world.plan())
        settings = home / "home" / ".gitconfig"
        for user, password, kind in (
            ("jane", "wrong", TokenExpired),
            ("reader", "hunter@2", AccessDenied),
            ("jane", "hunter@2", None),
        ):
            settings.write_text(f'[credential]\n\thelper = "!echo username={user}; echo password={password}; true"\n')
            if kind is None:
                assert world.push(asyncio.run(world.plan())).changed
                continue
            with pytest.raises(kind) as error:
                world.push(asyncio.run(world.plan()))
            assert password not in str(error.value.__reduce__())
        monkeypatch.delenv("GIT_SSL_CAINFO")
        with pytest.raises(RefusedError, match="certificate"):
            asyncio.run(world.plan())


@pytest.mark.parametrize("path", ["app/a", "app/new", "base/x"])
def test_what_the_application_is_made_of_was_changed_meanwhile(world: World, path: str) -> None:
    wanted = asyncio.run(world.plan())
    put(world.there, [Put("a fix of a colleague", {path: "fixed"}), Put("elsewhere", {"other": "1"})])
    before = tip(world.there)
    with pytest.raises(PreconditionFailed) as error:
        world.push(wanted)
    assert error.value.arguments["subject"] == "a fix of a colleague" and error.value.arguments["count"] == 1
    assert tip(world.there) == before and world.guarded == 0


def racing(world: World, times: int) -> Any:
    """Somebody pushes between our look and our push, so many times."""
    left = [times]

    async def guard() -> None:
        if left[0]:
            left[0] -= 1
            put(world.there, [Put(f"race {left[0]}", {f"other/{left[0]}": "1"})])

    return guard


def test_somebody_pushes_in_between_and_it_is_done_on_top_of_that(world: World) -> None:
    wanted = asyncio.run(world.plan())
    found = asyncio.run(push(world.mirror, wanted, racing(world, 2)))
    assert found.attempts == 3 and run(world.there, "rev-list", "--count", "main") == "5"
    assert content(world.there, "other/1") == "1"


def test_somebody_pushes_in_between_again_and_again(world: World) -> None:
    wanted = asyncio.run(world.plan())
    with pytest.raises(Conflict, match="Others pushed to main 5 times"):
        asyncio.run(push(world.mirror, wanted, racing(world, pushing.ATTEMPTS)))
    assert content(world.there, "app/a") == "bad"


def test_two_runs_race_and_one_of_them_finds_nothing_to_do(world: World) -> None:
    first, second = asyncio.run(world.plan()), asyncio.run(world.plan(key="run-2/push"))
    world.push(first)
    with pytest.raises(PreconditionFailed):
        world.push(second)
    assert run(world.there, "rev-list", "--count", "main") == "3"


def test_a_branch_that_was_rewritten_is_not_pushed_to(world: World) -> None:
    wanted = asyncio.run(world.plan())
    run(world.there, "update-ref", "refs/heads/main", "main~1")
    with pytest.raises(PreconditionFailed, match="was rewritten"):
        world.push(wanted)


def test_a_plan_of_other_changes_is_not_carried_out(world: World) -> None:
    wanted = asyncio.run(world.plan(digest="0" * 64))
    for attempt in (
        lambda: world.push(wanted),
        lambda: asyncio.run(push_aside(world.mirror, wanted, "x", world.guard)),
    ):
        with pytest.raises(PreconditionFailed, match="something else than the plan says"):
            attempt()
    assert world.guarded == 0


def test_who_lost_the_lock_pushes_nothing(world: World) -> None:
    wanted = asyncio.run(world.plan())

    async def lost() -> None:
        raise LeaseLost("taken over")

    with pytest.raises(LeaseLost):
        asyncio.run(push(world.mirror, wanted, lost))
    assert content(world.there, "app/a") == "bad"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("GH006: Protected branch update failed for refs/heads/main.", AccessDenied),
        ("GitLab: You are not allowed to push code to protected branches on this project.", AccessDenied),
        ("Gitea: Not allowed to push to protected branch main", AccessDenied),
        ("the message has no ticket", AccessDenied),
    ],
)
def test_a_branch_that_takes_no_push_is_said_with_the_servers_words(
    world: World, words: str, kind: type[BackoutError]
) -> None:
    hook = world.there / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nwhile read old new ref; do [ $ref = refs/heads/main ] && echo '{words}' >&2 && exit 1; done\nexit 0\n"
    )
    hook.chmod(0o755)
    wanted = asyncio.run(world.plan())
    with pytest.raises(kind, match="does not take a push to main") as error:
        world.push(wanted)
    assert words in error.value.message and "request" in error.value.hint
    # the way that is left
    assert asyncio.run(push_aside(world.mirror, wanted, "backout/run-1", world.guard)).changed


def test_an_archived_repository_refuses_and_stays_as_it_is(world: World) -> None:
    wanted = asyncio.run(world.plan())
    run(world.there, "config", "receive.denyCurrentBranch", "refuse")
    run(world.there, "config", "receive.maxInputSize", "1")
    with pytest.raises(RefusedError):
        world.push(wanted)
    assert content(world.there, "app/a") == "bad"


def test_a_branch_aside_is_made_once_and_never_taken_from_others(world: World) -> None:
    wanted = asyncio.run(world.plan())

    def aside(name: str = "backout/run-1") -> Pushed:
        return asyncio.run(push_aside(world.mirror, wanted, name, world.guard))

    made_ = aside()
    assert (
        made_.changed and tip(world.there, "backout/run-1") == made_.commit and content(world.there, "app/a") == "bad"
    )
    assert aside() == Pushed(commit=made_.commit, parent=made_.parent, changed=False)
    put(world.there, [Put("of somebody else", {"x": "1"})], "backout/taken")
    with pytest.raises(Conflict, match="has a branch backout/taken already"):
        aside("backout/taken")
    # merged by a person, its branch deleted: it is known by what the branch holds
    put(world.there, [Put("merge", {"app/a": "good"})], merge=made_.commit)
    run(world.there, "update-ref", "-d", "refs/heads/backout/run-1")
    assert aside() == Pushed(commit=made_.commit, parent=made_.parent, changed=False)


def test_the_server_goes_away_between_the_push_and_the_look(world: World) -> None:
    wanted = asyncio.run(world.plan())
    gone = world.home / "gone.git"
    hook = world.there / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nmv {world.there} {gone}\n")
    hook.chmod(0o755)
    with pytest.raises(BackoutError):
        world.push(wanted)
    gone.rename(world.there)
    hook.unlink()
    found = world.push(wanted)
    assert not found.changed and run(world.there, "rev-list", "--count", "main") == "3"
