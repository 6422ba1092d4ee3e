# SPDX-License-Identifier: Apache-2.0
"""Commits are read and tags are made with a real git, in real repositories."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest
from git_world import bare, commit, git

from backout.errors import BackoutError, ConfigError, NotFoundError, RefusedError, ToolMissing, UsageError
from backout.model.giturl import remote_of
from backout.model.settings import parse_settings
from backout.model.snapshot import GitPointer
from backout.snapshots.git import Place, head, push_command, tagged
from backout.tools.git import environment, run_git


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any settings of git, and without a name."""
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.delenv("EMAIL", raising=False)
    return tmp_path


def tag(place: Place, name: str, *, push: bool = False) -> GitPointer:
    return asyncio.run(tagged(place, name, "Backout took a snapshot.", push=push, actor="jane@laptop"))


def place_of(folder: Path, branch: str = "main") -> Place:
    return Place(remote_of(f"file://{folder}"), branch)


def test_the_commit_of_a_branch_is_read(home: Path) -> None:
    there = bare(home / "there.git")
    newest = commit(there, "second")
    other = commit(there, "elsewhere", "other")
    found = asyncio.run(head(place_of(there)))
    assert found == GitPointer(url=f"file://{there}", commit=newest)
    assert asyncio.run(head(place_of(there, ""))).commit == newest
    assert asyncio.run(head(Place(remote_of(str(there)), "other"))).commit == other
    assert not (home / "data").exists()
    with pytest.raises(NotFoundError, match="no branch gone"):
        asyncio.run(head(place_of(there, "gone")))
    with pytest.raises(RefusedError, match=r"none\.git can't be read"):
        asyncio.run(head(place_of(home / "none.git")))


@pytest.mark.parametrize("partial", ["true", "false"])
def test_a_tag_is_annotated_and_pushed_only_on_request(home: Path, partial: str) -> None:
    there = bare(home / "there.git")
    git(there, "config", "uploadpack.allowFilter", partial)
    newest = commit(there, "second")
    place = place_of(there)
    made = tag(place, "v1.0.0")
    assert made == GitPointer(url=f"file://{there}", commit=newest, tag="v1.0.0", pushed=False)
    assert git(there, "tag") == ""
    assert place.folder.stat().st_mode & 0o777 == 0o700
    kept = git(place.folder, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert ("blob" not in kept) == (partial == "true")
    assert git(place.folder, "cat-file", "-t", "refs/tags/v1.0.0") == "tag"
    # what a person is told to type works
    program, *arguments = push_command(place, "v1.0.0").split()
    subprocess.run([program, *arguments], check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
    assert git(there, "rev-parse", "v1.0.0^{commit}") == newest
    assert tag(place, "v1.0.0").pushed
    assert tag(place, "v1.1.0", push=True).pushed
    assert git(there, "cat-file", "-t", "refs/tags/v1.1.0") == "tag"
    assert "jane@laptop" in git(there, "cat-file", "tag", "v1.1.0")
    # a tag that waits here is pushed by a later call
    assert not tag(place, "v1.2.0").pushed
    assert tag(place, "v1.2.0", push=True).pushed
    assert git(there, "rev-parse", "v1.2.0^{commit}") == newest
    git(there, "fsck", "--strict")


def test_a_tag_is_never_moved(home: Path) -> None:
    there = bare(home / "there.git")
    place = place_of(there)
    first = tag(place, "v1", push=True).commit
    tag(place, "waiting")
    second = commit(there, "second")
    with pytest.raises(RefusedError, match="has a tag v1 already, on another commit") as error:
        tag(place, "v1", push=True)
    assert (error.value.arguments["present"], error.value.arguments["wanted"]) == (first, second)
    with pytest.raises(RefusedError, match=r"waiting .* was made before, on another commit"):
        tag(place, "waiting", push=True)
    assert git(there, "rev-parse", "v1^{commit}") == first
    git(there, "tag", "light", second)
    assert tag(place, "light").pushed


def test_a_repository_that_does_not_take_the_tag_says_why_and_another_attempt_can_follow(home: Path) -> None:
    there = bare(home / "there.git")
    hook = there / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho tags are made by the release robot >&2\nexit 1\n")
    hook.chmod(0o755)
    place = place_of(there)
    with pytest.raises(RefusedError, match=r"did not take the tag v1: .*declined"):
        tag(place, "v1", push=True)
    hook.unlink()
    newest = commit(there, "second")
    assert tag(place, "v1", push=True).commit == newest


@pytest.mark.parametrize("name", ["-d", "a b", "a..b", "x.lock", "a~1", "", "@{1}", "--force", "a\nb"])
def test_names_that_no_tag_has(home: Path, name: str) -> None:
    there = bare(home / "there.git")
    with pytest.raises(UsageError, match="can't be the name"):
        tag(place_of(there), name)


def test_nothing_of_the_users_runs_and_nobody_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = bare(home / "there.git")
    ran = home / "ran"
    program = home / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    hooks = home / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "reference-transaction", "post-checkout"):
        (hooks / name).symlink_to(program)
    (home / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hooks}\nfsmonitor = {program}\neditor = {program}\naskPass = {program}\n"
        f'[tag]\ngpgSign = true\n[gpg]\nprogram = {program}\n[protocol "ext"]\nallow = always\n'
    )
    monkeypatch.setenv("GIT_ASKPASS", str(program))
    monkeypatch.setenv("GIT_EDITOR", str(program))
    monkeypatch.setenv("GIT_TRACE", str(home / "trace"))
    tag(place_of(there), "v1")
    # The other side of file:// is this user's git, too, and its hooks are the server's.
    (hooks / "reference-transaction").unlink()
    tag(place_of(there), "v1", push=True)
    assert not ran.exists()
    assert not (home / "trace").exists()
    with pytest.raises(BackoutError, match="not allowed"):
        asyncio.run(run_git(remote_of("/x"), ["ls-remote", f"ext::{program}"], timeout=600))
    assert not ran.exists()


