# SPDX-License-Identifier: Apache-2.0
"""Bare git repositories with commits in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Runs git there, as nobody in particular."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **IDENTITY},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def bare(folder: Path) -> Path:
    """A bare repository with one commit on main."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    commit(folder, "first")
    return folder


def commit(folder: Path, text: str, branch: str = "main") -> str:
    """Adds a commit to a branch, and gives its id."""
    blob = git(folder, "hash-object", "-w", "--stdin", stdin=text)
    tree = git(folder, "mktree", stdin=f"100644 blob {blob}\tfile\n")
    known = git(folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
    made = git(folder, "commit-tree", tree, *(["-p", known] if known else []), "-m", text)
    git(folder, "update-ref", f"refs/heads/{branch}", made)
    return made
