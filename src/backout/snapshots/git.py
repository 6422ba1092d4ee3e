# SPDX-License-Identifier: Apache-2.0
"""The commit of a configured repository, and the annotated tag that marks a snapshot there.

A tag is made in a bare repository of Backout's own (below the data folder), which holds nothing but the tagged commits;
it reaches the configured one only when it is pushed. Facts: git-ls-remote(1), git-tag(1), git-push(1).
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from pathlib import Path

import msgspec

from backout.errors import BackoutError, NotFoundError, RefusedError, TimedOut, ToolFailed, UsageError
from backout.model.giturl import Remote
from backout.model.snapshot import GitPointer
from backout.snapshots.place import data_folder, private_folder
from backout.tools.git import REMOTE, run_git

LOOK = 15.0
"""Seconds for a question to the repository."""
WORK = 120.0
"""Seconds for what moves data."""
BY_HAND = "origin"


class Place(msgspec.Struct, frozen=True):
    """A repository and the branch of it; an empty branch is the one that the repository itself names."""

    remote: Remote
    branch: str = ""

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}" if self.branch else "HEAD"

    @property
    def folder(self) -> Path:
        """Where its tags are made."""
        return data_folder() / "git" / hashlib.sha256(self.remote.url.encode()).hexdigest()[:16]


class _Seen(msgspec.Struct, frozen=True):
    commit: str
    tag: str = ""
    """The commit of the tag; empty when there is none."""


async def head(place: Place, timeout: float = LOOK) -> GitPointer:
    """The newest commit of the branch; nothing is fetched.

    Raises:
        NotFoundError: there is no such branch.
        ToolMissing, ToolFailed, TimedOut: the repository can't be asked.
    """
    return GitPointer(url=place.remote.url, commit=(await _look(place, timeout=timeout)).commit)


async def tagged(place: Place, name: str, message: str, *, push: bool, actor: str) -> GitPointer:
    """Makes an annotated tag of the branch's newest commit; a tag that is there already, on that commit, will do.

    Raises:
        UsageError: git takes no such name for a tag.
        RefusedError: another commit bears the tag, or the repository does not take it.
        NotFoundError: there is no such branch.
        ToolMissing, ToolFailed, TimedOut: git or the repository fails.
        CaptureError: the data folder can't be written.
    """
    await _require_name(place, name)
    seen = await _look(place, name, timeout=LOOK)
    if seen.tag:
        if seen.tag != seen.commit:
            raise _elsewhere(place, name, seen.tag, seen.commit)
        return GitPointer(url=place.remote.url, commit=seen.commit, tag=name, pushed=True)
    commit = await _fetched(place, seen.commit)
    await _tag(place, name, commit, message, actor)
    if push:
        await _push(place, name)
    return GitPointer(url=place.remote.url, commit=commit, tag=name, pushed=push)


def push_command(place: Place, name: str) -> str:
    """What publishes a tag that was not pushed, for a person to type."""
    return shlex.join(["git", "--git-dir", str(place.folder), "push", BY_HAND, f"refs/tags/{name}"])


async def _require_name(place: Place, name: str) -> None:
    found = await run_git(place.remote, ["check-ref-format", f"refs/tags/{name}"], timeout=LOOK, check=False)
    if name.startswith("-") or found.code:
        raise UsageError("{tag} can't be the name of a git tag.", tag=repr(name), expected="such as v1.0.0")


async def _look(place: Place, tag: str = "", *, timeout: float) -> _Seen:
    wanted = [place.ref] + ([f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"] if tag else [])
    try:
        answer = await run_git(
            place.remote, ["ls-remote", "--quiet", "--end-of-options", REMOTE, *wanted], timeout=timeout
        )
    except (ToolFailed, TimedOut) as error:
        raise _told(error, "{url} can't be read: {words}", place) from None
    refs = {name: commit for commit, _, name in (line.partition("\t") for line in answer.stdout.splitlines())}
    if place.ref not in refs:
        raise NotFoundError(
            "{url} has no branch {branch}.",
            url=place.remote.url,
            branch=place.branch or "HEAD",
            hint="stacks.NAME.git.branch in the configuration names it",
        )
    # An annotated tag is an object of its own; behind ^{} stands the commit.
    return _Seen(refs[place.ref], refs.get(f"refs/tags/{tag}^{{}}") or refs.get(f"refs/tags/{tag}", ""))


async def _fetched(place: Place, commit: str) -> str:
    """Brings the commit alone, where the server can leave out the rest; answers which one it was."""
    remote, folder = place.remote, place.folder
    private_folder(folder.parent)
    if not (folder / "HEAD").exists():
        await run_git(
            remote, ["init", "--quiet", "--bare", "--template=", "--end-of-options", str(folder)], timeout=LOOK
        )
        folder.chmod(0o700)
        # For people: see `push_command`. What was left out of a fetch is asked for there.
        for key, value in (("url", remote.url), ("promisor", "true")):
            await run_git(remote, ["config", f"remote.{BY_HAND}.{key}", value], folder=folder, timeout=LOOK)
    mine = f"refs/backout/{commit}"
    try:
        await run_git(
            remote,
            [
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=1",
                "--filter=tree:0",
                "--no-write-fetch-head",
                "--end-of-options",
                REMOTE,
                f"+{place.ref}:{mine}",
            ],
            folder=folder,
            timeout=WORK,
        )
    except (ToolFailed, TimedOut) as error:
        raise _told(error, "{url} can't be fetched from: {words}", place) from None
    return (
        (await run_git(remote, ["rev-parse", "--verify", "--end-of-options", mine], folder=folder, timeout=LOOK))
        .stdout.strip()
        .splitlines()[-1]
    )


async def _tag(place: Place, name: str, commit: str, message: str, actor: str) -> None:
    remote, folder = place.remote, place.folder
    wanted = f"refs/tags/{name}^{{commit}}"
    there = await run_git(
        remote,
        ["rev-parse", "--quiet", "--verify", "--end-of-options", wanted],
        folder=folder,
        timeout=LOOK,
        check=False,
    )
    if there.code == 0:
        found = there.stdout.strip().splitlines()[-1]
        if found != commit:
            raise _elsewhere(place, name, found, commit, unpushed=True)
        return
    known = await run_git(remote, ["var", "GIT_COMMITTER_IDENT"], folder=folder, timeout=LOOK, check=False)
    who = {} if known.code == 0 else {"GIT_COMMITTER_NAME": actor, "GIT_COMMITTER_EMAIL": actor}
    await run_git(
        remote,
        [
            "tag",
            "--annotate",
            "--no-sign",
            "--cleanup=verbatim",
            f"--message={message}",
            "--end-of-options",
            name,
            commit,
        ],
        folder=folder,
        timeout=LOOK,
        more=who,
    )


async def _push(place: Place, name: str) -> None:
    ref = f"refs/tags/{name}"
    try:
        await run_git(
            place.remote,
            ["push", "--quiet", "--no-verify", "--end-of-options", REMOTE, f"{ref}:{ref}"],
            folder=place.folder,
            timeout=WORK,
        )
    except (ToolFailed, TimedOut) as error:
        # It may have arrived all the same; if not, it must not stand in the way of another attempt.
        with contextlib.suppress(BackoutError):
            if (await _look(place, name, timeout=LOOK)).tag:
                return
        await run_git(place.remote, ["update-ref", "-d", ref], folder=place.folder, timeout=LOOK, check=False)
        raise _told(error, "{url} did not take the tag {tag}: {words}", place, tag=name) from None


def _told(error: BackoutError, template: str, place: Place, **more: str) -> RefusedError:
    words = error.arguments.get("words") or error.message
    return RefusedError(template, url=place.remote.url, words=str(words), **more)


def _elsewhere(place: Place, name: str, found: str, wanted: str, *, unpushed: bool = False) -> RefusedError:
    hint = "choose another name for --git-tag"
    if unpushed:
        hint += ", or remove the one that was never pushed: git --git-dir {folder} tag -d {tag}"
    return RefusedError(
        "{url} has a tag {tag} already, on another commit; a tag is never moved."
        if not unpushed
        else "A tag {tag} for {url} was made before, on another commit; a tag is never moved.",
        url=place.remote.url,
        tag=name,
        expected="{wanted}",
        found="{present}",
        wanted=wanted,
        present=found,
        folder=str(place.folder),
        hint=hint,
    )