def test_a_server_that_never_answers_is_given_up(home: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = Place(remote_of(f"https://127.0.0.1:{silent.getsockname()[1]}/x.git"), "main")
        with pytest.raises(RefusedError, match="did not end within 1 s"):
            asyncio.run(head(place, timeout=1.0))


def test_credentials_of_a_url_are_in_no_argument_and_no_message(home: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    remote = remote_of(f"https://jane:hunter%402@127.0.0.1:{port}/x.git")
    assert (remote.user, remote.password) == ("jane", "hunter@2")
    assert "hunter" not in repr(remote)
    env = environment(remote)
    assert "hunter" not in remote.url
    assert any(value.startswith("Authorization: Basic ") for value in env.values())
    with pytest.raises(RefusedError) as error:
        asyncio.run(head(Place(remote, "main")))
    assert "hunter" not in error.value.message
    assert f"127.0.0.1:{port}" in error.value.message
    assert environment(remote_of("https://jane@h/x"))["GIT_CONFIG_VALUE_1"] == "jane"


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c evil",
        "http://h/x",
        "git://h/x",
        "-u",
        "--upload-pack=x",
        "https://",
        "https:///x",
        "file://h/x",
        "ssh://-oProxyCommand=x/y",
        "ssh://jane:hunter2@h/x",
        "https://h:99999999/x",
        "h\n:x",
        "",
        "x",
        "https://h/x\n",
        "ftp://jane:hunter2@h/x",
        "file://jane:hunter2@/x",
    ],
)
def test_urls_that_lead_to_no_repository(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        remote_of(url)
    assert "hunter2" not in f"{error.value.message} {error.value.expected} {error.value.arguments}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("git@git.example:ops/thanos.git", "git@git.example:ops/thanos.git"),
        ("ssh://git@h:2222/ops/x.git", "ssh://git@h:2222/ops/x.git"),
        ("/srv/x.git", "file:///srv/x.git"),
        ("https://a:b@h:8443/x?y=z", "https://h:8443/x"),
        ("https://token@h/x", "https://h/x"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
    ],
)
def test_urls_as_they_are_shown(url: str, shown: str) -> None:
    assert remote_of(url).url == shown


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("url: 'http://a:hunter2@h/x'", 4, "stacks.m.git.url: http is no way"),
        ("url: git@h:x\n      branch: '-x'", 5, "stacks.m.git.branch"),
        ("url: git@h:x\n      branch: a..b", 5, "stacks.m.git.branch"),
        ("url: git@h:x\n      path: ../x", 5, "stacks.m.git.path"),
        ("url: git@h:x\n      path: /etc", 5, "stacks.m.git.path"),
        ("branch: main", 3, "stacks.m.git.url: it is missing"),
        ("urll: x", 4, "urll"),
    ],
)
def test_a_malformed_configuration_says_where(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(f"stacks:\n  m:\n    git:\n      {text}\n    namespace: n\n", "backout.yaml")
    assert f"line {line}:" in error.value.message
    assert words in error.value.message
    assert "hunter2" not in error.value.message


def test_no_git_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(ToolMissing):
        asyncio.run(head(place_of(home)))
