# SPDX-License-Identifier: Apache-2.0
"""Bare repositories with whole histories in them, made by `git fast-import`: ten thousand commits take a second."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from backout.git.mirror import Mirror
from backout.model.giturl import remote_of

NOBODY = {
    "GIT_AUTHOR_NAME": "Jane",
    "GIT_AUTHOR_EMAIL": "jane@example.org",
    "GIT_COMMITTER_NAME": "Jane",
    "GIT_COMMITTER_EMAIL": "jane@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
START = 1_700_000_000


class Put(NamedTuple):
    """One commit: its message, and what its files become (None: gone; a mode may stand before: ``120000 target``)."""

    message: str
    files: Mapping[str, str | bytes | None]
    modes: Mapping[str, str] = {}


def run(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Runs git there, as Jane."""
    return (
        subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **NOBODY},
            input=stdin,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )


def repository(folder: Path, commits: Iterable[Put] = ()) -> Path:
    """A bare repository with these commits on main."""
    folder.mkdir(parents=True)
    run(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    run(folder, "config", "uploadpack.allowFilter", "true")
    put(folder, commits)
    return folder


def put(folder: Path, commits: Iterable[Put], branch: str = "main", merge: str = "") -> list[str]:
    """Adds commits to a branch, the first of them as a merge with ``merge``, and gives their ids."""
    head = tip(folder, branch)
    known = int(run(folder, "rev-list", "--count", "--all") or 0)
    lines: list[bytes] = []
    every = list(commits)
    for number, commit in enumerate(every):
        when = START + 60 * (known + number)
        lines.append(f"commit refs/heads/{branch}\nmark :{number + 1}\n".encode())
        lines.append(f"author Jane <jane@example.org> {when} +0000\n".encode())
        lines.append(f"committer Jane <jane@example.org> {when} +0000\n".encode())
        lines.append(_data(commit.message.encode()))
        if number == 0 and head:
            lines.append(f"from {head}\n".encode())
        if number == 0 and merge:
            lines.append(f"merge {merge}\n".encode())
        for path, content in commit.files.items():
            if content is None:
                lines.append(f"D {_quoted(path)}\n".encode())
                continue
            mode = commit.modes.get(path, "100644")
            if mode == "160000":
                lines.append(f"M 160000 {content!s} {path}\n".encode())
            else:
                lines.append(f"M {mode} inline {_quoted(path)}\n".encode("utf-8", "surrogateescape"))
                lines.append(_data(content if isinstance(content, bytes) else content.encode()))
    if every:
        run(folder, "fast-import", "--quiet", "--force", stdin=b"".join(lines))
    count = len(every)
    found = (
        run(folder, "rev-list", "--first-parent", f"--max-count={count}", f"refs/heads/{branch}").split()
        if every
        else []
    )
    return found[::-1]


def branch_off(folder: Path, name: str, at: str) -> None:
    """Another branch, at a commit."""
    run(folder, "update-ref", f"refs/heads/{name}", at)


def tip(folder: Path, branch: str = "main") -> str:
    """The newest commit of a branch; nothing where there is none."""
    return run(folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")


def content(folder: Path, path: str, at: str = "main") -> str:
    """A file as a commit has it."""
    return run(folder, "show", f"{at}:{path}")


def mirror_of(there: Path, place: Path) -> Mirror:
    """The mirror of a repository, in a folder."""
    return Mirror(remote_of(f"file://{there}"), place)


def _quoted(path: str) -> str:
    return '"' + path.replace("\n", "\\n") + '"' if "\n" in path else path


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
