# SPDX-License-Identifier: Apache-2.0
"""What a commit of ours says: git's own words for what it takes back, why, and trailers by which it is known again. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from backout.git.history import Commit
from backout.git.words import short
from backout.model.plaintext import one_line
from backout.model.redaction import redact_text

RUN = "Backout-Run"
CAUSE = "Backout-Cause"
EVIDENCE = "Backout-Evidence"
LONGEST = 300
"""Characters of one trailer."""
MOST = 10
"""Pieces of evidence."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is taken back. ``key`` names the step of the run, and is the same whenever that is tried again."""

    key: str
    cause: str = ""
    evidence: tuple[str, ...] = ()


def of_revert(commits: Sequence[Commit], reason: Reason) -> str:
    """The message of a commit that takes these back, newest first."""
    first = commits[0]
    if len(commits) == 1:
        subject = f'Revert "{_line(first.subject, 60)}"'
    else:
        subject = f'Revert {len(commits)} commits, the newest "{_line(first.subject, 40)}"'
    said = []
    for commit in commits:
        # git-revert(1) writes it so, and tools look for it.
        parent = f", reversing\nchanges made to {commit.parents[0]}" if commit.merge else ""
        said.append(f"This reverts commit {commit.sha}{parent}.")
    return _with(subject, "\n".join(said), reason)


def of_restore(commit: Commit, paths: Sequence[str], reason: Reason) -> str:
    """The message of a commit that makes the paths as they were in ``commit``."""
    places = ", ".join(_line(path, 80) or "everything" for path in paths[:5])
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    subject = f"Restore {_line(paths[0], 40) if len(paths) == 1 and paths[0] else 'files'} as of {short(commit.sha)}"
    return _with(subject, f"{places}{more}: as in commit {commit.sha}\n({_line(commit.subject, 100)}).", reason)


def made_by(message: str, key: str) -> bool:
    """Whether a commit's message says that this step made it."""
    return key in _trailers(message, RUN)


def runs_of(message: str) -> tuple[str, ...]:
    """The steps that a message says it is of."""
    return _trailers(message, RUN)


def _with(subject: str, body: str, reason: Reason) -> str:
    trailers = [f"{RUN}: {_line(reason.key, LONGEST)}"]
    if reason.cause:
        trailers.append(f"{CAUSE}: {_line(reason.cause, LONGEST)}")
    trailers += [f"{EVIDENCE}: {_line(one, LONGEST)}" for one in reason.evidence[:MOST]]
    return f"{subject}\n\n{body}\n\n" + "\n".join(trailers) + "\n"


def _line(text: str, most: int) -> str:
    line = one_line(redact_text(text)).strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def _trailers(message: str, name: str) -> tuple[str, ...]:
    """Of the last paragraph alone: what is quoted above is none of ours."""
    last = message.rstrip("\n").rpartition("\n\n")[2]
    return tuple(re.findall(rf"^{re.escape(name)}: (\S.*)$", last, re.MULTILINE))
