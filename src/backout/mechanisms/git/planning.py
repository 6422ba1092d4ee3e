# SPDX-License-Identifier: Apache-2.0
"""What going back to a revision takes in the repository: worked out with git, before anything is decided."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from backout.errors import MergeConflict, NothingToDo, RefusedError
from backout.git.history import Commit
from backout.git.inputs import Application, read_reach
from backout.git.mirror import Mirror
from backout.git.revert import Back, Changed, Drafted, diff_of, draft, pointers
from backout.git.tree import read_files, read_tree
from backout.git.words import shown
from backout.mechanisms.git.history import Seen
from backout.model.change import FieldChange
from backout.model.redaction import redact_text

FILES = 500
"""That one way back may change; more are looked through by nobody."""
LINES = 200
"""Of one file's difference that are shown."""
_SECRET = re.compile(rb"^\s*(?:-\s+)?[\"']?kind[\"']?\s*:\s*[\"']?Secret\b", re.MULTILINE)
_HEADS = ("diff --git ", "index ", "--- ", "+++ ", "\\ No newline")
_NAMED = re.compile(r"secret|password|credential|token|\.env$|\.pem$|\.key$", re.IGNORECASE)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One way back, worked out. ``files``: what changes, as it may be shown; ``others``: applications that it reaches as well;
    ``strays``: files that no application is made of; ``taken``: the commits that go back, none where paths are restored."""

    back: Back
    drafted: Drafted
    files: tuple[FieldChange, ...]
    others: tuple[Application, ...] = ()
    strays: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    taken: tuple[Commit, ...] = ()
    conflict: MergeConflict | None = None
    """Why the commits themselves could not be taken back, where paths are restored instead."""


async def work_out(mirror: Mirror, seen: Seen, at: int) -> Planned:
    """The way back to the commit at that place of the history: the later ones are taken back; or, where that conflicts, what
    the application is made of becomes what it was.

    Raises:
        NothingToDo: nothing would change.
        RefusedError: it can't be done, or is too much.
    """
    later = seen.commits[at + 1 :][::-1]
    if not later:
        raise NothingToDo("That is what the branch has already.", hint="Choose another: `backout history`.")
    conflict = None
    back = Back(commits=tuple(one.sha for one in later))
    try:
        drafted = await draft(mirror, seen.history.head, back)
    except MergeConflict as error:
        conflict = error
        roots = tuple(sorted(seen.inputs.files | seen.inputs.folders))
        back = Back(revision=seen.commits[at].sha, paths=roots)
        drafted = await draft(mirror, seen.history.head, back)
    _require_bounds(drafted)
    after = await read_reach(
        mirror,
        drafted.tree,
        [one.application for one in seen.reach.every],
        branch=seen.place.branch,
        default=seen.place.default,
    )
    mine = seen.inputs.application
    reached = {one.key: one for reach in (seen.reach, after) for one in reach.of(drafted.paths) if one != mine}
    strays = [path for path in seen.reach.strays(drafted.paths) if path in after.strays([path])]
    return Planned(
        back=back,
        drafted=drafted,
        files=await _shown(mirror, drafted),
        others=tuple(reached[key] for key in sorted(reached)),
        strays=tuple(strays),
        pointers=await pointers(mirror, drafted),
        taken=() if conflict is not None else later,
        conflict=conflict,
    )


def _require_bounds(drafted: Drafted) -> None:
    if len(drafted.changes) > FILES:
        raise RefusedError(
            "Going back would change {count} files, which nobody looks through.",
            count=len(drafted.changes),
            expected="{most} at most",
            most=FILES,
            hint="Name a nearer revision.",
        )
    if strange := [path for path in drafted.paths if shown(path) != path or "\n" in path]:
        raise RefusedError(
            "A file that would go back has a name that can't be written down: {path}.", path=shown(strange[0])
        )


async def _shown(mirror: Mirror, drafted: Drafted) -> tuple[FieldChange, ...]:
    """File by file as lines of a difference; of files that may hold secrets, that they change and no more."""
    hidden = await _secret(mirror, drafted)
    text, whole = await diff_of(mirror, drafted)
    parts = re.split(r"^(?=diff --git )", text, flags=re.MULTILINE)[1:]
    if not whole or len(parts) != len(drafted.changes):
        parts = [""] * len(drafted.changes)
    return tuple(_file(one, part, hidden) for one, part in zip(drafted.changes, parts, strict=True))


def _file(one: Changed, part: str, hidden: set[str]) -> FieldChange:
    words = {"A": "comes back", "D": "goes", "M": "changes"}[one.status]
    if one.path in hidden:
        return FieldChange(path=one.path, secret=True)
    lines = [line for line in part.splitlines() if not line.startswith(_HEADS)]
    if len(lines) > LINES:
        lines = [*lines[:LINES], f"… {len(lines) - LINES} more lines"]
    return FieldChange(path=one.path, lines=tuple(redact_text(line) for line in lines) or (words,))


async def _secret(mirror: Mirror, drafted: Drafted) -> set[str]:
    found = {path for path in drafted.paths if _NAMED.search(path.rpartition("/")[2])}
    for commit in (drafted.onto, drafted.tree):
        contents = await read_files(mirror, await read_tree(mirror, commit), drafted.paths)
        found |= {path for path, content in contents.items() if _SECRET.search(content)}
    return found


def names(applications: Sequence[Application]) -> list[str]:
    """For people."""
    return [one.name for one in applications]
