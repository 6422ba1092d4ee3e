# SPDX-License-Identifier: Apache-2.0
"""The history of a branch is read whole and once; what a revision means is said, or refused."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from git_repositories import Put, branch_off, mirror_of, put, repository, run, tip

from backout.errors import BackoutError, GitUnreachable, LockedError, NotFoundError, RevisionNotFound, UsageError
from backout.git.history import History, Touched, parse_log, read_history, read_since
from backout.git.mirror import Mirror
from backout.git.resolve import resolve
from backout.git.words import require_path
from backout.model.giturl import place_of, remote_of

HOSTILE = "evil\x1b[31m\u202e"


def history(there: Path, home: Path, branch: str = "main", most: int = 1000) -> History:
    async def read() -> History:
        mirror = mirror_of(there, home / "mirror")
        await mirror.fetch(branch)
        return await read_history(mirror, branch, most=most)

    return asyncio.run(read())


def test_who_committed_what_and_which_paths_each_commit_touched(home: Path) -> None:
    there = repository(
        home / "r.git",
        [
            Put("first", {"a": "1", "dir/b c\td": "2"}),
            Put(f"second {HOSTILE}\n\nwhy: 한국\nM\n", {"a": "1b", "new\nline": "x", os.fsdecode(b"\xff\xfe"): "y"}),
            Put("third", {"a": None, "link": "dir"}, {"link": "120000"}),
        ],
    )
    found = history(there, home)
    assert found.whole and found.head == tip(there)
    third, second, first = found.commits
    assert [one.subject for one in (first, third)] == ["first", "third"]
    assert second.message.endswith("\n\nwhy: 한국\nM") and second.author == "Jane" and second.parents == (first.sha,)
    assert first.touched == (Touched("a", "A"), Touched("dir/b c\td", "A"))
    assert {one.path for one in second.touched} == {"a", "new\nline", os.fsdecode(b"\xff\xfe")}
    assert third.touched == (Touched("a", "D"), Touched("link", "A"))
    assert (second.committed - first.committed).total_seconds() == 60
    assert [one.sha for one in found.touching({"a"})] == [third.sha, second.sha, first.sha]
    assert [one.sha for one in found.touching((), {"dir"})] == [first.sha]


def test_a_merge_touches_what_it_brought_and_its_commits_are_off_the_mainline(home: Path) -> None:
    there = repository(home / "r.git", [Put("first", {"a": "1"})])
    branch_off(there, "feature", tip(there))
    (side,) = put(there, [Put("side", {"b": "1"})], "feature")
    put(there, [Put("main goes on", {"a": "2"})])
    (merge,) = put(there, [Put("merge", {"b": "1"})], merge=side)
    found = history(there, home)
    newest = found.commits[0]
    assert newest.sha == merge and newest.merge and newest.touched == (Touched("b", "A"),)
    assert {one.subject for one in found.commits if not one.mainline} == {"side"}


def test_an_old_part_may_be_left_out_and_that_is_said(home: Path) -> None:
    there = repository(home / "r.git", [Put(str(number), {"a": str(number)}) for number in range(5)])
    found = history(there, home, most=3)
    assert len(found.commits) == 3 and not found.whole
    assert history(there, home, most=5).whole


def test_a_commit_that_was_taken_back_and_brought_again(home: Path) -> None:
    there = repository(home / "r.git", [Put("first", {"a": "1"}), Put("bad", {"a": "2"})])
    bad = tip(there)
    (back,) = put(there, [Put(f'Revert "bad"\n\nThis reverts commit {bad}.', {"a": "1"})])
    assert history(there, home).reverted() == {bad: back}
    (again,) = put(there, [Put(f'Reapply "bad"\n\nThis reverts commit {back[:12]}.', {"a": "2"})])
    assert history(there, home).reverted() == {back: again}


def test_what_came_since(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"})])
    old = tip(there)
    new = put(there, [Put("2", {"a": "2"}), Put("3", {"b": "3"})])

    async def read() -> list[str]:
        mirror = mirror_of(there, home / "mirror")
        head = await mirror.fetch("main")
        return [one.sha for one in await read_since(mirror, old, head)]

    assert asyncio.run(read()) == new[::-1]


def test_a_log_of_nothing() -> None:
    assert parse_log("") == []


def test_a_mirror_is_private_follows_a_rewritten_branch_and_survives_a_half_made_lock(home: Path) -> None:
    there = repository(home / "r.git", [Put("1", {"a": "1"}), Put("2", {"a": "2"})])
    mirror = mirror_of(there, home / "data" / "git" / "mirror")
    assert asyncio.run(mirror.default_branch()) == "main"
    asyncio.run(mirror.fetch("main"))
    assert stat.S_IMODE(mirror.folder.stat().st_mode) == 0o700
    run(there, "update-ref", "refs/heads/main", "main~1")
    (mirror.folder / "config.lock").write_text("")
    (mirror.folder / "refs" / "remotes" / "backout" / "main.lock").write_text("")
    assert asyncio.run(mirror.fetch("main")) == tip(there)


def test_two_never_work_in_one_mirror(home: Path) -> None:
    mirror = mirror_of(repository(home / "r.git", [Put("1", {"a": "1"})]), home / "mirror")

    async def both() -> None:
        async with mirror.locked(), Mirror(mirror.remote, mirror.folder).locked(timeout=0.1):
            pass

    with pytest.raises(LockedError):
        asyncio.run(both())


def test_what_is_not_there_is_said_as_what_it_is(home: Path) -> None:
    there = repository(home / "r.git")
    with pytest.raises(NotFoundError, match="names no branch"):
        asyncio.run(mirror_of(there, home / "m1").default_branch())
    with pytest.raises(NotFoundError, match="has no branch main"):
        asyncio.run(mirror_of(there, home / "m1").fetch("main"))
    with pytest.raises(NotFoundError, match="no repository at"):
        asyncio.run(mirror_of(home / "none.git", home / "m2").fetch("main"))
    with pytest.raises(GitUnreachable, match="gives no answer") as error:
        asyncio.run(Mirror(remote_of("https://jane:hunter2@127.0.0.1:1/x"), home / "m3").fetch("main"))
    assert error.value.retryable and "hunter2" not in str(error.value.__reduce__())
    with pytest.raises(UsageError, match="can't be the name of a branch"):
        asyncio.run(mirror_of(there, home / "m1").fetch("--upload-pack=evil"))


class Fetched:
    """A history with a tag, a tag of a tag, and a side branch that is only tagged."""

    def __init__(self, home: Path) -> None:
        self.there = repository(home / "r.git", [Put(str(number), {"a": str(number)}) for number in range(4)])
        self.commits = run(self.there, "rev-list", "main").split()
        run(self.there, "tag", "-a", "v1.0.0", "-m", "good", self.commits[2])
        run(self.there, "tag", "light", self.commits[1])
        run(self.there, "tag", "main", self.commits[3])
        run(self.there, "tag", self.commits[1][:8], self.commits[3])
        branch_off(self.there, "side", self.commits[3])
        (self.side,) = put(self.there, [Put("side", {"b": "1"})], "side")
        run(self.there, "tag", "side-tag", self.side)
        self.mirror = mirror_of(self.there, home / "mirror")
        asyncio.run(self.mirror.fetch("main"))

    def of(self, text: str) -> tuple[str, str, bool]:
        found = asyncio.run(resolve(self.mirror, "main", text))
        return found.sha, found.meaning, found.on_branch


def test_what_a_revision_means(home: Path) -> None:
    fetched = Fetched(home)
    newest, second, third, oldest = fetched.commits
    assert fetched.of("HEAD") == (newest, "branch", True)
    assert fetched.of("HEAD~2") == (third, "commit", True)
    assert fetched.of(third) == fetched.of(third[:7]) == fetched.of(third[:9].upper()) == (third, "commit", True)
    assert fetched.of("v1.0.0") == fetched.of("refs/tags/v1.0.0") == (third, "tag", True)
    assert fetched.of("light^") == (third, "commit", True)
    assert fetched.of("side-tag") == (fetched.side, "tag", False)
    with pytest.raises(UsageError, match=r"could mean several commits: branch .*, tag"):
        fetched.of("main")
    with pytest.raises(UsageError, match=r"could mean several commits: tag .*, commit"):
        fetched.of(second[:8])
    for gone in ("nothing", "0" * 40, "HEAD~9", "HEAD^2", "side"):
        with pytest.raises(RevisionNotFound):
            fetched.of(gone)
    assert oldest


@pytest.mark.parametrize(
    "text",
    ["", "-x", "--output=/tmp/x", "HEAD:a", ":/bad", "a..b", "HEAD@{1}", "HEAD^{/x}", "a b", "^main", "x\n", "HEAD~-1"],
)
def test_what_is_no_revision_never_gets_to_git(home: Path, text: str) -> None:
    mirror = Mirror(remote_of("/nowhere"), home / "nowhere")
    with pytest.raises(UsageError, match="is no revision"):
        asyncio.run(resolve(mirror, "main", text))


def test_a_short_id_of_two_commits_is_refused_with_as_many_digits_as_tell_them_apart(home: Path) -> None:
    there = repository(home / "r.git", [Put(str(number), {"a": str(number)}) for number in range(700)])
    commits = run(there, "rev-list", "main").split()
    beginnings: dict[str, str] = {}
    twice = next(one[:4] for one in commits if beginnings.setdefault(one[:4], one) != one)
    mirror = mirror_of(there, home / "mirror")

    async def ask() -> None:
        await mirror.fetch("main")
        await resolve(mirror, "main", twice)

    with pytest.raises(UsageError, match="could mean several commits"):
        asyncio.run(ask())


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a\\b", "a\0b"])
def test_paths_that_lead_out(path: str) -> None:
    with pytest.raises(BackoutError):
        require_path(path)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("git@h:ops/x.git", "ssh://git@h:2222/ops/x", True),
        ("https://jane:pw@H/ops/x.git/", "git@h:ops/x", True),
        ("https://h:8443/ops/x?y=z", "https://h/ops/x.git", True),
        ("/srv/x.git", "file:///srv/x", True),
        ("https://[::1]/x", "ssh://git@[::1]/x", True),
        ("https://h/ops/x", "https://h/ops/y", False),
        ("https://h/x", "https://i/x", False),
    ],
)
def test_one_repository_by_its_many_names(one: str, other: str, same: bool) -> None:
    assert (place_of(one) == place_of(other)) is same
