# SPDX-License-Identifier: Apache-2.0
"""Errors as JSON, so that they survive a crash and a change of process with their class, and never as a pickle."""

from __future__ import annotations

from typing import Any

from backout import errors
from backout.errors import BackoutError, UnexpectedError, fill
from backout.locales import N_
from backout.model.message import Message, of_error
from backout.model.run import Failure


def _family(kind: type[BackoutError]) -> dict[str, type[BackoutError]]:
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found |= _family(child)
    return found


def encode_error(error: BaseException) -> dict[str, Any]:
    """An error of the house with all its words; of any other the class alone, since its text may hold anything."""
    if not isinstance(error, BackoutError):
        return {
            "class": UnexpectedError.__name__,
            "template": UNEXPECTED,
            "hint": UNEXPECTED_HINT,
            "arguments": {"type": type(error).__name__},
        }
    return {
        "class": type(error).__name__,
        "template": error.template,
        "expected": error.expected,
        "found": error.found,
        "hint": error.hint,
        "arguments": dict(error.arguments),
    }


UNEXPECTED = N_("An unexpected error of type {type} ended the step.")
UNEXPECTED_HINT = N_(
    "This is a fault in Backout; please report it. `backout resume` runs the step again; with `backout abort` before "
    "it, the run ends instead."
)


def decode_error(data: dict[str, Any]) -> BackoutError:
    """The error that `encode_error` wrote; an unknown class (of a newer version) becomes BackoutError."""
    kind = _family(errors.BackoutError).get(data.get("class", ""), BackoutError)
    return kind(
        data["template"],
        expected=data.get("expected", ""),
        found=data.get("found", ""),
        hint=data.get("hint", ""),
        **data.get("arguments", {}),
    )


def of_house(error: Exception) -> BackoutError:
    """``error`` itself, or what is said of an error that nobody foresaw; that one is its cause, for who debugs it."""
    if isinstance(error, BackoutError):
        return error
    told = decode_error(encode_error(error))
    told.__cause__ = error
    return told


def failure_of(error: BackoutError) -> Failure:
    """The error as it is kept with a run."""

    def sentence(template: str) -> Message | None:
        return Message(fill(template, error.arguments), template, dict(error.arguments)) if template else None

    return Failure(
        code=error.code,
        exit_code=error.exit_code,
        message=of_error(error),
        expected=sentence(error.expected),
        found=sentence(error.found),
        hint=sentence(error.hint),
    )
