# SPDX-License-Identifier: Apache-2.0
"""Errors as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from backout.documents.base import Document
from backout.errors import BackoutError, fill

if TYPE_CHECKING:
    from backout.app.events import Failed


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error: its stable code, the exit code that it means, whether trying again can help, and English sentences."""

    code: str
    exit_code: int
    retryable: bool
    message: str
    expected: str = ""
    found: str = ""
    hint: str = ""


class Error(Document, frozen=True, kw_only=True):
    """What went wrong; ``cluster``, ``namespace`` and ``target`` where it was one thing of several."""

    kind: Literal["Error"] = "Error"
    error: ErrorBody
    cluster: str = ""
    namespace: str = ""
    target: str = ""


def body_of(error: BackoutError) -> ErrorBody:
    """The error as it is told."""
    return ErrorBody(
        code=error.code,
        exit_code=error.exit_code,
        retryable=error.retryable,
        message=error.message,
        expected=fill(error.expected, error.arguments),
        found=fill(error.found, error.arguments),
        hint=fill(error.hint, error.arguments),
    )


def error_document(error: BackoutError) -> Error:
    """An error that ended a command."""
    return Error(error=body_of(error))


def failed_document(failed: Failed) -> Error:
    """An error that one thing of several ended with."""
    target = failed.target
    return Error(
        error=body_of(failed.error),
        cluster=failed.cluster,
        namespace=target.namespace if target is not None else "",
        target=str(target) if target is not None else "",
    )
