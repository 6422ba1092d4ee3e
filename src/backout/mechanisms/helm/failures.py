# SPDX-License-Identifier: Apache-2.0
"""What helm's last words mean in our tree of errors. Pure; the words themselves are shown redacted and cut."""

from __future__ import annotations

import re

from backout.errors import (
    AccessDenied,
    BackoutError,
    ClusterUnreachable,
    Conflict,
    Invalid,
    LockedError,
    PreconditionFailed,
    ReleaseNotFound,
    RevisionNotFound,
    TimedOut,
    TokenExpired,
    ToolFailed,
)
from backout.helm.text import first_line
from backout.locales import N_
from backout.model.message import Message

HOOK_FAILED = N_(
    "Look at the hook's Job and its log. `--no-hooks` goes back without hooks (plans name that risk: no-hooks); use it only "
    "if you know what they would have done."
)

_RULES: tuple[tuple[str, type[BackoutError], str], ...] = (
    (r"provide credentials|Unauthorized", TokenExpired, "Log in again, then resume the run."),
    (
        r"Apply failed with \d+ conflict|conflict occurred while applying",
        Conflict,
        "Other managers own fields of it; plan anew: the plan shows each field and its owner.",
    ),
    (
        r"is forbidden: User|cannot (?:get|list|create|update|patch|delete|watch) resource",
        AccessDenied,
        "`backout doctor` prints the missing rights as a Role to apply.",
    ),
    (r"(?:pre|post)-rollback hooks? failed|hooks? failed", ToolFailed, HOOK_FAILED),
    (r"release: not found", ReleaseNotFound, "Look at `backout status` for the releases of this namespace."),
    (r"release has no \d+ version", RevisionNotFound, "It was pruned; look at `backout history` and choose another."),
    (
        r"sh\.helm\.release\.v1\.\S+\"? already exists|release: already exists",
        LockedError,
        "Somebody else wrote a revision of this release at the same moment. Look, then plan anew.",
    ),
    (
        r"no \S+ with the name \"?[^\"]*\"? found",
        PreconditionFailed,
        "Helm 3 stops at an object that exists but is not in the release. Use Helm 4, or delete that object.",
    ),
    (r"is invalid:|field is immutable|Forbidden: updates to", Invalid, "Plan anew: the dry run names the fields."),
    (r"admission webhook \S+ denied", Invalid, "A policy of the cluster refused it; its words say which."),
    (
        r"connection refused|no such host|i/o timeout|TLS handshake timeout|connection reset|"
        r"[Kk]ubernetes cluster unreachable|The API server \S+ can't be reached|EOF$",
        ClusterUnreachable,
        "When the API server answers again, `backout resume` finishes the run.",
    ),
    (r"timed out waiting|context deadline exceeded", TimedOut, "Look at the hook that it waited for."),
)


def error_from(output: str, *, release: str, found: Message | str) -> BackoutError:
    """The error for a helm that ended with a failure; ``found`` says what state the release is in now."""
    words = last_words(output)
    for pattern, kind, hint in _RULES:
        if re.search(pattern, output, re.MULTILINE):
            return kind(
                "Helm could not roll {release} back: {words}",
                release=release,
                words=words,
                state=found,
                found="{state}",
                hint=hint,
            )
    return ToolFailed(
        "Helm could not roll {release} back: {words}",
        release=release,
        words=words,
        state=found,
        found="{state}",
        hint="Look at the release's records with `backout history`, then resume or plan anew.",
    )


def with_state(error: BackoutError, state: Message) -> BackoutError:
    """``error``, which says what was found where it said nothing of that."""
    if error.found:
        return error
    return type(error)(
        error.template, expected=error.expected, found="{state}", hint=error.hint, **{**error.arguments, "state": state}
    )


def last_words(output: str) -> str:
    """The line that says what went wrong: Helm's ``Error:`` line, or the last one."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error:")]
    chosen = errors[-1].removeprefix("Error:").strip() if errors else (lines[-1] if lines else "it wrote nothing")
    return first_line(chosen)
