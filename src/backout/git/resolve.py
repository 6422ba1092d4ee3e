# SPDX-License-Identifier: Apache-2.0
"""Which commit ``--to SHA|TAG|HEAD~2`` means. What could mean two is refused."""

from __future__ import annotations

from typing import Literal

import msgspec

from backout.errors import RevisionNotFound, UsageError
from backout.git.mirror import Mirror, tracking
from backout.git.words import ABBREVIATED, OBJECT, require_revision, short

Meaning = Literal["commit", "tag", "branch"]


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that was asked for as ``text``. ``on_branch``: the branch holds it, so it was deployed from there once."""

    sha: str
    text: str
    meaning: Meaning
    on_branch: bool


async def resolve(mirror: Mirror, branch: str, text: str) -> Resolved:
    """The commit of a name; ``HEAD`` is the branch's newest. The mirror must have been fetched.

    Raises:
        UsageError: no revision, or one that could mean several.
        RevisionNotFound: there is none of that name.
    """
    name, steps = require_revision(text)
    found: dict[Meaning, str] = {}
    if name in ("HEAD", branch, f"refs/heads/{branch}"):
        found["branch"] = await mirror.head(branch)
    tag = await _commit(mirror, f"refs/tags/{name.removeprefix('refs/tags/')}")
    if tag is not None:
        found["tag"] = tag
    if ABBREVIATED.fullmatch(name) and "branch" not in found:
        commits = await _abbreviated(mirror, name.lower())
        if len(commits) > 1:
            raise _ambiguous(text, [short_of(commit, commits) for commit in sorted(commits)])
        for commit in commits:
            found["commit"] = commit
    if len(set(found.values())) > 1:
        raise _ambiguous(text, [f"{meaning} {short(commit)}" for meaning, commit in found.items()])
    if not found:
        raise RevisionNotFound(
            "{url} has no commit, tag or branch {revision}, as far as {branch} and the tags go.",
            url=mirror.remote.url,
            revision=text,
            branch=branch,
            hint="git log {branch} shows its commits, git tag its tags",
        )
    meaning, commit = next(iter(found.items()))
    sha: str | None = commit
    if steps:
        sha = await _commit(mirror, f"{commit}{steps}")
        if sha is None:
            raise RevisionNotFound(
                "{revision} is before the first commit, or a parent that {commit} does not have.",
                revision=text,
                commit=short(commit),
            )
        meaning = "commit"
    assert sha is not None
    return Resolved(sha=sha, text=text, meaning=meaning, on_branch=await is_ancestor(mirror, sha, tracking(branch)))


async def is_ancestor(mirror: Mirror, commit: str, of: str) -> bool:
    """Whether the history of ``of`` holds the commit. Both are whole ids or refs of our own; of anything else it is False."""
    if not all(OBJECT.fullmatch(one) or one.startswith("refs/") for one in (commit, of)):
        return False
    return (await mirror.git("merge-base", "--is-ancestor", commit, of, check=False)).code == 0


def short_of(commit: str, others: set[str]) -> str:
    """As many digits as it takes to tell it from the others, no less than eight."""
    for length in range(8, len(commit)):
        if sum(other.startswith(commit[:length]) for other in others) == 1:
            return commit[:length]
    return commit


async def _commit(mirror: Mirror, name: str) -> str | None:
    answer = await mirror.git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}", check=False)
    lines = answer.stdout.split()
    return lines[-1] if answer.code == 0 and lines and OBJECT.fullmatch(lines[-1]) else None


async def _abbreviated(mirror: Mirror, digits: str) -> set[str]:
    """The commits whose id begins so; an id of an annotated tag stands for its commit, other objects are none."""
    answer = await mirror.git("rev-parse", f"--disambiguate={digits}", check=False)
    objects = [line for line in answer.stdout.split() if OBJECT.fullmatch(line)]
    if not objects:
        return set()
    kinds = await mirror.git(
        "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin="\n".join(objects).encode() + b"\n"
    )
    found = set()
    for line in kinds.stdout.splitlines():
        name, _, kind = line.partition(" ")
        if kind == "commit":
            found.add(name)
        elif kind == "tag" and (commit := await _commit(mirror, name)) is not None:
            found.add(commit)
    return found


def _ambiguous(text: str, meanings: list[str]) -> UsageError:
    return UsageError(
        "{revision} could mean several commits: {meanings}.",
        revision=text,
        meanings=", ".join(meanings[:5]),
        hint="write more digits of the commit, or refs/tags/{revision} for the tag",
    )
