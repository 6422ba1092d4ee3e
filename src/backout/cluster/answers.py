# SPDX-License-Identifier: Apache-2.0
"""Turns what an API server answers into the errors of the house.

A body that is no Kubernetes Status is never shown: it may come from a proxy or a login page. A Status is cut to 256
characters; of a Secret only the names of the fields are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from backout.errors import (
    AccessDenied,
    AlreadyExists,
    BackoutError,
    Conflict,
    Expired,
    Invalid,
    ObjectNotFound,
    ServerError,
    Throttled,
    TokenExpired,
)
from backout.model.decoding import UNREADABLE

CUT = 256
CAUSES = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request was about, for messages: ``patch deployments.apps web in shop``."""

    verb: str
    resource: str = ""
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        text = " ".join(part for part in (self.resource, self.name) if part) or "the API server"
        return f"{text} in namespace {self.namespace}" if self.namespace else text

    @property
    def secret(self) -> bool:
        """Whether answers may hold secret values."""
        return self.resource.partition("/")[0] == "secrets"


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct, rename="camel"):
    causes: list[_Cause] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct):
    """The API server's own answer object, as far as it is needed."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None

    @property
    def causes(self) -> list[_Cause]:
        return (self.details.causes if self.details else None) or []


def is_json(content_type: str) -> bool:
    """Whether a Content-Type names JSON (also ``application/apply…+json``)."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def read_status(body: bytes, content_type: str) -> Status | None:
    """The Status in ``body``, or None when it is something else."""
    if not is_json(content_type):
        return None
    try:
        status = msgspec.json.decode(body, type=Status)
    except UNREADABLE:
        return None
    return status if status.kind == "Status" else None


def cut(text: str) -> str:
    """At most 256 characters of one line."""
    line = " ".join(text.split())
    return line if len(line) <= CUT else line[: CUT - 1] + "…"


def error_for(code: int, status: Status | None, subject: Subject, *, server: str = "") -> BackoutError:
    """The error of the house for an answer of 400 or more."""
    about = {"what": str(subject), "verb": subject.verb}
    if status is None:
        return _without_status(code, about, server)
    words = _field_names(status) if subject.secret else cut(status.message)
    if code == 401:
        return _expired()
    if code == 403:
        return AccessDenied(
            "You may not {verb} {what}: {words}",
            **about,
            words=words,
            hint="`backout doctor` prints the missing rights as a Role to apply.",
        )
    if code == 404:
        return ObjectNotFound("{what} was not found: {words}", **about, words=words)
    if code == 409:
        return _conflict(status, about, words)
    if code == 410:
        return Expired("The position in {what} is too old: {words}", **about, words=words)
    if code in (400, 405, 406, 413, 415, 422):
        return Invalid("The API server refused to {verb} {what}: {words}", **about, words=words)
    if code == 429:
        return Throttled("The API server asked to slow down: {words}", words=words)
    return ServerError("The API server answered {code} to {verb} {what}: {words}", code=code, **about, words=words)


def asked_to_wait(error: BackoutError, seconds: float) -> BackoutError:
    """The same error of a server that wants to be left alone for longer than anybody waits here."""
    arguments: dict[str, Any] = {**error.arguments, "seconds": int(seconds)}
    return type(error)(
        error.template, hint="The API server asks to be left alone for {seconds} s: try again after that.", **arguments
    )


def _conflict(status: Status, about: dict[str, str], words: str) -> Conflict:
    if status.reason == "AlreadyExists":
        return AlreadyExists("{what} exists already.", **about)
    owned = [cause for cause in status.causes if cause.reason == "FieldManagerConflict"]
    if not owned:
        return Conflict(
            "{what} was changed by somebody else in the meantime: {words}",
            **about,
            words=words,
            hint="Look again, and decide anew.",
        )
    lines = [f"{cause.field} ({cause.message.removeprefix('conflict with ')})" for cause in owned[:CAUSES]]
    if len(owned) > CAUSES:
        lines.append(f"and {len(owned) - CAUSES} more")
    return Conflict(
        "Other managers own fields of {what}: {fields}",
        **about,
        fields="; ".join(lines),
        count=len(owned),
        hint="Let the owner change them, or take them over on purpose.",
    )


def _field_names(status: Status) -> str:
    fields = ", ".join(dict.fromkeys(cause.field for cause in status.causes if cause.field))
    return f"{status.reason}{f' at {fields}' if fields else ''} (details are not shown for Secrets)"


def _expired() -> TokenExpired:
    return TokenExpired(
        "The API server does not accept your credentials (401).",
        hint="Log in again, then repeat the command; a run can be resumed.",
    )


def _without_status(code: int, about: dict[str, str], server: str) -> BackoutError:
    if code == 401:
        return _expired()
    if code == 429:
        return Throttled("The API server asked to slow down.")
    if code == 404:
        return ObjectNotFound(
            "{what} was not found, and the answer is not that of a Kubernetes API server.",
            **about,
            hint="Check the server's address in the kubeconfig.",
        )
    return ServerError(
        "{server} answered {code} to {verb} {what}, and not as a Kubernetes API server does.",
        server=server or "The server",
        code=code,
        **about,
        hint="A proxy or a login page may stand in between.",
    )
