# SPDX-License-Identifier: Apache-2.0
"""API errors and the ``Status`` bodies they become (wording as apimachinery's ``pkg/api/errors``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

GO_REASONS = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueNotFound": "Not found",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueTooLong": "Too long",
    "FieldValueTooShort": "Too short",
    "FieldValueTooMany": "Too many",
    "FieldValueTooFew": "Too few",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}
VALUELESS = frozenset(
    ("FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "FieldValueTooShort", "InternalError")
)
OPTIMISTIC_LOCK = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of ``Status.details.causes``.

    ``message`` is the whole body as the server prints it, for example ``Required value: must be set``; ``reason`` is
    the machine name such as ``FieldValueRequired`` or ``FieldManagerConflict``.
    """

    field: str
    reason: str
    message: str

    def to_dict(self) -> dict[str, str]:
        out = {"reason": self.reason, "message": self.message}
        if self.field:
            out["field"] = self.field
        return {k: v for k, v in out.items() if v}

    @property
    def text(self) -> str:
        """The form used in an error's message: ``field: body``."""
        return f"{self.field}: {self.message}" if self.field else self.message

    @classmethod
    def of(cls, reason: str, field: str, value: Any = None, detail: str = "") -> Cause:
        """A cause with the body apimachinery's ``field.Error`` would print for this reason, value and detail."""
        body = GO_REASONS.get(reason, reason)
        if reason not in VALUELESS:
            body += ": " + json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        if detail:
            body += f": {detail}"
        return cls(field, reason, body)

    @classmethod
    def required(cls, field: str, detail: str = "") -> Cause:
        return cls.of("FieldValueRequired", field, detail=detail)

    @classmethod
    def invalid(cls, field: str, value: Any, detail: str) -> Cause:
        return cls.of("FieldValueInvalid", field, value, detail)

    @classmethod
    def forbidden(cls, field: str, detail: str) -> Cause:
        return cls.of("FieldValueForbidden", field, detail=detail)


class ApiError(Exception):
    """An API answer other than success.

    ``code`` is the HTTP status, ``reason`` the machine reason, ``retry_after`` the number of seconds of the
    ``Retry-After`` header.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.list_continue = ""
        """A token with which an expired paged list can go on, at the price of consistency."""

    def to_status(self) -> dict[str, Any]:
        """The ``Status`` object of this error."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.list_continue} if self.list_continue else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def _details(group_resource: str, name: str = "", causes: Iterable[Cause] = ()) -> dict[str, Any]:
    resource, _, group = group_resource.partition(".")
    out: dict[str, Any] = {}
    if name:
        out["name"] = name
    if group:
        out["group"] = group
    if resource:
        out["kind"] = resource
    listed = [c.to_dict() for c in causes]
    if listed:
        out["causes"] = listed
    return out


def not_found(group_resource: str, name: str) -> ApiError:
    """``group_resource`` is written ``deployments.apps`` (or ``pods`` for the core group), here and below."""
    return ApiError(404, "NotFound", f'{group_resource} "{name}" not found', _details(group_resource, name))


def path_not_found() -> ApiError:
    """The answer for a path that belongs to no resource."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group_resource: str, name: str) -> ApiError:
    message = f'{group_resource} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(group_resource, name))


def generate_name_conflict(group_resource: str, name: str) -> ApiError:
    message = (
        f'{group_resource} "{name}" already exists, the server was not able to generate a unique name for the object'
    )
    return ApiError(409, "AlreadyExists", message, {**_details(group_resource, name), "retryAfterSeconds": 1}, 1)


def conflict(group_resource: str, name: str, why: str = OPTIMISTIC_LOCK) -> ApiError:
    message = f'Operation cannot be fulfilled on {group_resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group_resource, name))


def apply_conflict(causes: Sequence[Cause], message: str = "") -> ApiError:
    """A server-side apply conflict; each cause names a field and, in its message, the manager that owns it.

    Source for the texts: structured-merge-diff ``merge.Conflicts.Error`` and apiserver's ``NewConflictError``.
    """
    if not message and len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    elif not message:
        by_owner: dict[str, list[str]] = {}
        for cause in causes:
            by_owner.setdefault(cause.message.removeprefix("conflict "), []).append(cause.field)
        body = "\n".join(
            f"conflicts {owner}:\n" + "\n".join(f"- {field}" for field in fields)
            for owner, fields in sorted(by_owner.items())
        )
        message = f"Apply failed with {len(causes)} conflicts: {body}"
    return ApiError(409, "Conflict", message, {"causes": [c.to_dict() for c in causes]})


def aggregate(messages: Iterable[str]) -> str:
    """Several messages as one, duplicates dropped: ``a`` or ``[a, b]``."""
    seen = list(dict.fromkeys(messages))
    return seen[0] if len(seen) == 1 else "[" + ", ".join(seen) + "]"


def invalid(group_kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422; ``group_kind`` is written ``Deployment.apps`` (or ``Pod`` for the core group)."""
    message = f'{group_kind} "{name}" is invalid'
    if causes:
        message += ": " + aggregate(c.text for c in causes)
    return ApiError(422, "Invalid", message, _details(group_kind, name, causes))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(group_resource: str, name: str, why: str, causes: Iterable[Cause] = ()) -> ApiError:
    """403, for an authorizer's or an admission plug-in's reason ``why``."""
    if not group_resource:
        message = f"forbidden: {why}"
    elif not name:
        message = f"{group_resource} is forbidden: {why}"
    else:
        message = f'{group_resource} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(group_resource, name, causes))


def gone(message: str) -> ApiError:
    return ApiError(410, "Gone", message)


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def too_old(requested: int, oldest: int) -> ApiError:
    """A watch from a version that is no longer in the history."""
    return expired(f"too old resource version: {requested} ({oldest})")


def too_large_version(requested: int, current: int) -> ApiError:
    """A read at a version that does not exist yet (the real server answers this after waiting three seconds)."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {requested}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1}, 1)


def method_not_allowed(group_resource: str, action: str) -> ApiError:
    message = f'{action} is not supported on resources of kind "{group_resource}"'
    return ApiError(405, "MethodNotAllowed", message, _details(group_resource))


def method_not_allowed_on_path() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def not_acceptable(accepted: Sequence[str]) -> ApiError:
    message = "only the following media types are accepted: " + ", ".join(accepted)
    return ApiError(406, "NotAcceptable", message)


def no_representation(available: Sequence[str]) -> ApiError:
    """406 for an ``Accept`` header that names no type which any endpoint could answer with."""
    message = "406: Not Acceptable\n\nAvailable representations: " + ", ".join(available)
    return ApiError(406, "NotAcceptable", message, {})


def unsupported_patch_type() -> ApiError:
    return ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    message = "the body of the request was in an unknown format - accepted media types include: "
    return ApiError(415, "UnsupportedMediaType", message + ", ".join(accepted))


def too_large(limit: int) -> ApiError:
    """A request body above ``limit`` bytes."""
    message = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", message)


def too_many_requests(message: str, retry_after: int = 1) -> ApiError:
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after}, retry_after or None)


def service_unavailable(message: str, retry_after: int | None = None) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message, None, retry_after)


def internal_error(message: str) -> ApiError:
    details = {"causes": [{"message": message}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", details)


def timeout(message: str, retry_after: int = 0) -> ApiError:
    details = {"retryAfterSeconds": retry_after} if retry_after else {}
    return ApiError(504, "Timeout", f"Timeout: {message}", details, retry_after or None)
