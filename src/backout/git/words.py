# SPDX-License-Identifier: Apache-2.0
"""Names of refs, revisions and paths as they are allowed into arguments of git, and text that git gives. Pure."""

from __future__ import annotations

import re

from backout.errors import UsageError

_BRANCH = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|/$|\.$))(?!@$)[^\x00-\x20\x7f~^:?*\[\\]+")
"""git-check-ref-format(1)."""
_STEPS = re.compile(r"(?:[~^]\d{0,6})*")
OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""The whole id of an object: SHA-1 or SHA-256."""
ABBREVIATED = re.compile(r"[0-9a-f]{4,64}", re.IGNORECASE)
"""What may be the beginning of one; git takes no less than four digits."""


def require_branch(name: str) -> str:
    """The short name of a branch, ``refs/heads/`` taken off.

    Raises:
        UsageError: git has no such names.
    """
    short = name.removeprefix("refs/heads/")
    if not _BRANCH.fullmatch(short):
        raise UsageError("{branch} can't be the name of a branch.", branch=repr(name), expected="such as main")
    return short


def require_revision(text: str) -> tuple[str, str]:
    """What ``--to`` takes, taken apart: a name or the beginning of an id, and the steps back from there (``~2``).

    Nothing else of gitrevisions(7) is taken: no search in messages, no path, no reflog, no range.

    Raises:
        UsageError: it is none.
    """
    cut = min((at for at in (text.find("~"), text.find("^")) if at >= 0), default=len(text))
    name, steps = text[:cut], text[cut:]
    if not (_BRANCH.fullmatch(name) and _STEPS.fullmatch(steps)):
        raise UsageError(
            "{revision} is no revision of a repository.",
            revision=repr(text),
            expected="a commit (its first 7 digits will do), a tag, a branch, or steps back from one, such as HEAD~2",
        )
    return name, steps


def require_path(path: str) -> str:
    """A path inside of a repository, without slashes at its ends; ``""`` is the whole.

    Raises:
        UsageError: it leads out of it.
    """
    plain = path.strip("/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path or "\\" in path:
        raise UsageError(
            "{path} leads out of the repository.", path=repr(path), expected="a folder in it, such as overlays/prod"
        )
    return "/".join(parts)


def shown(path: str) -> str:
    """A path as it can be kept and shown: bytes that are no UTF-8 are replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def short(commit: str) -> str:
    """The first digits of a commit, as people write them."""
    return commit[:8]


def below(path: str, folders: tuple[str, ...] | frozenset[str]) -> bool:
    """Whether a path is one of these or lies under one of them; ``""`` is above everything."""
    if "" in folders:
        return True
    while path:
        if path in folders:
            return True
        path = path.rpartition("/")[0]
    return False
